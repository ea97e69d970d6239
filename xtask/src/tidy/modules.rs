//! Finds source files that no `mod` declares: the compiler never checks them.
//!
//! Ignores `#[path]`, which this repository does not use.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use super::code::{is_word, only_code};

/// Returns the paths of files outside of all crates. `files` are texts by path, `roots` are the crates' root files.
pub(super) fn orphans<'a>(files: &BTreeMap<&'a str, &str>, roots: &[String]) -> Vec<&'a str> {
    let mut reached: BTreeSet<String> = BTreeSet::new();
    // Paths with the directories of their modules.
    let mut pending: Vec<(String, String)> = roots
        .iter()
        .map(|root| (root.clone(), parent(root).to_owned()))
        .collect();
    while let Some((path, directory)) = pending.pop() {
        let Some(text) = files.get(path.as_str()) else {
            continue;
        };
        if !reached.insert(path) {
            continue;
        }
        for module in declared(text) {
            let module = format!("{directory}/{module}");
            pending.push((format!("{module}.rs"), module.clone()));
            pending.push((format!("{module}/mod.rs"), module));
        }
    }
    files.keys().filter(|path| !reached.contains(**path)).copied().collect()
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The modules declared with their own file, as paths: `a`, and `outer/b` for `mod outer { mod b; }`.
fn declared(text: &str) -> Vec<String> {
    let code = only_code(text);
    let mut modules = Vec::new();
    // The open braces, each with its inline module.
    let mut open: Vec<Option<&str>> = Vec::new();
    let mut last = ["", ""];
    for token in tokens(&code) {
        let name = (last[0] == "mod").then_some(last[1]);
        match token {
            "{" => open.push(name),
            "}" => {
                open.pop();
            }
            ";" => {
                if let Some(name) = name {
                    let path: Vec<&str> = open.iter().flatten().copied().chain([name]).collect();
                    modules.push(path.join("/"));
                }
            }
            _ => {}
        }
        last = [last[1], token];
    }
    modules
}

/// Words and single other characters.
fn tokens(code: &str) -> impl Iterator<Item = &str> {
    let mut rest = code;
    iter::from_fn(move || {
        rest = rest.trim_start();
        // The file of `mod r#gen;` is `gen.rs`.
        rest = rest.strip_prefix("r#").unwrap_or(rest);
        let first = rest.chars().next()?;
        let length = if is_word(first) {
            rest.find(|character| !is_word(character)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        Some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_finds_all_forms_of_mod() {
        let text = "mod a;\npub mod r#b;\n#[cfg(test)] pub(crate) mod c ;\n// mod d;\nmod e { fn f() {} mod g; mod h { pub(super) mod i; } }\nmod j {}\nlet model = 1;";
        assert_eq!(declared(text), ["a", "b", "c", "e/g", "e/h/i"]);
    }

    #[test]
    fn orphans_is_empty_for_nested_modules() {
        let files = BTreeMap::from([
            ("x/src/lib.rs", "mod a; pub mod b;"),
            ("x/src/a.rs", "mod c; #[cfg(test)] mod tests;"),
            ("x/src/a/c.rs", ""),
            ("x/src/a/tests.rs", ""),
            ("x/src/b/mod.rs", "mod d;"),
            ("x/src/b/d.rs", ""),
            ("x/tests/it/main.rs", "mod e;"),
            ("x/tests/it/e.rs", ""),
        ]);
        let roots = ["x/src/lib.rs", "x/tests/it/main.rs"].map(str::to_owned);
        assert_eq!(orphans(&files, &roots), Vec::<&str>::new());
    }

    #[test]
    fn orphans_finds_undeclared_files() {
        let files = BTreeMap::from([
            ("x/src/lib.rs", "mod a; // mod b;"),
            ("x/src/a.rs", ""),
            ("x/src/b.rs", "mod c;"),
            ("x/src/b/c.rs", ""),
            ("x/src/a/d.rs", ""),
        ]);
        let roots = ["x/src/lib.rs".to_owned()];
        assert_eq!(orphans(&files, &roots), ["x/src/a/d.rs", "x/src/b.rs", "x/src/b/c.rs"]);
    }
}
