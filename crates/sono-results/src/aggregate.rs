//! Rolling statuses up the tree (core spec §6.4).

use std::collections::BTreeMap;

use sono_types::{Item, item::status};

/// Recomputes the status of every item that has children, from the leaves up; leaves keep theirs, an empty one counts
/// as unknown.
///
/// As long as all leaves have one of the known statuses, a parent is `failed` when anything below it failed or timed
/// out, else `unknown` when anything is unknown, else `passed`. One status of a plugin's own anywhere makes every parent
/// a list of counts instead: `bar: 1, foo: 2`.
pub fn aggregate(item: &mut Item) {
    if has_custom_leaf(item) {
        count(item);
    } else {
        judge(item);
    }
    if item.status.is_empty() {
        status::UNKNOWN.clone_into(&mut item.status);
    }
}

fn has_custom_leaf(item: &Item) -> bool {
    if item.items.is_empty() {
        !matches!(
            item.status.as_str(),
            "" | status::PASSED | status::FAILED | status::SKIPPED | status::UNKNOWN | status::TIMEOUT
        )
    } else {
        item.items.iter().any(has_custom_leaf)
    }
}

fn judge(item: &mut Item) {
    if item.items.is_empty() {
        return;
    }
    let mut verdict = status::PASSED;
    for child in &mut item.items {
        judge(child);
        match child.status.as_str() {
            status::FAILED | status::TIMEOUT => verdict = status::FAILED,
            "" | status::UNKNOWN if verdict == status::PASSED => verdict = status::UNKNOWN,
            _ => {}
        }
        if child.status.is_empty() {
            status::UNKNOWN.clone_into(&mut child.status);
        }
    }
    verdict.clone_into(&mut item.status);
}

type Counts = BTreeMap<String, u64>;

fn count(item: &mut Item) -> Counts {
    if item.items.is_empty() {
        if item.status.is_empty() {
            status::UNKNOWN.clone_into(&mut item.status);
        }
        return parse(&item.status).unwrap_or_else(|| Counts::from([(item.status.clone(), 1)]));
    }
    let mut counts = Counts::new();
    for child in &mut item.items {
        for (name, number) in count(child) {
            let sum = counts.entry(name).or_insert(0);
            *sum = u64::saturating_add(*sum, number);
        }
    }
    item.status = render(&counts);
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
