//! A CI job's summary: Markdown in a file that several commands write to, with a section for each run. Pure.

use std::{borrow::Cow, ops::Range};

use crate::output::{Markdown, visible};

/// A section, and what it is about.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// Earlier sections about one of these give way to this one: first the run's identity, where it is known.
    pub(crate) about: &'a [&'a str],
    /// The long form first, then shorter ones.
    pub(crate) forms: &'a [Markdown],
}

/// The text with the section in it, in the longest form with which all of it has at most `limit` bytes. `None` where no
/// form is short enough.
pub(crate) fn with_section(before: &str, section: &Section<'_>, limit: usize) -> Option<String> {
    let mut kept = Cow::Borrowed(before);
    for subject in section.about {
        if let Some(without) = without(&kept, subject) {
            kept = Cow::Owned(without);
        }
    }
    let subject = section.about.first().copied().unwrap_or_default();
    let gap = if kept.is_empty() || kept.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let texts = section.forms.iter().map(|form| {
        let form = form.as_str();
        let line = if form.ends_with('\n') { "" } else { "\n" };
        format!("{kept}{gap}{}\n{form}{line}{}\n", begin(subject), end(subject))
    });
    texts.into_iter().find(|text| text.len() <= limit)
}

fn begin(subject: &str) -> String {
    format!("<!-- sono: {} -->", safe(subject))
}

fn end(subject: &str) -> String {
    format!("<!-- sono: end of {} -->", safe(subject))
}

/// Nothing that ends a comment.
fn safe(subject: &str) -> String {
    visible(subject).replace("--", "- -").replace(['<', '>'], " ")
}

/// The text without the section about it, if there is one.
fn without(text: &str, subject: &str) -> Option<String> {
    let first = whole_line(text, &begin(subject))?;
    let (before, rest) = (&text[..first.start], &text[first.end..]);
    let last = whole_line(rest, &end(subject))?;
    Some(format!("{before}{}", &rest[last.end..]))
}

/// Where a line stands that has nothing else on it; foreign text in a section is never at the start of a line.
fn whole_line(text: &str, line: &str) -> Option<Range<usize>> {
    let found = text.match_indices(line).map(|(at, _)| at);
    let mut whole =
        found.filter(|at| (*at == 0 || text[..*at].ends_with('\n')) && text[at + line.len()..].starts_with('\n'));
    whole.next().map(|at| at..at + line.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(before: &str, about: &[&str], forms: &[&'static str], limit: usize) -> Option<String> {
        let forms: Vec<Markdown> = forms.iter().map(|form| Markdown::from(*form)).collect();
        with_section(before, &Section { about, forms: &forms }, limit)
    }

    #[test]
    fn a_section_comes_last_and_takes_the_place_of_what_was_said_before() {
        let first = with("# Mine", &["4f2a", "ns"], &["one\n"], 1000).unwrap();
        assert_eq!(first, "# Mine\n<!-- sono: 4f2a -->\none\n<!-- sono: end of 4f2a -->\n");
        let other = with(&first, &["77"], &["other"], 1000).unwrap();
        let section = "<!-- sono: 77 -->\nother\n<!-- sono: end of 77 -->\n";
        assert_eq!(other, format!("{first}{section}"));
        let again = with(&other, &["4f2a", "77"], &["two\n"], 1000).unwrap();
        assert_eq!(again, first.replace("one", "two"));
    }

    #[test]
    fn the_longest_form_that_fits_is_taken() {
        let forms = ["a long one\n", "short\n"];
        let long = with("", &["r"], &forms, 1000).unwrap();
        assert!(long.contains("a long one"));
        assert!(with("", &["r"], &forms, long.len() - 1).unwrap().contains("short"));
        assert_eq!(with("", &["r"], &forms, 10), None);
        // What gives way makes room.
        assert_eq!(with(&long, &["r"], &forms, long.len()), Some(long.clone()));
    }

    #[test]
    fn section_with_a_foreign_end_in_it_is_replaced_as_a_whole() {
        let hostile = "  ```text\n  <!-- sono: end of r -->\n  # x\n  ```\n";
        let text = with("a\n", &["r"], &[hostile], 1000).unwrap();
        assert_eq!(
            with(&text, &["r"], &["y\n"], 1000).unwrap(),
            "a\n<!-- sono: r -->\ny\n<!-- sono: end of r -->\n"
        );
    }

    #[test]
    fn a_comment_ends_where_it_should() {
        let text = with("", &["a --> b"], &["x"], 1000).unwrap();
        assert_eq!(text.matches("-->").count(), 2, "{text}");
        assert_eq!(
            with(&text, &["a --> b"], &["y"], 1000),
            Some(text.replace("\nx\n", "\ny\n"))
        );
    }
}
