//! Open elements, and what becomes of them when they end.

use std::collections::BTreeMap;

use serde_json::Value;
use sono_types::{Item, item::status};

use super::{
    attributes::{Attributes, High, push_reference},
    words::{self, Word},
};
use crate::{Compatibility, tree::meta};

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `testsuites` and every element that is not known: their children count as if they stood one level higher.
    Container,
    Suite,
    Case,
    Part(Part),
    /// An unknown element in a case: what it holds belongs to the case.
    Within,
    /// An element in a part: its text belongs to the part.
    Nested,
    /// Text of tests and attempts that do not count.
    Ignored,
}

/// What decides or describes.
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

/// The kind of an element by its name in lower case and what it stands in, outermost first.
pub(super) fn kind(name: &str, around: &[Frame]) -> Kind {
    let within = around.last().map_or(Kind::Container, |frame| frame.kind);
    match within {
        Kind::Ignored => return Kind::Ignored,
        Kind::Part(_) | Kind::Nested => return Kind::Nested,
        Kind::Container | Kind::Suite | Kind::Case | Kind::Within => {}
    }
    let in_case = matches!(within, Kind::Case | Kind::Within);
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
        _ if in_case => Kind::Within,
        _ => Kind::Container,
    }
}

/// An element that is open.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    name: String,
    attributes: Attributes,
    pub(super) items: Vec<Item>,
    /// How many suites began right in it.
    suites: usize,
    details: BTreeMap<String, Value>,
    is_failed: bool,
    is_skipped: bool,
    /// Whether anything below failed or is unknown already.
    has_trouble: bool,
    text: String,
    /// First half of a surrogate pair at the text's end.
    high: Option<High>,
}

impl Frame {
    /// `name` is the element's name, for elements that have no name of their own.
    pub(super) fn new(kind: Kind, name: &str, attributes: Attributes, around: Option<&mut Self>) -> Self {
        let mut own = attributes.text("name");
        match kind {
            Kind::Suite => {
                let position = around.map_or(1, |around| {
                    around.suites += 1;
                    around.suites
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
            has_trouble: false,
            text: String::new(),
            high: None,
        }
    }

    /// Whether an element says that it failed.
    pub(super) fn is_failed(&self) -> bool {
        self.is_failed || matches!(words::of_case(&self.attributes), Some((Word::Failed, _)))
    }

    pub(super) fn push_text(&mut self, text: &str) {
        self.high = None;
        self.text.push_str(text);
    }

    pub(super) fn push_reference(&mut self, name: &str) {
        self.high = push_reference(&mut self.text, name, self.high);
    }

    /// Takes what a finished element says; one that holds only others hands them over.
    pub(super) fn take(&mut self, ended: Self, compatibility: Compatibility) {
        match ended.kind {
            Kind::Part(part) => self.part(part, ended.attributes.get("message").unwrap_or_default(), ended.text),
            Kind::Within => {
                self.is_failed |= ended.is_failed;
                self.is_skipped |= ended.is_skipped;
                for (key, value) in ended.details {
                    self.detail(&key, value.as_str().unwrap_or_default());
                }
                self.items.extend(ended.items);
            }
            Kind::Container => {
                let (items, has_trouble) = ended.container(compatibility);
                self.items.extend(items);
                self.has_trouble |= has_trouble;
            }
            Kind::Suite => {
                let (item, has_trouble) = ended.suite(compatibility);
                self.items.push(item);
                self.has_trouble |= has_trouble;
            }
            Kind::Case => {
                let item = ended.case(compatibility);
                self.has_trouble |= has_trouble(&item);
                self.items.push(item);
            }
            Kind::Nested => self.push_text(&ended.text),
            Kind::Ignored => {}
        }
    }

    fn part(&mut self, part: Part, message: &str, text: String) {
        let value = match part {
            Part::Skipped => {
                self.is_skipped = true;
                return;
            }
            Part::Failure | Part::Error => {
                self.is_failed = true;
                format!("{message} {text}").trim().to_owned()
            }
            Part::SystemOut | Part::SystemErr => text,
        };
        self.detail(part.key(), &value);
    }

    /// Several of a kind stand one after the other.
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
        let word = words::of_case(&self.attributes);
        let failed_by_word = matches!(word, Some((Word::Failed, _)));
        let is_failed = self.is_failed || failed_by_word;
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
            match &word {
                Some((Word::Skipped, _)) => status::SKIPPED,
                Some((Word::Unknown, said)) => {
                    let error = format!("the outcome is not a word that is known: {said}");
                    item.meta.insert(meta::ERROR.to_owned(), error);
                    status::UNKNOWN
                }
                _ => status::PASSED,
            }
        };
        if failed_by_word && !item.details.contains_key("failure") && !item.details.contains_key("error") {
            let (_, said) = word.unwrap_or((Word::Failed, String::new()));
            item.details.insert("failure".to_owned(), Value::String(said));
        }
        status.clone_into(&mut item.status);
        if self.items.is_empty() {
            return item;
        }
        // Only leaves are counted: a case with others in it is one of them.
        Item {
            name: item.name.clone(),
            items: self.items.into_iter().chain([item]).collect(),
            ..Item::default()
        }
    }

    /// The suite, and whether anything in it failed or is unknown. One without anything in it has no status yet.
    fn suite(mut self, compatibility: Compatibility) -> (Item, bool) {
        let own = self.own(compatibility);
        let runs = self
            .attributes
            .number("tests")
            .saturating_sub(self.attributes.number("skipped"))
            .saturating_sub(self.attributes.number("disabled"));
        let mut has_trouble = self.has_trouble || own.is_some();
        let mut item = Item {
            name: self.name,
            items: self.items,
            ..Item::default()
        };
        match own {
            Some(own) if item.items.is_empty() => item = own,
            Some(own) => item.items.push(own),
            None if item.items.is_empty() && runs > 0 => {
                let error = format!("the suite has no test cases and claims to have {runs}");
                item.meta.insert(meta::ERROR.to_owned(), error);
                has_trouble = true;
            }
            None => {}
        }
        (item, has_trouble)
    }

    /// All that stands in it, and whether anything of it failed or is unknown.
    pub(super) fn container(mut self, compatibility: Compatibility) -> (Vec<Item>, bool) {
        let own = self.own(compatibility);
        let has_trouble = self.has_trouble || own.is_some();
        self.items.extend(own);
        (self.items, has_trouble)
    }

    /// What a suite says of itself and none of its cases does.
    fn own(&mut self, compatibility: Compatibility) -> Option<Item> {
        let mut own = Item {
            name: self.name.clone(),
            ..Item::default()
        };
        if self.is_failed {
            status::FAILED.clone_into(&mut own.status);
            own.details = std::mem::take(&mut self.details);
            return Some(own);
        }
        let claims = self
            .attributes
            .number("errors")
            .saturating_add(self.attributes.number("failures"));
        if self.has_trouble || compatibility.empty_passes || (claims == 0 && !words::suite_failed(&self.attributes)) {
            return None;
        }
        let error = match claims {
            0 => "the suite claims to have failed, and no test case did".to_owned(),
            claims => format!("the suite claims {claims} errors and failures, and no test case shows one"),
        };
        status::UNKNOWN.clone_into(&mut own.status);
        own.meta.insert(meta::ERROR.to_owned(), error);
        Some(own)
    }
}

fn has_trouble(item: &Item) -> bool {
    matches!(item.status.as_str(), status::FAILED | status::UNKNOWN) || item.items.iter().any(has_trouble)
}
