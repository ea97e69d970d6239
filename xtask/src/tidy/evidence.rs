//! What a page says a test shows: the test must be there. `crate::test` in backticks names it. Where the page says that
//! tests name their numbers, one of each row's must.

use std::collections::BTreeMap;

use super::violation::Violation;

/// The pages whose claims are tests.
pub(super) const PAGES: &[&str] = &["docs/weaknesses.md", "docs/fixed.md"];

/// The page whose rows are numbers that their tests name: `BUG 7`, or `B-07`.
const NUMBERED: &str = "docs/fixed.md";

/// The functions of a member's sources by their names, each with the comment above it.
pub(super) type Functions = BTreeMap<String, String>;

/// Those of all these sources.
pub(super) fn functions<'text>(sources: impl IntoIterator<Item = &'text str>) -> Functions {
    let mut functions = Functions::new();
    for text in sources {
        let mut above = "";
        for rest in text.split_inclusive("fn ") {
            let end = rest
                .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .unwrap_or(rest.len());
            if end > 0 && !above.is_empty() {
                functions
                    .entry(rest[..end].to_owned())
                    .or_default()
                    .push_str(&comment(above));
            }
            above = rest;
        }
    }
    functions
}

/// The last lines of a text that are a comment or an attribute.
fn comment(text: &str) -> String {
    let lines = text.lines().rev().skip(1).map(str::trim);
    let lines = lines.take_while(|line| line.starts_with("///") || line.starts_with("#["));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// `members`: the functions of each, by its name.
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
                let message = format!("`{span}` names a test that is not there");
                violations.push(Violation::at(path, index + 1, message));
            }
        }
        if let (true, true, Some(number)) = (path == NUMBERED, named, number(line))
            && !names(&comments, number)
        {
            let message = format!("none of the tests names `BUG {number}` in the comment above it");
            violations.push(Violation::at(path, index + 1, message));
        }
        // A row of the table begins with the number of what it is about.
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

/// Whether comments say `BUG 7` or `B-07`, and not only `BUG 70`.
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

    #[test]
    fn a_test_names_its_number() {
        let sources =
            ["/// Text. BUG 7: why.\n#[test]\nfn seven() {}\n/// B-08: why.\n    async fn eight() {}\nfn none() {}\n"];
        let members = BTreeMap::from([("sono-a", functions(sources))]);
        let page = "| 7 | `sono-a::none`, `sono-a::seven` |\n| 8 | `sono-a::eight` |\n| 70 | `sono-a::seven` |\n";
        assert_eq!(
            check(NUMBERED, page, &members),
            [Violation::at(
                NUMBERED,
                3,
                "none of the tests names `BUG 70` in the comment above it"
            )]
        );
    }

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
