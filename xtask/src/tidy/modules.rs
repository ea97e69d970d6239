//! Files that no `mod` leads to: the compiler never sees them, so they rot.
//!
//! Does not follow `#[path]`, which this repository does not use.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use super::code::{is_word, only_code};

/// `files` are texts by path, `roots` the paths where crates begin. Returns the paths that no crate contains.
pub(super) fn orphans<'a>(files: &BTreeMap<&'a str, &str>, roots: &[String]) -> Vec<&'a str> {
    let mut reached: BTreeSet<String> = BTreeSet::new();
    // Paths with the directory in which their modules are looked for.
    let mut waiting: Vec<(String, String)> = roots
        .iter()
        .map(|root| (root.clone(), parent(root).to_owned()))
        .collect();
    while let Some((path, directory)) = waiting.pop() {
        let Some(text) = files.get(path.as_str()) else {
            continue;
        };
        if !reached.insert(path) {
            continue;
        }
        for module in declared(text) {
            let module = format!("{directory}/{module}");
            waiting.push((format!("{module}.rs"), module.clone()));
            waiting.push((format!("{module}/mod.rs"), module));
        }
    }
    files.keys().filter(|path| !reached.contains(**path)).copied().collect()
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// The modules declared with a file of their own, as paths: `a`, and `outer/b` for `mod outer { mod b; }`.
fn declared(text: &str) -> Vec<String> {
    let code = only_code(text);
    let mut modules = Vec::new();
    // The open braces, each with the inline module it belongs to.
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
        // `mod r#gen;` is in `gen.rs`.
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
    fn declarations_of_all_kinds_are_read() {
        let text = "mod a;\npub mod r#b;\n#[cfg(test)] pub(crate) mod c ;\n// mod d;\nmod e { fn f() {} mod g; mod h { pub(super) mod i; } }\nmod j {}\nlet model = 1;";
        assert_eq!(declared(text), ["a", "b", "c", "e/g", "e/h/i"]);
    }

    #[test]
    fn a_file_is_reached_over_any_number_of_modules() {
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
    fn what_nothing_declares_is_an_orphan() {
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
