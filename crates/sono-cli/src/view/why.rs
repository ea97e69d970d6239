//! Causes of failures for people. Pure.

mod markdown;

pub(crate) use markdown::markdown;
use sono_analysis::{Cause, Certainty, FailureView, Why};

use super::words::{counted, grouped};
use crate::output::{Text, Tone, text};

/// Maximum number of keys of a cause, and of messages without a cause.
const MAX_KEYS: usize = 10;
/// Maximum number of failures in a list.
const MAX_FAILURES: usize = 200;
/// Maximum number of causes at the end of a run.
const MAX_NOTES: usize = 5;

/// All causes; or the selected failures, with evidence if it is only one.
pub(crate) fn table(why: &Why, selected: Option<&[usize]>) -> Text {
    match selected {
        None => Text::lines(overview(why)),
        Some([only]) => Text::lines(why.failures.get(*only).map(failure).unwrap_or_default()),
        Some(selected) => Text::lines(list(why, selected)),
    }
}

/// `43 failures: 38 explained by 8 causes, 5 unexplained`
fn headline(why: &Why) -> String {
    if why.failed == 0 {
        return "no failures".to_owned();
    }
    let unexplained = why.failed - why.explained.min(why.failed);
    format!(
        "{}: {} explained by {}, {} unexplained",
        counted(why.failed as u64, "failure"),
        grouped(why.explained as u64),
        counted(why.causes.len() as u64, "cause"),
        grouped(unexplained as u64)
    )
}

fn overview(why: &Why) -> Vec<Text> {
    let mut lines = vec![Text::from(headline(why))];
    let width = grouped(why.failed as u64).len();
    let count = |count: usize| format!("{:>width$}", grouped(count as u64));
    let indent = " ".repeat(width + 2);
    for cause in &why.causes {
        lines.push(Text::default());
        lines.push(text![
            Tone::Bad.paint(count(cause.count)),
            "  ",
            &cause.sentence,
            "   ",
            certainty(cause.certainty),
            "   ",
            &cause.id
        ]);
        for (key, number) in shown_keys(cause) {
            lines.push(text![&indent, count(number), "  ", key]);
        }
        if cause.keys.len() > MAX_KEYS {
            lines.push(text![&indent, format!("and {} more", cause.keys.len() - MAX_KEYS)]);
        }
        if !cause.next.is_empty() {
            lines.push(text![&indent, "next: ", &cause.next]);
        }
    }
    let unexplained = why.failed - why.explained.min(why.failed);
    if unexplained > 0 {
        lines.push(Text::default());
        lines.push(text![
            Tone::Unsure.paint(count(unexplained)),
            "  without a known cause   unexplained"
        ]);
        for group in why.unexplained.iter().take(MAX_KEYS) {
            let message = if group.message.is_empty() {
                "(no message)"
            } else {
                &group.message
            };
            lines.push(text![&indent, count(group.count), "  ", message]);
        }
        if why.unexplained.len() > MAX_KEYS {
            lines.push(text![&indent, format!("and {} more", why.unexplained.len() - MAX_KEYS)]);
        }
    }
    lines
}

/// The most frequent causes in a line each, for the end of a run.
pub(crate) fn notes(why: &Why) -> Vec<Text> {
    let causes = why.causes.iter().take(MAX_NOTES).map(|cause| {
        let count = counted(cause.count as u64, "failure");
        text![
            "cause of ",
            count,
            ": ",
            &cause.sentence,
            " (",
            cause.certainty.as_str(),
            ")"
        ]
    });
    let mut lines: Vec<Text> = causes.collect();
    let unexplained = why.failed - why.explained.min(why.failed);
    if unexplained > 0 {
        lines.push(text!["without a known cause: ", counted(unexplained as u64, "failure")]);
    }
    lines
}

/// Keys with the numbers of their failures.
fn shown_keys(cause: &Cause) -> impl Iterator<Item = (&str, usize)> {
    cause
        .keys
        .iter()
        .take(MAX_KEYS)
        .map(|key| (key.key.as_str(), key.count))
}

fn certainty(certainty: Certainty) -> Text {
    match certainty {
        Certainty::Sure => certainty.as_str().into(),
        Certainty::Likely => Tone::Unsure.paint(certainty.as_str()),
    }
}

fn list(why: &Why, selected: &[usize]) -> Vec<Text> {
    let mut lines = vec![Text::from(counted(selected.len() as u64, "failure"))];
    let failures = selected.iter().filter_map(|number| why.failures.get(*number));
    for failure in failures.take(MAX_FAILURES) {
        lines.push(Text::default());
        lines.push(text![Tone::Bad.paint("✗"), " ", &failure.name]);
        match &failure.sentence {
            Some(sentence) => lines.push(text![
                "  ",
                sentence,
                "   ",
                certainty(failure.certainty.unwrap_or(Certainty::Likely))
            ]),
            None => lines.extend(failure.message.lines().take(3).map(|line| text!["  ", line])),
        }
        if let Some(proof) = failure.proof.first() {
            lines.push(text!["  ", proof.place(), ": ", &proof.text]);
        }
    }
    if selected.len() > MAX_FAILURES {
        lines.push(Text::from(format!("… and {} more", selected.len() - MAX_FAILURES)));
    }
    lines
}

fn failure(failure: &FailureView) -> Vec<Text> {
    let mut lines = vec![
        text![Tone::Bad.paint("✗"), " ", &failure.name],
        text!["  ", failure.about()],
        Text::default(),
    ];
    match (&failure.cause, &failure.sentence) {
        (Some(cause), Some(sentence)) => {
            let sure = certainty(failure.certainty.unwrap_or(Certainty::Likely));
            lines.push(text!["cause   ", sentence, "   ", sure, "   ", cause]);
            for proof in &failure.proof {
                lines.push(text!["proof   ", proof.place()]);
                lines.push(text!["          ", &proof.text]);
            }
            lines.extend(failure.next.iter().map(|next| text!["next    ", next]));
        }
        _ => lines.push("cause   no known cause; the evidence is below".into()),
    }
    for (title, rows) in failure.evidence() {
        lines.push(Text::default());
        lines.push(Text::own(title));
        lines.extend(rows.into_iter().map(|row| text!["  ", row]));
    }
    lines
}

#[cfg(test)]
mod tests;
