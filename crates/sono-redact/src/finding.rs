//! Places of secrets in a text.

use crate::hits::Rule;

/// A range of bytes to replace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) rule: Rule,
}

/// The work for a text is beyond its limit, so the text is replaced as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OverLimit;

/// Sorts the ranges and joins those that overlap. The rule of a joined range is that of its first one.
pub(crate) fn merge(findings: &mut Vec<Finding>) {
    findings.retain(|finding| finding.start < finding.end);
    findings.sort_by_key(|finding| (finding.start, std::cmp::Reverse(finding.end)));
    let mut merged: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings.drain(..) {
        match merged.last_mut() {
            Some(last) if finding.start < last.end => last.end = last.end.max(finding.end),
            _ => merged.push(finding),
        }
    }
    *findings = merged;
}
