//! The clock, which certificates, leases and logs depend on.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use sono_types::Item;

use super::check::{check, group, skipped};
use crate::facts::Facts;

/// Years in which this program may run.
const YEARS: std::ops::Range<i16> = 2025..2100;
/// Process names of time daemons.
const DAEMONS: [&str; 6] = ["chronyd", "ntpd", "ntp-daemon", "phc2sys", "ptp4l", "timemaster"];
/// systemd's time daemon; Linux cuts its name.
const TIMESYNCD: &str = "systemd-timesyn";
/// Created by systemd-timesyncd when it first reaches a time server after start.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// Uptime in seconds after which a time server should have been reached.
const SYNC_TIME: u64 = 900;

pub(super) fn judge(facts: &Facts, now: Timestamp) -> Item {
    group("time", BTreeMap::new(), vec![clock(now), synchronised(facts)])
}

fn clock(now: Timestamp) -> Item {
    let year = now.to_zoned(TimeZone::UTC).year();
    let complaint = (!YEARS.contains(&year)).then(|| format!("the year {year} is wrong, so certificates are rejected"));
    let wanted = format!("between {} and {}", YEARS.start, YEARS.end);
    check(
        "clock",
        &wanted,
        now.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        complaint,
    )
}

fn synchronised(facts: &Facts) -> Item {
    let name = "synchronised";
    let wanted = "a running time daemon";
    if facts.text(SYNCHRONISED).is_ok() {
        return check(name, wanted, "systemd-timesyncd has reached a time server", None);
    }
    if let Some(daemon) = DAEMONS.iter().find(|daemon| facts.processes.contains(**daemon)) {
        return check(name, wanted, format!("{daemon} runs"), None);
    }
    if !facts.processes.contains(TIMESYNCD) {
        return skipped(
            name,
            "no time daemon found; a hypervisor may set the clock of this machine",
        );
    }
    let uptime: Option<u64> = facts
        .text("/proc/uptime")
        .ok()
        .and_then(|text| text.split('.').next()?.parse().ok());
    match uptime {
        Some(seconds) if seconds >= SYNC_TIME => {
            let observed = "systemd-timesyncd runs, but is not synchronised";
            let complaint = "systemd-timesyncd has not reached a time server since the machine started";
            check(name, wanted, observed, Some(complaint.to_owned()))
        }
        _ => skipped(name, "systemd-timesyncd has not reached a time server yet"),
    }
}
