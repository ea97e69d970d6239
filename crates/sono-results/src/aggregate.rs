//! Rolls up statuses of item trees (core §6.4).

use std::collections::BTreeMap;

use sono_types::{Item, item::status};

use crate::Compatibility;

/// Computes the status of every item with children from its leaves. An empty status of a leaf becomes `unknown`.
///
/// An item is `failed` if a leaf failed or timed out. Otherwise, if a leaf has a custom status, it is a list of counts
/// (`bar: 1, foo: 2`); otherwise it is `unknown` if a leaf is unknown, or `passed`.
///
/// With [`Compatibility::counts_everywhere`], one custom status makes every item with children a list of counts.
pub fn aggregate(item: &mut Item, compatibility: Compatibility) {
    roll_up(item, Rule::new(compatibility, has_custom_leaf(item)));
}

/// Rule by which all statuses of a tree are rolled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Failed if a leaf failed; otherwise counts if a leaf has a custom status; otherwise a verdict.
    FailuresFirst,
    /// Verdicts for all items.
    Verdicts,
    /// Counts for all items.
    Counts,
}

impl Rule {
    /// The rule of a tree, depending on whether a leaf has a custom status.
    pub(crate) fn new(compatibility: Compatibility, has_custom_leaf: bool) -> Self {
        match (compatibility.counts_everywhere, has_custom_leaf) {
            (false, _) => Self::FailuresFirst,
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

/// Number of leaves by status.
pub(crate) type Counts = BTreeMap<String, u64>;

/// Like [`aggregate`], with the rule of the whole tree. Returns the counts of the item's leaves.
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

/// Counts of a leaf: one, or the counts in its status.
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

/// Status of an item with these leaves.
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
        Rule::FailuresFirst => verdict != status::FAILED && !counts.keys().all(|name| is_known(name)),
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

/// Parses a status that consists of counts: `bar: 1, foo: 2`. Any other text with colons is a custom status (weakness
/// W-43).
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
