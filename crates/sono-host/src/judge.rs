//! Judges a machine's facts. Pure: the time is an argument.
//!
//! A check fails only for a certain fault. A check without data is skipped, with the reason.

mod amount;
mod check;
mod disks;
mod dns;
mod kernel;
mod limits;
mod memory;
mod mounts;
mod time;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use sono_types::Item;

use crate::facts::Facts;

/// The tree of checks: one item per subject, one leaf per check. The `details` of a leaf are `observed`, `wanted` and,
/// if it failed or was skipped, `why`. The `details` of a subject are facts that are not judged.
pub fn judge(facts: &Facts, now: Timestamp) -> Item {
    let subjects = vec![
        kernel::judge(facts),
        memory::judge(facts),
        disks::judge(facts),
        time::judge(facts, now),
        limits::judge(facts),
        dns::judge(facts),
    ];
    let named = Some(facts.node.as_str()).filter(|name| !name.is_empty());
    let named = named.or_else(|| facts.text("/proc/sys/kernel/hostname").ok().map(str::trim));
    let notes = BTreeMap::from([
        ("node", named.map(Value::from)),
        ("checked", Some(now.to_string().into())),
        ("system", Some(facts.system.as_str().into())),
    ]);
    check::group("host-check", notes, subjects)
}

#[cfg(test)]
mod tests;
