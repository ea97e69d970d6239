//! Rolling statuses up the tree (core spec §6.4).

use std::collections::BTreeMap;

use sono_types::{Item, item::status};

use crate::Compatibility;

/// Recomputes the status of every item that has children, from the leaves up; leaves keep theirs, an empty one counts
/// as unknown.
///
/// An item is `failed` when anything below it failed or timed out. Else, with a status of a plugin's own below it, it is
/// a list of counts (`bar: 1, foo: 2`), and without one it is `unknown` when anything is unknown, or `passed`.
///
/// With [`Compatibility::counts_everywhere`], one status of a plugin's own makes counts of every item with children.
pub fn aggregate(item: &mut Item, compatibility: Compatibility) {
    let rule = match (compatibility.counts_everywhere, has_custom_leaf(item)) {
        (false, _) => Rule::Truth,
        (true, false) => Rule::Verdicts,
        (true, true) => Rule::Counts,
    };
    roll_up(item, rule);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Failures first, then counts, then a verdict.
    Truth,
    /// No item is counts.
    Verdicts,
    /// Every item is.
    Counts,
}

fn is_known(name: &str) -> bool {
    matches!(
        name,
        "" | status::PASSED | status::FAILED | status::SKIPPED | status::UNKNOWN | status::TIMEOUT
    )
}

fn has_custom_leaf(item: &Item) -> bool {
    if item.items.is_empty() {
        !is_known(&item.status)
    } else {
        item.items.iter().any(has_custom_leaf)
    }
}

/// How many leaves have each status.
type Counts = BTreeMap<String, u64>;

fn roll_up(item: &mut Item, rule: Rule) -> Counts {
    if item.items.is_empty() {
        if item.status.is_empty() {
            status::UNKNOWN.clone_into(&mut item.status);
        }
        return parse(&item.status).unwrap_or_else(|| Counts::from([(item.status.clone(), 1)]));
    }
    let mut counts = Counts::new();
    for child in &mut item.items {
        for (name, number) in roll_up(child, rule) {
            let sum = counts.entry(name).or_insert(0);
            *sum = u64::saturating_add(*sum, number);
        }
    }
    let has = |name: &str| counts.get(name).is_some_and(|number| *number > 0);
    let verdict = if has(status::FAILED) || has(status::TIMEOUT) {
        status::FAILED
    } else if has(status::UNKNOWN) {
        status::UNKNOWN
    } else {
        status::PASSED
    };
    let is_counts = match rule {
        Rule::Counts => true,
        Rule::Verdicts => false,
        Rule::Truth => verdict != status::FAILED && !counts.keys().all(|name| is_known(name)),
    };
    item.status = if is_counts { render(&counts) } else { verdict.to_owned() };
    counts
}

fn render(counts: &Counts) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, number)| format!("{name}: {number}"))
        .collect();
    parts.join(", ")
}

/// A plugin may itself have counted: `bar: 1, foo: 2`. Anything that is not entirely of that form is a status whose name
/// has a colon in it (weakness W-43).
fn parse(text: &str) -> Option<Counts> {
    let mut counts = Counts::new();
    for part in text.split(", ") {
        let (name, number) = part.rsplit_once(": ")?;
        let sum = counts.entry(name.to_owned()).or_insert(0);
        *sum = u64::saturating_add(*sum, number.parse().ok()?);
    }
    Some(counts)
}

#[cfg(test)]
mod tests;
