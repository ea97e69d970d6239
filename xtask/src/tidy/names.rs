//! Names that only one file or crate may use, so that the library can be replaced there.

use super::{
    code::{is_word, only_code},
    violation::Violation,
};

struct Rule {
    name: &'static str,
    /// A file, or a directory with a trailing `/`.
    home: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "serde_saphyr",
        home: "crates/sono-types/src/yaml.rs",
    },
    Rule {
        name: "kube::",
        home: "crates/sono-kube/",
    },
];

pub(super) fn check(path: &str, text: &str) -> Vec<Violation> {
    let applicable: Vec<&Rule> = RULES.iter().filter(|rule| !path.starts_with(rule.home)).collect();
    let code = only_code(text);
    code.lines()
        .enumerate()
        .flat_map(|(index, line)| {
            let found = applicable.iter().filter(move |rule| names(line, rule.name));
            found.map(move |rule| {
                let message = format!("only {} may use `{}`", rule.home, rule.name);
                Violation::at(path, index + 1, message)
            })
        })
        .collect()
}

/// Whether the line contains the name as a whole word at the start of a path.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        // `::kube::` is the crate, `crate::kube::` and `sono_kube::` are not.
        let begins = match before.strip_suffix("::") {
            Some(path) => !path.ends_with(is_word),
            None => !before.ends_with(is_word),
        };
        begins && (name.ends_with(':') || !after.starts_with(is_word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_outside_its_home_is_reported_with_line() {
        let text = "use sono_kube::Client; // kube::Client\nuse {kube::Client, serde_saphyr as yaml};\nlet a = \"kube::\";\n::kube::a();";
        let path = "crates/sono-cli/src/a.rs";
        assert_eq!(
            check(path, text),
            [
                Violation::at(path, 2, "only crates/sono-types/src/yaml.rs may use `serde_saphyr`"),
                Violation::at(path, 2, "only crates/sono-kube/ may use `kube::`"),
                Violation::at(path, 4, "only crates/sono-kube/ may use `kube::`"),
            ]
        );
    }

    #[test]
    fn name_at_home_or_within_other_words_is_accepted() {
        let cases = [
            ("crates/sono-kube/src/client.rs", "use kube::Client;"),
            ("crates/sono-types/src/yaml.rs", "serde_saphyr::from_str(text)"),
            (
                "crates/sono-cli/src/a.rs",
                "use crate::kube::b; my_serde_saphyr(); serde_saphyr_like()",
            ),
        ];
        for (path, text) in cases {
            assert_eq!(check(path, text), [], "{path}");
        }
    }
}
