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
    roll_up(item, Rule::new(compatibility, has_custom_leaf(item)));
}

/// How statuses are rolled up. All items of a tree have the same rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Failures first, then counts, then a verdict.
    Truth,
    /// No item is counts.
    Verdicts,
    /// Every item is.
    Counts,
}

impl Rule {
    /// The rule of a tree that has a leaf with a status of a plugin's own, or has none.
    pub(crate) fn new(compatibility: Compatibility, has_custom_leaf: bool) -> Self {
        match (compatibility.counts_everywhere, has_custom_leaf) {
            (false, _) => Self::Truth,
            (true, false) => Self::Verdicts,
            (true, true) => Self::Counts,
        }
    }
}

pub(crate) fn is_known(name: &str) -> bool {
    matches!(
        name,
        "" | status::PASSED | status::FAILED | status::SKIPPED | status::UNKNOWN | status::TIMEOUT
    )
}

pub(crate) fn has_custom_leaf(item: &Item) -> bool {
    if item.items.is_empty() {
        !is_known(&item.status)
    } else {
        item.items.iter().any(has_custom_leaf)
    }
}

/// How many leaves have each status.
pub(crate) type Counts = BTreeMap<String, u64>;

/// As [`aggregate`], by the rule of the tree that the item is a part of.
pub(crate) fn roll_up(item: &mut Item, rule: Rule) -> Counts {
    if item.items.is_empty() {
        if item.status.is_empty() {
            status::UNKNOWN.clone_into(&mut item.status);
        }
        return leaf_counts(&item.status);
    }
    let mut counts = Counts::new();
    for child in &mut item.items {
        add(&mut counts, roll_up(child, rule));
    }
    item.status = status_of(&counts, rule);
    counts
}

/// What a leaf counts as: itself, unless its plugin has counted already.
pub(crate) fn leaf_counts(status: &str) -> Counts {
    parse(status).unwrap_or_else(|| Counts::from([(status.to_owned(), 1)]))
}

/// Adds the counts of a child to those of its parent.
pub(crate) fn add(counts: &mut Counts, of_child: Counts) {
    for (name, number) in of_child {
        let sum = counts.entry(name).or_insert(0);
        *sum = u64::saturating_add(*sum, number);
    }
}

/// The status of an item whose leaves have these statuses.
pub(crate) fn status_of(counts: &Counts, rule: Rule) -> String {
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
    if is_counts { render(counts) } else { verdict.to_owned() }
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
