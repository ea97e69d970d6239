//! Names that only one place may use, so that a library can be replaced there.

use super::{
    code::{is_word, only_code},
    violation::Violation,
};

struct Rule {
    name: &'static str,
    /// A file, or a directory with its `/`.
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
    let strangers: Vec<&Rule> = RULES.iter().filter(|rule| !path.starts_with(rule.home)).collect();
    let code = only_code(text);
    code.lines()
        .enumerate()
        .flat_map(|(index, line)| {
            let found = strangers.iter().filter(move |rule| names(line, rule.name));
            found.map(move |rule| {
                let message = format!("only {} names `{}`", rule.home, rule.name);
                Violation::at(path, index + 1, message)
            })
        })
        .collect()
}

/// Whether it is in there as a word of its own, at the start of a path.
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
    fn a_name_outside_its_home_is_found_where_it_is() {
        let text = "use sono_kube::Client; // kube::Client\nuse {kube::Client, serde_saphyr as yaml};\nlet a = \"kube::\";\n::kube::a();";
        let path = "crates/sono-cli/src/a.rs";
        assert_eq!(
            check(path, text),
            [
                Violation::at(path, 2, "only crates/sono-types/src/yaml.rs names `serde_saphyr`"),
                Violation::at(path, 2, "only crates/sono-kube/ names `kube::`"),
                Violation::at(path, 4, "only crates/sono-kube/ names `kube::`"),
            ]
        );
    }

    #[test]
    fn at_home_and_in_other_words_it_is_fine() {
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
