//! All layers over one text.

use std::{borrow::Cow, sync::LazyLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use crate::{
    REDACTED,
    assign::{KEYWORDS, PROGRAMS, assignment, command_line, name_around, statement},
    bytes::{before, find, part},
    finding::{Finding, OverLimit, merge},
    hits::{Redactions, Rule},
    known,
    shapes::{SPECIALS, Special, TOKENS, private_key, special, token},
};

/// Which layers search a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// Known values only: names and results stay as they are.
    Known,
    /// Known values and shapes: texts in which a name says nothing.
    Shapes,
    /// Known values, shapes and assignments.
    All,
}

/// What a keyword starts.
#[derive(Debug, Clone, Copy)]
enum Action {
    Token(usize),
    Special(Special),
    Name,
    Statement,
    Program,
}

/// The keywords of all shapes and assignments, with their actions.
struct Keywords {
    automaton: AhoCorasick,
    actions: Vec<Action>,
}

static ALL_KEYWORDS: LazyLock<Keywords> = LazyLock::new(|| {
    let tokens = TOKENS
        .iter()
        .enumerate()
        .map(|(index, token)| (token.prefix, Action::Token(index)));
    let specials = SPECIALS
        .iter()
        .map(|(keyword, special)| (*keyword, Action::Special(*special)));
    let names = KEYWORDS.iter().map(|keyword| (*keyword, Action::Name));
    let statements = ["password", "identified by"].map(|keyword| (keyword, Action::Statement));
    let programs = PROGRAMS.iter().map(|(program, _)| (*program, Action::Program));
    let all = tokens.chain(specials).chain(names).chain(statements).chain(programs);
    let (keywords, actions): (Vec<&str>, Vec<Action>) = all.unzip();
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(keywords)
        .expect("the keywords are constants");
    Keywords { automaton, actions }
});

/// Buffers of a scan, for the next text.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    known: known::Scratch,
    pub(crate) findings: Vec<Finding>,
    /// Bytes that were compared with known values.
    pub(crate) steps: u64,
}

/// The search with its known values.
#[derive(Debug)]
pub(crate) struct Search {
    index: known::Index,
}

impl Search {
    pub(crate) fn new(index: known::Index) -> Self {
        Self { index }
    }

    /// Finds secrets in `text`. They are sorted in `scratch` and do not overlap.
    pub(crate) fn scan(&self, text: &[u8], layers: Layers, scratch: &mut Scratch) -> Result<(), OverLimit> {
        let Scratch { known, findings, steps } = scratch;
        findings.clear();
        if !self.index.is_empty() {
            self.index.search(text, known, findings, steps)?;
        }
        if layers != Layers::Known {
            keywords(text, layers, findings);
        }
        merge(findings);
        Ok(())
    }

    /// Redacts a text at `path` of an object.
    pub(crate) fn replace<'t>(
        &self,
        (kind, path): (&str, &str),
        text: &'t str,
        layers: Layers,
        scratch: &mut Scratch,
        redactions: &mut Redactions,
    ) -> Cow<'t, str> {
        if self.scan(text.as_bytes(), layers, scratch) == Err(OverLimit) {
            redactions.add(kind, path, Rule::Limit);
            return Cow::Owned(REDACTED.to_owned());
        }
        if scratch.findings.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = Vec::with_capacity(text.len());
        let mut copied = 0;
        for finding in &scratch.findings {
            out.extend_from_slice(part(text.as_bytes(), copied, finding.start));
            out.extend_from_slice(REDACTED.as_bytes());
            redactions.add(kind, path, finding.rule);
            copied = finding.end;
        }
        out.extend_from_slice(part(text.as_bytes(), copied, text.len()));
        Cow::Owned(String::from_utf8_lossy(&out).into_owned())
    }
}

/// Whether a text has any keyword of a secret.
pub(crate) fn has_keyword(text: &str) -> bool {
    ALL_KEYWORDS.automaton.is_match(text)
}

fn keywords(text: &[u8], layers: Layers, findings: &mut Vec<Finding>) {
    // The ends of what was read for each kind of action: a keyword inside of it needs no second look.
    let (mut named, mut commanded, mut shaped, mut footer) = (0, 0, 0, 0);
    for found in ALL_KEYWORDS.automaton.find_overlapping_iter(text) {
        let (start, end) = (found.start(), found.end());
        match ALL_KEYWORDS.actions.get(found.pattern().as_usize()) {
            Some(Action::Token(index)) if start >= shaped => {
                let token = TOKENS.get(*index).and_then(|format| token(text, start, format));
                shaped = token.map_or(shaped, |finding| finding.end);
                findings.extend(token);
            }
            Some(Action::Special(Special::Pem)) if start >= shaped => {
                // One search for the end of all keys before it.
                if footer < end {
                    footer = find(text, end, text.len(), b"-----END ").unwrap_or(usize::MAX);
                }
                let finding = private_key(text, start, end, footer);
                shaped = finding.map_or(shaped, |finding| finding.end);
                findings.extend(finding);
            }
            Some(Action::Special(kind)) if start >= shaped => {
                let finding = special(text, start, end, *kind);
                // Values of URLs may contain other shapes.
                if !matches!(kind, Special::Url | Special::Basic | Special::Bearer) {
                    shaped = finding.map_or(shaped, |finding| finding.end);
                }
                findings.extend(finding);
            }
            Some(Action::Name) if layers == Layers::All && start >= named => {
                // Some keywords end with their separator.
                let end = end - usize::from(before(text, end) == b'=');
                let (first, last) = name_around(text, start, end);
                named = last;
                if let Some(finding) = assignment(text, first, last) {
                    named = named.max(finding.end);
                    findings.push(finding);
                }
            }
            Some(Action::Statement) if layers == Layers::All => findings.extend(statement(text, end)),
            Some(Action::Program) if layers == Layers::All && start >= commanded => {
                commanded = command_line(text, start, end, findings);
            }
            _ => {}
        }
    }
}
