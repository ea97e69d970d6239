//! Names that only one file or crate may use, so that the library can be replaced there.

use super::violation::Violation;
use crate::rust_source::{Kind, Source, Token};

struct Rule {
    /// An identifier at the start of a path.
    name: &'static str,
    /// Whether only `NAME::` counts: the names of some crates are also ordinary words.
    in_paths: bool,
    /// A file, or a directory with a trailing `/`.
    home: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "serde_saphyr",
        in_paths: false,
        home: "crates/sono-types/src/yaml.rs",
    },
    Rule {
        name: "kube",
        in_paths: true,
        home: "crates/sono-kube/",
    },
];

pub(super) fn check(path: &str, source: &Source) -> Vec<Violation> {
    let foreign = RULES.iter().filter(|rule| !path.starts_with(rule.home));
    let mut violations: Vec<Violation> = foreign
        .flat_map(|rule| {
            let tokens = source.tokens.iter().enumerate();
            let found = tokens.filter(|(index, token)| {
                token.kind == Kind::Identifier && token.text == rule.name && is_start(&source.tokens, *index, rule)
            });
            found.map(move |(_, token)| {
                let message = format!("only {} names `{}`", rule.home, rule.name);
                Violation::at(path, token.line, message)
            })
        })
        .collect();
    violations.dedup();
    violations
}

/// Whether a path starts at this token: `::kube::Client` does, `crate::kube::Client` does not.
fn is_start(tokens: &[Token], index: usize, rule: &Rule) -> bool {
    let colons = |range: Option<&[Token]>| range.is_some_and(|pair| pair.iter().all(|token| token.text == ":"));
    let followed = colons(tokens.get(index + 1..index + 3));
    let path_before = index >= 3
        && colons(tokens.get(index - 2..index))
        && tokens
            .get(index - 3)
            .is_some_and(|token| token.kind == Kind::Identifier);
    !path_before && (followed || !rule.in_paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_outside_its_home_is_found_where_it_is() {
        let text = "use sono_kube::Client; // kube::Client\nuse {kube::Client, serde_saphyr as yaml};\nfn a() { let kube = \"kube::\";\n::kube::a(); }";
        let path = "crates/sono-cli/src/a.rs";
        assert_eq!(
            check(path, &Source::parse(text).expect("Rust")),
            [
                Violation::at(path, 2, "only crates/sono-types/src/yaml.rs names `serde_saphyr`"),
                Violation::at(path, 2, "only crates/sono-kube/ names `kube`"),
                Violation::at(path, 4, "only crates/sono-kube/ names `kube`"),
            ]
        );
    }

    #[test]
    fn name_at_home_or_within_other_words_is_accepted() {
        let cases = [
            ("crates/sono-kube/src/client.rs", "use kube::Client;"),
            (
                "crates/sono-types/src/yaml.rs",
                "fn a() { serde_saphyr::from_str(text) }",
            ),
            (
                "crates/sono-cli/src/a.rs",
                "use crate::kube::b; fn a() { my_serde_saphyr(); serde_saphyr_like() }",
            ),
        ];
        for (path, text) in cases {
            assert_eq!(check(path, &Source::parse(text).expect("Rust")), [], "{path}");
        }
    }
}
