//! What a page says a test shows: the test must be there. `crate::test` in backticks names it.

use std::collections::{BTreeMap, BTreeSet};

use super::violation::Violation;

/// The pages whose claims are tests.
pub(super) const PAGES: &[&str] = &["docs/weaknesses.md", "docs/fixed.md"];

/// The names of all functions of a member's sources.
pub(super) fn functions<'text>(sources: impl IntoIterator<Item = &'text str>) -> BTreeSet<String> {
    sources.into_iter().flat_map(functions_of).collect()
}

fn functions_of(text: &str) -> impl Iterator<Item = String> {
    text.split("fn ").skip(1).filter_map(|rest| {
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
        (end > 0).then(|| rest[..end].to_owned())
    })
}

/// `members`: the functions of each, by its name.
pub(super) fn check(path: &str, page: &str, members: &BTreeMap<&str, BTreeSet<String>>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in page.lines().enumerate() {
        let mut named = false;
        for span in line.split('`').skip(1).step_by(2) {
            let Some((member, function)) = span.split_once("::") else {
                continue;
            };
            let Some(functions) = members.get(member) else {
                continue;
            };
            named = true;
            if !functions.contains(function) {
                let message = format!("`{span}` names a test that is not there");
                violations.push(Violation::at(path, index + 1, message));
            }
        }
        // A row of the table begins with the number of what it is about.
        if is_row(line) && !named && !line.contains("stays:") {
            let message = "a row with neither a test (`crate::test`) nor a reason (`stays: …`)";
            violations.push(Violation::at(path, index + 1, message));
        }
    }
    violations
}

fn is_row(line: &str) -> bool {
    line.strip_prefix("| ")
        .and_then(|rest| rest.chars().next())
        .is_some_and(|letter| letter.is_ascii_digit() || line.starts_with("| W-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_a_test_or_says_why_not() {
        let sources = ["#[test]\nfn nested() {}", "async fn streams(a: u8) {}"];
        let members = BTreeMap::from([("sono-a", functions(sources))]);
        let page = "| id | test |\n|---|---|\n| W-1 | `sono-a::nested`, `sono-a::streams` |\n| W-2 | `sono-a::gone` |\n\
            | W-3 | soon |\n| 4 | stays: the format needs it |\ntext with `std::mem`\n";
        assert_eq!(
            check("docs/a.md", page, &members),
            [
                Violation::at("docs/a.md", 4, "`sono-a::gone` names a test that is not there"),
                Violation::at(
                    "docs/a.md",
                    5,
                    "a row with neither a test (`crate::test`) nor a reason (`stays: …`)"
                ),
            ]
        );
    }
}
