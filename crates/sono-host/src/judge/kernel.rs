//! The kernel's version, and facts about the machine.

use std::collections::BTreeMap;

use serde_json::Value;
use sono_types::Item;

use super::check::{check, group, known};
use crate::facts::Facts;

/// The oldest kernel that kubeadm accepts.
const OLDEST: (u32, u32) = (4, 19);
/// Red Hat's 4.18, to which the required features were backported.
const ENTERPRISE: ((u32, u32), &str) = ((4, 18), ".el8");
/// gVisor's `/proc/version`; its version claims to be 4.4.0.
const GVISOR: &str = "#1 SMP Sun Jan 10 15:06:54 PST 2016";

pub(super) fn judge(facts: &Facts) -> Item {
    let text = |path| facts.text(path).ok();
    let word = |path, index| text(path).and_then(|text| text.split_whitespace().nth(index));
    let load = text("/proc/loadavg").map(|text| {
        let words: Vec<&str> = text.split_whitespace().take(3).collect();
        words.join(" ")
    });
    let notes = BTreeMap::from([
        ("architecture", Some(facts.architecture.as_str().into())),
        ("control-groups", control_groups(facts).map(Value::from)),
        (
            "distribution",
            text("/etc/os-release").and_then(distribution).map(Value::from),
        ),
        ("load-averages", load.map(Value::from)),
        ("processors", processors(facts).map(Value::from)),
        ("up", word("/proc/uptime", 0).and_then(format_uptime).map(Value::from)),
    ]);
    group("kernel", notes, vec![version(facts)])
}

fn version(facts: &Facts) -> Item {
    let name = "version";
    let release = facts.text("/proc/sys/kernel/osrelease").map(str::trim);
    let parsed = release.and_then(|release| {
        if facts.text("/proc/version").is_ok_and(|text| text.contains(GVISOR)) {
            return Err("running in gVisor, which does not report the version of the host's kernel".to_owned());
        }
        let numbers = numbers(release).ok_or_else(|| format!("{release:?} does not begin with a version"))?;
        Ok((release, numbers))
    });
    known(name, parsed, |(release, numbers)| {
        let is_enterprise = numbers == ENTERPRISE.0 && release.contains(ENTERPRISE.1);
        let complaint = (numbers < OLDEST && !is_enterprise).then(|| {
            format!(
                "{release} is older than Kubernetes supports ({}.{})",
                OLDEST.0, OLDEST.1
            )
        });
        check(name, &format!("{}.{} or newer", OLDEST.0, OLDEST.1), release, complaint)
    })
}

/// The first two numbers of a release.
fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

fn control_groups(facts: &Facts) -> Option<&'static str> {
    let exists = |path| facts.text(path).is_ok();
    if exists("/sys/fs/cgroup/cgroup.controllers") {
        Some("version 2")
    } else {
        exists("/proc/sys/kernel/osrelease").then_some("version 1 or mixed")
    }
}

fn distribution(text: &str) -> Option<&str> {
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim().trim_matches(['"', '\'']))
}

/// The number of online processors (`0-3,8`), or of those available to this process.
fn processors(facts: &Facts) -> Option<u64> {
    let online = |text: &str| {
        text.trim().split(',').try_fold(0, |sum: u64, range| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            Some(sum + last.checked_sub(first)? + 1)
        })
    };
    let text = facts.text("/sys/devices/system/cpu/online").ok();
    text.and_then(online).or(facts.processors)
}

/// Formats an uptime in seconds as `3 d 4 h 12 min`.
fn format_uptime(seconds: &str) -> Option<String> {
    let minutes = seconds.split('.').next()?.parse::<u64>().ok()? / 60;
    let (days, hours) = (minutes / 1440, minutes / 60 % 24);
    Some(format!("{days} d {hours} h {} min", minutes % 60))
}
