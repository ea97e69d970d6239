//! Checks that tests named on pages as `crate::test` exist. On the page with numbered rows, a test of each row must name the
//! row's number.

use std::collections::BTreeMap;

use super::violation::Violation;
use crate::rust_source::{Kind, Source};

/// The pages that name tests.
pub(super) const PAGES: &[&str] = &["docs/internals/weaknesses.md", "docs/internals/fixed.md"];

/// The page with numbered rows; tests name the numbers as `BUG 7` or `B-07`.
const NUMBERED: &str = "docs/internals/fixed.md";

/// The functions of a member's sources by name, with the comments above them.
pub(super) type Functions = BTreeMap<String, String>;

/// The functions of these sources, including those in macros.
pub(super) fn functions<'text>(sources: impl IntoIterator<Item = &'text Source>) -> Functions {
    let mut functions = Functions::new();
    for source in sources {
        let mut documentation = String::new();
        for (index, token) in source.tokens.iter().enumerate() {
            let before = |count: usize| {
                let at = index.checked_sub(count)?;
                source.tokens.get(at).map(|token| token.text.as_str())
            };
            match (token.kind, token.text.as_str()) {
                (Kind::Literal, text) if before(1) == Some("=") && before(2) == Some("doc") => {
                    documentation.push_str(text);
                    documentation.push('\n');
                }
                (Kind::Identifier, name) if before(1) == Some("fn") => {
                    functions.entry(name.to_owned()).or_default().push_str(&documentation);
                    documentation.clear();
                }
                (Kind::Identifier, "struct" | "enum" | "const" | "static" | "mod" | "impl" | "type" | "use") => {
                    documentation.clear();
                }
                _ => {}
            }
        }
    }
    functions
}

/// Checks a page. `members` are the functions of each member by name.
pub(super) fn check(path: &str, page: &str, members: &BTreeMap<&str, Functions>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in page.lines().enumerate() {
        let mut named = false;
        let mut comments = String::new();
        for span in line.split('`').skip(1).step_by(2) {
            let Some((member, function)) = span.split_once("::") else {
                continue;
            };
            let Some(functions) = members.get(member) else {
                continue;
            };
            named = true;
            if let Some(comment) = functions.get(function) {
                comments.push_str(comment);
            } else {
                let message = format!("the test `{span}` does not exist");
                violations.push(Violation::at(path, index + 1, message));
            }
        }
        if let (true, true, Some(number)) = (path == NUMBERED, named, number(line))
            && !names(&comments, number)
        {
            let message = format!("no test of this row names `BUG {number}` in its comment");
            violations.push(Violation::at(path, index + 1, message));
        }
        // A row of the table begins with the number of its subject.
        if is_row(line) && !named && !line.contains("stays:") {
            let message = "a row with neither a test (`crate::test`) nor a reason (`stays: …`)";
            violations.push(Violation::at(path, index + 1, message));
        }
    }
    violations
}

fn number(line: &str) -> Option<u32> {
    line.strip_prefix("| ")?.split(' ').next()?.parse().ok()
}

/// Whether comments contain `BUG 7` or `B-07`, and not only `BUG 70`.
fn names(comments: &str, number: u32) -> bool {
    ["BUG ", "B-"].into_iter().any(|word| {
        comments.split(word).skip(1).any(|rest| {
            let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse() == Ok(number)
        })
    })
}

fn is_row(line: &str) -> bool {
    line.strip_prefix("| ")
        .and_then(|rest| rest.chars().next())
        .is_some_and(|letter| letter.is_ascii_digit() || line.starts_with("| W-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed<const N: usize>(sources: [&str; N]) -> Vec<Source> {
        sources.map(|text| Source::parse(text).expect("Rust")).into()
    }

    #[test]
    fn test_without_row_number_is_reported() {
        let sources =
            ["/// Text. BUG 7: why.\n#[test]\nfn seven() {}\n/// B-08: why.\n    async fn eight() {}\nfn none() {}\n"];
        let members = BTreeMap::from([("sono-a", functions(&parsed(sources)))]);
        let page = "| 7 | `sono-a::none`, `sono-a::seven` |\n| 8 | `sono-a::eight` |\n| 70 | `sono-a::seven` |\n";
        assert_eq!(
            check(NUMBERED, page, &members),
            [Violation::at(
                NUMBERED,
                3,
                "no test of this row names `BUG 70` in its comment"
            )]
        );
    }

    #[test]
    fn row_without_test_or_reason_is_reported() {
        let sources = ["#[test]\nfn nested() {}", "async fn streams(a: u8) {}"];
        let members = BTreeMap::from([("sono-a", functions(&parsed(sources)))]);
        let page = "| id | test |\n|---|---|\n| W-1 | `sono-a::nested`, `sono-a::streams` |\n| W-2 | `sono-a::gone` |\n\
            | W-3 | soon |\n| 4 | stays: the format needs it |\ntext with `std::mem`\n";
        assert_eq!(
            check("docs/a.md", page, &members),
            [
                Violation::at("docs/a.md", 4, "the test `sono-a::gone` does not exist"),
                Violation::at(
                    "docs/a.md",
                    5,
                    "a row with neither a test (`crate::test`) nor a reason (`stays: …`)"
                ),
            ]
        );
    }
}
