//! Checks references to the contract with Sonobuoy: `core §2.4` must be a heading of a page in `docs/internals/contract`, and
//! `W-8` a row of the weaknesses.

use std::collections::BTreeSet;

use super::Problem;

/// Folder of the pages with the sections.
const FOLDER: &str = "docs/internals/contract/";
const WEAKNESSES: &str = "docs/internals/weaknesses.md";

/// This file, whose tests contain references without sections.
const HERE: &str = "xtask/src/docs/references.rs";

/// Series of section numbers. References to the last one are not checked.
const SERIES: [&str; 3] = ["core", "cli", EXTERNAL];
const EXTERNAL: &str = "rfc";

/// Whether the page defines sections.
pub(super) fn has_sections(path: &str) -> bool {
    path.starts_with(FOLDER) || path == WEAKNESSES
}

/// The sections of a page: `core §2.4` from a heading, `W-8` from a row.
pub(super) fn sections(page: &str) -> Vec<String> {
    page.lines().filter_map(section).map(ToOwned::to_owned).collect()
}

fn section(line: &str) -> Option<&str> {
    if let Some(row) = line.strip_prefix("| ") {
        return row.split(' ').next().filter(|id| is_weakness(id));
    }
    if !line.starts_with('#') {
        return None;
    }
    let (section, _) = line.trim_start_matches('#').trim_start().split_once(": ")?;
    section.contains(" §").then_some(section)
}

/// Finds references without section.
pub(super) fn check(path: &str, text: &str, sections: &BTreeSet<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if path == HERE {
        return problems;
    }
    for (index, line) in text.lines().enumerate() {
        let mut series: Option<&str> = None;
        for word in line.split_whitespace() {
            let word = word.trim_matches(|letter: char| letter != '§' && !letter.is_alphanumeric());
            let named = SERIES.into_iter().find(|name| word.eq_ignore_ascii_case(name));
            series = named.or(series);
            let reference = match (word.strip_prefix('§'), series) {
                (None, _) if is_weakness(word) => word.to_owned(),
                (None, _) | (Some(_), Some(EXTERNAL)) => continue,
                (Some(number), Some(series)) => format!("{series} §{number}"),
                (Some(_), None) => word.to_owned(),
            };
            if !sections.contains(&reference) {
                let message = format!("`{reference}` is not a section in {FOLDER} or a row of {WEAKNESSES}");
                problems.push(Problem::new(path, index + 1, message));
            }
        }
    }
    problems
}

fn is_weakness(word: &str) -> bool {
    let number = word.strip_prefix("W-").unwrap_or_default();
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_headings_and_rows() {
        let page =
            "# Title: text\n## core §2: Two\n\n### core §2.4: HTTPS: why\ncore §3: text\n| W-8 | why |\n| id | W-9 |\n";
        assert_eq!(sections(page), ["core §2", "core §2.4", "W-8"]);
    }

    #[test]
    fn references_without_section_are_reported() {
        let sections = BTreeSet::from(["core §2.4", "cli §C", "W-8"].map(str::to_owned));
        let text = "// (Core §2.4, §2.5), cli §C.\n// §2.4\n// RFC 9110 §14, W-8, `W-9`.\n";
        let problem = |line: usize, reference: &str| {
            let message = format!("`{reference}` is not a section in {FOLDER} or a row of {WEAKNESSES}");
            Problem::new("a.rs", line, message)
        };
        let expected = [problem(1, "core §2.5"), problem(2, "§2.4"), problem(3, "W-9")];
        assert_eq!(check("a.rs", text, &sections), expected);
        assert_eq!(check(HERE, text, &sections), []);
    }
}
