//! Kernel limits that nodes may reach.

use std::collections::BTreeMap;

use sono_types::Item;

use super::{
    amount::{is_at_least, percentage},
    check::{check, group, known},
};
use crate::facts::Facts;

/// Lowest usable limit on the open files of a process.
const OPEN_FILES: u64 = 1024;
/// The defaults of Linux; kubelet and containerd alone use dozens of instances.
const INOTIFY_INSTANCES: u64 = 128;
const INOTIFY_WATCHES: u64 = 8192;
/// Percentage from which a table counts as nearly full.
const NEARLY_FULL: u64 = 90;

pub(super) fn judge(facts: &Facts) -> Item {
    let items = vec![
        open_files(facts),
        all_open_files(facts),
        threads(facts),
        at_least(
            facts,
            "inotify instances",
            "/proc/sys/fs/inotify/max_user_instances",
            INOTIFY_INSTANCES,
        ),
        at_least(
            facts,
            "inotify watches",
            "/proc/sys/fs/inotify/max_user_watches",
            INOTIFY_WATCHES,
        ),
        connections(facts),
    ];
    group("limits", BTreeMap::new(), items)
}

/// `Max open files   1024   524288   files`
fn open_files(facts: &Facts) -> Item {
    let name = "open files of a process";
    let found = facts.text("/proc/self/limits").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
        let mut words = line.unwrap_or_default().split_whitespace();
        let pair = words.next().zip(words.next());
        pair.ok_or_else(|| "/proc/self/limits does not have the limit on open files".to_owned())
    });
    known(name, found, |(soft, hard)| {
        let is_enough = soft.parse().map_or(soft == "unlimited", |soft: u64| soft >= OPEN_FILES);
        let complaint = (!is_enough).then(|| format!("a process may open only {soft} files: servers need more"));
        let observed = format!("{soft}, may be raised to {hard}");
        check(name, &format!("{OPEN_FILES} or more"), observed, complaint)
    })
}

/// `9312 0 9223372036854775807`: allocated, free, at most.
fn all_open_files(facts: &Facts) -> Item {
    let name = "open files of all processes";
    let found = facts.text("/proc/sys/fs/file-nr").and_then(|text| {
        let numbers: Vec<u64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
        match numbers[..] {
            [allocated, free, most] => Ok((allocated.saturating_sub(free), most)),
            _ => Err(format!("/proc/sys/fs/file-nr does not have three numbers: {text:?}")),
        }
    });
    known(name, found, |(used, most)| usage(name, "open files", used, most))
}

/// The fourth word of `/proc/loadavg` is `running/existing`, a number of threads each.
fn threads(facts: &Facts) -> Item {
    let name = "threads";
    let found = facts.text("/proc/loadavg").and_then(|text| {
        let pair = text.split_whitespace().nth(3).and_then(|word| word.split_once('/'));
        let existing = pair.and_then(|(_, existing)| existing.parse().ok());
        let existing = existing.ok_or_else(|| format!("/proc/loadavg does not count threads: {text:?}"))?;
        let ids = facts.number("/proc/sys/kernel/pid_max")?;
        let most = facts.number("/proc/sys/kernel/threads-max")?;
        Ok((existing, most.min(ids)))
    });
    known(name, found, |(existing, most)| usage(name, name, existing, most))
}

fn connections(facts: &Facts) -> Item {
    let name = "tracked connections";
    let number = |what| facts.number(&format!("/proc/sys/net/netfilter/nf_conntrack_{what}"));
    let found = number("count").and_then(|count| Ok((count, number("max")?)));
    match found {
        // 0 means unlimited.
        Ok((count, 0)) => check(name, "less than the limit", format!("{count}, without a limit"), None),
        found => known(name, found, |(count, most)| usage(name, name, count, most)),
    }
}

fn usage(name: &str, what: &str, used: u64, most: u64) -> Item {
    let observed = format!("{used} of {most} ({})", percentage(used, most));
    let complaint = is_at_least(used, NEARLY_FULL, most)
        .then(|| format!("{observed} {what} are in use: the limit will be reached soon"));
    check(name, &format!("less than {NEARLY_FULL} %"), observed, complaint)
}

fn at_least(facts: &Facts, name: &str, path: &str, least: u64) -> Item {
    known(name, facts.number(path), |found| {
        let complaint = (found < least).then(|| format!("{path} is {found}: kubelet and log collectors need more"));
        check(name, &format!("{least} or more"), found.to_string(), complaint)
    })
}
