//! Finds source files that no `mod` declares: the compiler never checks them.
//!
//! Ignores `#[path]`, which this repository does not use.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Item, ext::IdentExt};

use crate::rust_source::Source;

/// Returns the paths of files outside of all crates. `roots` are the crates' root files.
pub(super) fn orphans<'a>(files: &BTreeMap<&'a str, &Source>, roots: &[String]) -> Vec<&'a str> {
    let mut reached: BTreeSet<String> = BTreeSet::new();
    // Paths with the directories of their modules.
    let mut pending: Vec<(String, String)> = roots
        .iter()
        .map(|root| (root.clone(), parent(root).to_owned()))
        .collect();
    while let Some((path, directory)) = pending.pop() {
        let Some(source) = files.get(path.as_str()) else {
            continue;
        };
        if !reached.insert(path) {
            continue;
        }
        for module in declared(&source.file.items) {
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
fn declared(items: &[Item]) -> Vec<String> {
    let modules = items.iter().filter_map(|item| match item {
        Item::Mod(module) => Some(module),
        _ => None,
    });
    modules
        .flat_map(|module| {
            // `mod r#gen;` is in `gen.rs`.
            let name = module.ident.unraw().to_string();
            match &module.content {
                None => vec![name],
                Some((_, inner)) => declared(inner)
                    .into_iter()
                    .map(|path| format!("{name}/{path}"))
                    .collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orphans_of<'a>(files: &BTreeMap<&'a str, &str>, roots: &[String]) -> Vec<&'a str> {
        let parsed: BTreeMap<&str, Source> = files
            .iter()
            .map(|(path, text)| (*path, Source::parse(text).expect("Rust")))
            .collect();
        orphans(&parsed.iter().map(|(path, source)| (*path, source)).collect(), roots)
    }

    #[test]
    fn declared_finds_all_forms_of_mod() {
        let text = "mod a;\npub mod r#b;\n#[cfg(test)] pub(crate) mod c ;\n// mod d;\nmod e { fn f() {} mod g; mod h { pub(super) mod i; } }\nmod j {}\nconst MODEL: u8 = 1;";
        let source = Source::parse(text).expect("Rust");
        assert_eq!(declared(&source.file.items), ["a", "b", "c", "e/g", "e/h/i"]);
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
        assert_eq!(orphans_of(&files, &roots), Vec::<&str>::new());
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
        assert_eq!(
            orphans_of(&files, &roots),
            ["x/src/a/d.rs", "x/src/b.rs", "x/src/b/c.rs"]
        );
    }
}
