//! Open elements, and their conversion to items.

use std::collections::BTreeMap;

use serde_json::Value;
use sono_types::{Item, item::status};

use super::{
    attributes::{Attributes, HighSurrogate, push_reference},
    outcomes::{self, AttributeOutcome},
};
use crate::{Compatibility, tree::meta};

/// Kind of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `testsuites` and unknown elements: their children belong to the parent.
    Container,
    Suite,
    Case,
    Part(Part),
    /// An unknown element in a case: its content belongs to the case.
    CaseContent,
    /// An element in a part: its text belongs to the part.
    PartContent,
    /// Output of suites, properties and ignored attempts.
    Ignored,
}

/// Part of a case or suite with its outcome or output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Skipped,
    Failure,
    Error,
    SystemOut,
    SystemErr,
}

impl Part {
    fn key(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::SystemOut => "system-out",
            Self::SystemErr => "system-err",
        }
    }
}

/// Kind of an element by its lower-case name and its ancestors, outermost first.
pub(super) fn kind(name: &str, ancestors: &[Frame]) -> Kind {
    let parent = ancestors.last().map_or(Kind::Container, |frame| frame.kind);
    match parent {
        Kind::Ignored => return Kind::Ignored,
        // A case with a failure anywhere inside has failed.
        Kind::Part(Part::Skipped) if name == "failure" => return Kind::Part(Part::Failure),
        Kind::Part(Part::Skipped) if name == "error" => return Kind::Part(Part::Error),
        Kind::Part(_) | Kind::PartContent => return Kind::PartContent,
        Kind::Container | Kind::Suite | Kind::Case | Kind::CaseContent => {}
    }
    let in_case = matches!(parent, Kind::Case | Kind::CaseContent);
    match name {
        "testsuites" => Kind::Container,
        "testsuite" => Kind::Suite,
        "testcase" => Kind::Case,
        "failure" => Kind::Part(Part::Failure),
        "error" => Kind::Part(Part::Error),
        "fail" | "failed" if in_case => Kind::Part(Part::Failure),
        "skipped" | "skip" | "ignored" | "disabled" | "notrun" | "notexecuted" | "pending" if in_case => {
            Kind::Part(Part::Skipped)
        }
        "system-out" if in_case => Kind::Part(Part::SystemOut),
        "system-err" if in_case => Kind::Part(Part::SystemErr),
        "system-out" | "system-err" | "properties" | "property" => Kind::Ignored,
        "flakyfailure" | "flakyerror" | "rerunfailure" | "rerunerror" => Kind::Ignored,
        _ if in_case => Kind::CaseContent,
        _ => Kind::Container,
    }
}

/// An open element.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    name: String,
    attributes: Attributes,
    pub(super) items: Vec<Item>,
    /// Number of suites that are direct children.
    suites: usize,
    details: BTreeMap<String, Value>,
    is_failed: bool,
    is_skipped: bool,
    /// Attribute of an unknown element in a case that reports a failure.
    failed_content: Option<String>,
    /// Whether a descendant failed or is unknown.
    has_failed_or_unknown: bool,
    text: String,
    /// High surrogate at the end of the text.
    high: Option<HighSurrogate>,
}

impl Frame {
    /// A new element. `name` is the element's tag, used for containers without a `name` attribute.
    pub(super) fn new(kind: Kind, name: &str, attributes: Attributes, parent: Option<&mut Self>) -> Self {
        let mut own = attributes.text("name");
        match kind {
            Kind::Suite => {
                let position = parent.map_or(1, |parent| {
                    parent.suites += 1;
                    parent.suites
                });
                if own.is_empty() {
                    own = format!("testsuite-{position:03}");
                }
            }
            Kind::Container if own.is_empty() => name.clone_into(&mut own),
            _ => {}
        }
        Self {
            kind,
            name: own,
            attributes,
            items: Vec::new(),
            suites: 0,
            details: BTreeMap::new(),
            is_failed: false,
            is_skipped: false,
            failed_content: None,
            has_failed_or_unknown: false,
            text: String::new(),
            high: None,
        }
    }

    /// Whether the element has a failure or its attributes report one.
    pub(super) fn is_failed(&self) -> bool {
        self.is_failed || matches!(outcomes::of_case(&self.attributes), Some((AttributeOutcome::Failed, _)))
    }

    pub(super) fn push_text(&mut self, text: &str) {
        self.high = None;
        self.text.push_str(text);
    }

    pub(super) fn push_reference(&mut self, name: &str) {
        self.high = push_reference(&mut self.text, name, self.high);
    }

    /// Adds the content of an ended child element.
    pub(super) fn add(&mut self, ended: Self, compatibility: Compatibility) {
        match ended.kind {
            Kind::Part(part) => {
                self.part(part, ended.attributes.get("message").unwrap_or_default(), &ended.text);
                self.content(ended);
            }
            Kind::CaseContent => {
                if let Some((AttributeOutcome::Failed, attribute)) = outcomes::of_case(&ended.attributes) {
                    self.failed_content.get_or_insert(attribute);
                }
                self.content(ended);
            }
            Kind::Container => {
                let (items, has_failed_or_unknown) = ended.container(compatibility);
                self.items.extend(items);
                self.has_failed_or_unknown |= has_failed_or_unknown;
            }
            Kind::Suite => {
                let (item, has_failed_or_unknown) = ended.suite(compatibility);
                self.items.push(item);
                self.has_failed_or_unknown |= has_failed_or_unknown;
            }
            Kind::Case => {
                let item = ended.case(compatibility);
                self.has_failed_or_unknown |= has_failed_or_unknown(&item);
                self.items.push(item);
            }
            Kind::PartContent => self.push_text(&ended.text),
            Kind::Ignored => {}
        }
    }

    /// Moves the content of an element inside a case to this element.
    fn content(&mut self, ended: Self) {
        self.is_failed |= ended.is_failed;
        self.is_skipped |= ended.is_skipped;
        if let Some(attribute) = ended.failed_content {
            self.failed_content.get_or_insert(attribute);
        }
        for (key, value) in ended.details {
            self.detail(&key, value.as_str().unwrap_or_default());
        }
        self.items.extend(ended.items);
    }

    fn part(&mut self, part: Part, message: &str, text: &str) {
        let value = match part {
            Part::Skipped => {
                self.is_skipped = true;
                return;
            }
            Part::Failure | Part::Error => {
                self.is_failed = true;
                format!("{message} {text}").trim().to_owned()
            }
            Part::SystemOut | Part::SystemErr => text.to_owned(),
        };
        self.detail(part.key(), &value);
    }

    /// Adds a detail. Several texts with the same key are joined by line breaks.
    fn detail(&mut self, key: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.details.get_mut(key) {
            Some(Value::String(before)) => {
                before.push('\n');
                before.push_str(text);
            }
            _ => {
                self.details.insert(key.to_owned(), Value::String(text.to_owned()));
            }
        }
    }

    fn case(self, compatibility: Compatibility) -> Item {
        let outcome = outcomes::of_case(&self.attributes);
        let failed_by_attribute = matches!(outcome, Some((AttributeOutcome::Failed, _)));
        let is_failed = self.is_failed || failed_by_attribute;
        let mut item = Item {
            name: self.name,
            details: self.details,
            ..Item::default()
        };
        let status = if self.is_skipped && (compatibility.skipped_wins || !is_failed) {
            status::SKIPPED
        } else if is_failed {
            status::FAILED
        } else {
            match &outcome {
                Some((AttributeOutcome::Skipped, _)) => status::SKIPPED,
                Some((AttributeOutcome::Unknown, attribute)) => {
                    let error = format!("unknown outcome: {attribute}");
                    item.meta.insert(meta::ERROR.to_owned(), error);
                    status::UNKNOWN
                }
                _ => match self.failed_content {
                    Some(attribute) => {
                        let error = format!("an element of the case reports a failure: {attribute}");
                        item.meta.insert(meta::ERROR.to_owned(), error);
                        status::UNKNOWN
                    }
                    None => status::PASSED,
                },
            }
        };
        if failed_by_attribute && !item.details.contains_key("failure") && !item.details.contains_key("error") {
            let (_, attribute) = outcome.unwrap_or((AttributeOutcome::Failed, String::new()));
            item.details.insert("failure".to_owned(), Value::String(attribute));
        }
        status.clone_into(&mut item.status);
        if self.items.is_empty() {
            return item;
        }
        // Only leaves are counted, so a case with nested cases is also one of its own children.
        Item {
            name: item.name.clone(),
            items: self.items.into_iter().chain([item]).collect(),
            ..Item::default()
        }
    }

    /// The suite's item, and whether anything in it failed or is unknown. An empty suite has no status yet.
    fn suite(mut self, compatibility: Compatibility) -> (Item, bool) {
        let own = self.own_result(compatibility);
        let runs = self
            .attributes
            .number("tests")
            .saturating_sub(self.attributes.number("skipped"))
            .saturating_sub(self.attributes.number("disabled"));
        let mut has_failed_or_unknown = self.has_failed_or_unknown || own.is_some();
        let mut item = Item {
            name: self.name,
            items: self.items,
            ..Item::default()
        };
        match own {
            Some(own) if item.items.is_empty() => item = own,
            Some(own) => item.items.push(own),
            None if item.items.is_empty() && runs > 0 => {
                let error = format!("the suite has no test cases, but its attributes report {runs}");
                item.meta.insert(meta::ERROR.to_owned(), error);
                has_failed_or_unknown = true;
            }
            None => {}
        }
        (item, has_failed_or_unknown)
    }

    /// The container's items, and whether any of them failed or is unknown.
    pub(super) fn container(mut self, compatibility: Compatibility) -> (Vec<Item>, bool) {
        let own = self.own_result(compatibility);
        let has_failed_or_unknown = self.has_failed_or_unknown || own.is_some();
        self.items.extend(own);
        (self.items, has_failed_or_unknown)
    }

    /// Item of a failure that the suite reports, but none of its cases.
    fn own_result(&mut self, compatibility: Compatibility) -> Option<Item> {
        let mut own = Item {
            name: self.name.clone(),
            ..Item::default()
        };
        if self.is_failed {
            status::FAILED.clone_into(&mut own.status);
            own.details = std::mem::take(&mut self.details);
            return Some(own);
        }
        let claims = outcomes::claims_of_suite(&self.attributes);
        if self.has_failed_or_unknown
            || compatibility.empty_passes
            || (claims == 0 && !outcomes::suite_failed(&self.attributes))
        {
            return None;
        }
        let error = match claims {
            0 => "the attributes of the suite report a failure, but no test case failed".to_owned(),
            claims => {
                format!("the attributes of the suite report {claims} errors and failures, but no test case failed")
            }
        };
        status::UNKNOWN.clone_into(&mut own.status);
        own.meta.insert(meta::ERROR.to_owned(), error);
        Some(own)
    }
}

fn has_failed_or_unknown(item: &Item) -> bool {
    matches!(item.status.as_str(), status::FAILED | status::UNKNOWN) || item.items.iter().any(has_failed_or_unknown)
}
