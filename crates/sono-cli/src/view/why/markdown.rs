//! Causes of failures as Markdown, for comments and issues.

use sono_analysis::{FailureView, Why};

use super::{MAX_KEYS, headline, shown_keys};
use crate::output::{Markdown, markdown};

/// Maximum number of failures in a list. The size of comments is limited.
const MAX_FAILURES: usize = 50;

/// All causes; or the selected failures, with evidence if it is only one.
pub(crate) fn markdown(why: &Why, selected: Option<&[usize]>) -> Markdown {
    let lines = match selected {
        None => overview(why),
        Some([only]) => why.failures.get(*only).map(failure).unwrap_or_default(),
        Some(selected) => list(why, selected),
    };
    markdown![Markdown::lines(lines), "\n"]
}

fn overview(why: &Why) -> Vec<Markdown> {
    let mut lines = vec![
        "### Causes".into(),
        Markdown::default(),
        Markdown::text(&headline(why)),
        Markdown::default(),
    ];
    for cause in &why.causes {
        lines.push(markdown![
            "- ",
            cause.count as u64,
            ": ",
            Markdown::text(&cause.sentence),
            " (",
            Markdown::text(cause.certainty.as_str()),
            ", ",
            Markdown::code(&cause.id),
            ")"
        ]);
        for (key, count) in shown_keys(cause) {
            lines.push(markdown!["  - ", count as u64, ": ", Markdown::code(key)]);
        }
        if cause.keys.len() > MAX_KEYS {
            lines.push(markdown!["  - and ", (cause.keys.len() - MAX_KEYS) as u64, " more"]);
        }
    }
    let unexplained = why.failed - why.explained;
    if unexplained > 0 {
        lines.push(markdown!["- ", unexplained as u64, ": without a known cause"]);
        for group in why.unexplained.iter().take(MAX_KEYS) {
            lines.push(markdown![
                "  - ",
                group.count as u64,
                ": ",
                Markdown::code(&group.message)
            ]);
        }
    }
    lines
}

fn list(why: &Why, selected: &[usize]) -> Vec<Markdown> {
    let mut lines = vec!["### Failures".into(), Markdown::default()];
    let failures = selected.iter().filter_map(|number| why.failures.get(*number));
    for failure in failures.take(MAX_FAILURES) {
        lines.push(markdown!["- ", Markdown::code(&failure.name)]);
        if let Some(sentence) = &failure.sentence {
            lines.push(markdown!["  ", Markdown::text(sentence)]);
        }
        if let Some(proof) = failure.proof.first() {
            lines.extend(Markdown::quoted([proof.text.as_str()], "  "));
        }
    }
    if selected.len() > MAX_FAILURES {
        lines.push(markdown!["- and ", (selected.len() - MAX_FAILURES) as u64, " more"]);
    }
    lines
}

fn failure(failure: &FailureView) -> Vec<Markdown> {
    let mut lines = vec![
        markdown!["### ", Markdown::code(&failure.name)],
        Markdown::default(),
        Markdown::text(&failure.about()),
        Markdown::default(),
    ];
    match (&failure.cause, &failure.sentence) {
        (Some(cause), Some(sentence)) => {
            let certainty = failure.certainty.map_or("likely", sono_analysis::Certainty::as_str);
            lines.push(markdown![
                "Cause: ",
                Markdown::text(sentence),
                " (",
                Markdown::text(certainty),
                ", ",
                Markdown::code(cause),
                ")"
            ]);
            for proof in &failure.proof {
                lines.extend([Markdown::default(), Markdown::text(&proof.place()), Markdown::default()]);
                lines.extend(Markdown::quoted([proof.text.as_str()], ""));
            }
            if let Some(next) = &failure.next {
                lines.extend([Markdown::default(), markdown!["Next: ", Markdown::code(next)]]);
            }
        }
        _ => lines.push("Cause: not known".into()),
    }
    for (title, rows) in failure.evidence() {
        lines.extend([
            Markdown::default(),
            markdown!["#### ", Markdown::text(title)],
            Markdown::default(),
        ]);
        lines.extend(Markdown::quoted(rows.iter().map(String::as_str), ""));
    }
    lines
}
