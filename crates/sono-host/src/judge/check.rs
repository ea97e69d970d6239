//! Result items of checks.

use std::collections::BTreeMap;

use serde_json::Value;
use sono_types::{Item, item::status};

/// The item of a check. `complaint` describes the fault and its consequence in one line; `None` if the check passed.
pub(crate) fn check(name: &str, wanted: &str, observed: impl Into<String>, complaint: Option<String>) -> Item {
    let observed = observed.into();
    let status = if complaint.is_some() {
        status::FAILED
    } else {
        status::PASSED
    };
    let details = BTreeMap::from([
        ("observed", Some(observed.into())),
        ("wanted", Some(wanted.into())),
        ("why", complaint.map(Value::from)),
    ]);
    leaf(name, status, details)
}

/// The item of a check without data.
pub(crate) fn skipped(name: &str, why: impl Into<String>) -> Item {
    let details = BTreeMap::from([("why", Some(why.into().into()))]);
    leaf(name, status::SKIPPED, details)
}

/// Judges `facts` if known; otherwise skips the check with the reason.
pub(crate) fn known<T>(name: &str, facts: Result<T, String>, judge: impl FnOnce(T) -> Item) -> Item {
    facts.map_or_else(|why| skipped(name, why), judge)
}

/// The item of a subject, which fails if one of its checks failed. Unknown notes are omitted.
pub(crate) fn group(name: &str, notes: BTreeMap<&str, Option<Value>>, items: Vec<Item>) -> Item {
    let has = |status: &str| items.iter().any(|item| item.status == status);
    let status = [status::FAILED, status::PASSED]
        .into_iter()
        .find(|status| has(status))
        .unwrap_or(status::SKIPPED);
    Item {
        items,
        ..leaf(name, status, notes)
    }
}

fn leaf(name: &str, status: &str, details: BTreeMap<&str, Option<Value>>) -> Item {
    let details = details.into_iter();
    Item {
        name: name.to_owned(),
        status: status.to_owned(),
        details: details
            .filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect(),
        ..Item::default()
    }
}
