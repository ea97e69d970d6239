//! The clock: certificates, leases and logs need it right.

use std::collections::BTreeMap;

use jiff::{Timestamp, tz::TimeZone};
use sono_types::Item;

use super::check::{check, group, skipped};
use crate::facts::Facts;

/// Years in which this program can be running: from the one it was written after.
const YEARS: std::ops::Range<i16> = 2025..2100;
/// Time daemons by the names of their processes.
const DAEMONS: [&str; 6] = ["chronyd", "ntpd", "ntp-daemon", "phc2sys", "ptp4l", "timemaster"];
/// systemd's own, whose name Linux cuts.
const TIMESYNCD: &str = "systemd-timesyn";
/// Made by systemd-timesyncd when it has reached a server for the first time since start.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// A machine up for so many seconds has had the time to reach a time server.
const LONG_ENOUGH: u64 = 900;

pub(super) fn judge(facts: &Facts, now: Timestamp) -> Item {
    group("time", BTreeMap::new(), vec![clock(now), synchronised(facts)])
}

fn clock(now: Timestamp) -> Item {
    let year = now.to_zoned(TimeZone::UTC).year();
    let complaint = (!YEARS.contains(&year)).then(|| format!("it is not {year}: no certificate is valid then"));
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
    let wanted = "a time daemon at work";
    if facts.text(SYNCHRONISED).is_ok() {
        return check(name, wanted, "systemd-timesyncd has reached a time server", None);
    }
    if let Some(daemon) = DAEMONS.iter().find(|daemon| facts.processes.contains(**daemon)) {
        return check(name, wanted, format!("{daemon} runs"), None);
    }
    if !facts.processes.contains(TIMESYNCD) {
        return skipped(
            name,
            "no time daemon is to be seen; what is around this machine may keep its clock",
        );
    }
    let uptime: Option<u64> = facts
        .text("/proc/uptime")
        .ok()
        .and_then(|text| text.split('.').next()?.parse().ok());
    match uptime {
        Some(seconds) if seconds >= LONG_ENOUGH => {
            let observed = "systemd-timesyncd runs, without success";
            let complaint = "systemd-timesyncd has reached no time server since the machine started";
            check(name, wanted, observed, Some(complaint.to_owned()))
        }
        _ => skipped(name, "systemd-timesyncd has reached no time server yet"),
    }
}
