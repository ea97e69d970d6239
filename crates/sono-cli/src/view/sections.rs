//! Summary of a CI job: a Markdown file to which several commands write, with one section per run. Pure.

use std::{borrow::Cow, ops::Range};

use crate::output::{Markdown, visible};

/// Section about a run.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    /// Subjects, the id of the run first if known. The section replaces earlier sections with one of them.
    pub(crate) about: &'a [&'a str],
    /// Forms of the section, the longest first.
    pub(crate) forms: &'a [Markdown],
}

/// Adds the section in the longest form that fits into `limit` bytes with the other sections. `None` if no form fits.
pub(crate) fn with_section(before: &str, section: &Section<'_>, limit: usize) -> Option<String> {
    let mut others = Cow::Borrowed(before);
    for subject in section.about {
        if let Some(without) = without(&others, subject) {
            others = Cow::Owned(without);
        }
    }
    let subject = section.about.first().copied().unwrap_or_default();
    let gap = if others.is_empty() || others.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let texts = section.forms.iter().map(|form| {
        let form = form.as_str();
        let line = if form.ends_with('\n') { "" } else { "\n" };
        format!("{others}{gap}{}\n{form}{line}{}\n", begin(subject), end(subject))
    });
    texts.into_iter().find(|text| text.len() <= limit)
}

fn begin(subject: &str) -> String {
    format!("<!-- sono: {} -->", safe(subject))
}

fn end(subject: &str) -> String {
    format!("<!-- sono: end of {} -->", safe(subject))
}

/// Removes the end of a comment from a subject.
fn safe(subject: &str) -> String {
    visible(subject).replace("--", "- -").replace(['<', '>'], " ")
}

/// Removes the section about a subject. `None` if it does not exist.
fn without(text: &str, subject: &str) -> Option<String> {
    let first = whole_line(text, &begin(subject))?;
    let (before, rest) = (&text[..first.start], &text[first.end..]);
    let last = whole_line(rest, &end(subject))?;
    Some(format!("{before}{}", &rest[last.end..]))
}

/// Position of a line with exactly this text. Foreign text in a section never starts a line.
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
    fn section_is_appended_and_replaces_an_earlier_one() {
        let first = with("# Mine", &["4f2a", "ns"], &["one\n"], 1000).unwrap();
        assert_eq!(first, "# Mine\n<!-- sono: 4f2a -->\none\n<!-- sono: end of 4f2a -->\n");
        let other = with(&first, &["77"], &["other"], 1000).unwrap();
        let section = "<!-- sono: 77 -->\nother\n<!-- sono: end of 77 -->\n";
        assert_eq!(other, format!("{first}{section}"));
        let again = with(&other, &["4f2a", "77"], &["two\n"], 1000).unwrap();
        assert_eq!(again, first.replace("one", "two"));
    }

    #[test]
    fn longest_form_that_fits_is_used() {
        let forms = ["a long one\n", "short\n"];
        let long = with("", &["r"], &forms, 1000).unwrap();
        assert!(long.contains("a long one"));
        assert!(with("", &["r"], &forms, long.len() - 1).unwrap().contains("short"));
        assert_eq!(with("", &["r"], &forms, 10), None);
        // The replaced section does not count.
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
    fn subject_cannot_end_the_comment() {
        let text = with("", &["a --> b"], &["x"], 1000).unwrap();
        assert_eq!(text.matches("-->").count(), 2, "{text}");
        assert_eq!(
            with(&text, &["a --> b"], &["y"], 1000),
            Some(text.replace("\nx\n", "\ny\n"))
        );
    }
}
