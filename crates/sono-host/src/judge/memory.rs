//! Memory and swap.

use std::collections::BTreeMap;

use serde_json::Value;
use sono_types::Item;

use super::{
    amount::{bytes, is_at_least, percentage},
    check::{check, group, known},
};
use crate::facts::Facts;

const MEMORY: &str = "/proc/meminfo";
/// Percentage of available memory below which processes may be killed.
const MIN_PERCENT: u64 = 5;

pub(super) fn judge(facts: &Facts) -> Item {
    let amount = |key| facts.text(MEMORY).ok().and_then(|text| kilobytes(text, key));
    let swap = match (amount("SwapTotal"), amount("SwapFree")) {
        (Some(0), _) => Some("none".to_owned()),
        (Some(total), Some(free)) => Some(format!(
            "{} of {} in use",
            bytes(total.saturating_sub(free)),
            bytes(total)
        )),
        _ => None,
    };
    let events = facts.text("/proc/vmstat").ok();
    let ended = events.and_then(|text| {
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
        count.trim().parse::<u64>().ok()
    });
    let notes = BTreeMap::from([
        ("out-of-memory-kills", ended.map(Value::from)),
        ("swap", swap.map(Value::from)),
    ]);
    group("memory", notes, vec![available(facts)])
}

fn available(facts: &Facts) -> Item {
    let name = "available";
    let amounts = facts.text(MEMORY).and_then(|text| {
        let amount = |key| kilobytes(text, key).ok_or_else(|| format!("{MEMORY} has no {key}"));
        Ok((amount("MemAvailable")?, amount("MemTotal")?))
    });
    known(name, amounts, |(available, total)| {
        let observed = format!(
            "{} of {} ({})",
            bytes(available),
            bytes(total),
            percentage(available, total)
        );
        let complaint = (!is_at_least(available, MIN_PERCENT, total))
            .then(|| format!("only {observed} of the memory is available; processes may be killed"));
        check(name, &format!("{MIN_PERCENT} % or more"), observed, complaint)
    })
}

/// A line `Key:   12 kB`, converted to bytes.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let count: u64 = line.split_whitespace().next()?.parse().ok()?;
    count.checked_mul(1024)
}
