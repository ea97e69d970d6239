//! What is made of a machine's facts. Pure: the time comes in.
//!
//! A check fails only where something is wrong for certain; what cannot be judged is skipped and says why.

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

/// The tree of checks: one item a subject, one leaf a check. A leaf's `details` are `observed`, `wanted`, and `why` where
/// it failed or was skipped; what is worth knowing but not judged is in the `details` of the subject.
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
