//! No import cycle through a folder of a crate: what a folder may use is below it, and never uses it back.
//!
//! The parts of a crate are the folders and files directly below its `src`. Tests do not count, and neither do the files
//! that only declare and re-export: `lib.rs`, `main.rs`.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Attribute, File, Item, ItemMod, UseTree, visit::Visit};

use super::violation::Violation;
use crate::rust_source::{Source, is_test_file};

/// The parts that each part uses.
type Edges<'a> = BTreeMap<&'a str, BTreeSet<String>>;

/// `root` is the crate's `src`; `files` are sources by path, of any crate.
pub(super) fn check(root: &str, files: &BTreeMap<&str, &Source>) -> Vec<Violation> {
    let sources: BTreeMap<&str, &File> = files
        .iter()
        .filter_map(|(path, source)| Some((path.strip_prefix(root)?.strip_prefix('/')?, &source.file)))
        .filter(|(path, _)| !is_test_file(path))
        .collect();
    let is_root = |path: &str| path == "lib.rs" || path == "main.rs";
    let parts: BTreeSet<&str> = sources
        .keys()
        .filter(|path| !is_root(path))
        .map(|path| part(path))
        .collect();
    let mut shown = BTreeMap::new();
    for (_, file) in sources.iter().filter(|(path, _)| is_root(path)) {
        re_exports(&file.items, &parts, &mut shown);
    }
    let mut edges = Edges::new();
    for (path, file) in sources.iter().filter(|(path, _)| !is_root(path)) {
        let mut names = Names {
            depth: depth(path),
            found: BTreeSet::new(),
        };
        names.visit_file(file);
        let own = part(path);
        let used = names
            .found
            .into_iter()
            .filter_map(|name| match parts.get(name.as_str()) {
                Some(part) => Some((*part).to_owned()),
                None => shown.get(&name).cloned(),
            });
        edges.entry(own).or_default().extend(used.filter(|used| used != own));
    }
    let is_folder = |part: &str| sources.keys().any(|path| path.starts_with(&format!("{part}/")));
    let cycles = cycles(&edges).into_iter();
    cycles
        .filter(|cycle| cycle.iter().any(|part| is_folder(part)))
        .map(|cycle| {
            let message = format!("import cycle: {}", cycle.join(" → "));
            Violation::at(root, None, message)
        })
        .collect()
}

fn part(path: &str) -> &str {
    let first = path.split('/').next().unwrap_or(path);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// How many `super` lead from the file's module to the crate's root.
fn depth(path: &str) -> usize {
    let names = path.split('/').count();
    if path.ends_with("/mod.rs") { names - 1 } else { names }
}

/// Items that the root re-exports, each with its part.
fn re_exports(items: &[Item], parts: &BTreeSet<&str>, shown: &mut BTreeMap<String, String>) {
    for item in items {
        if let Item::Use(item) = item {
            leaves(&item.tree, &mut Vec::new(), &mut |path, name| {
                let within = path.iter().find(|name| !matches!(name.as_str(), "crate" | "self"));
                if let Some(part) = within.filter(|name| parts.contains(name.as_str())) {
                    shown.insert(name.to_owned(), part.clone());
                }
            });
        }
    }
}

/// Calls `take` with each path of the tree and the name that it gets.
fn leaves(tree: &UseTree, path: &mut Vec<String>, take: &mut dyn FnMut(&[String], &str)) {
    match tree {
        UseTree::Path(next) => {
            path.push(next.ident.to_string());
            leaves(&next.tree, path, take);
            path.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, path, take);
            }
        }
        UseTree::Name(name) => {
            path.push(name.ident.to_string());
            take(path, &name.ident.to_string());
            path.pop();
        }
        UseTree::Rename(renamed) => {
            path.push(renamed.ident.to_string());
            take(path, &renamed.rename.to_string());
            path.pop();
        }
        UseTree::Glob(_) => take(path, "*"),
    }
}

/// Names of the crate's root that product code uses.
struct Names {
    /// How many `super` lead to the root from here.
    depth: usize,
    found: BTreeSet<String>,
}

impl Names {
    fn take<'a>(&mut self, path: impl IntoIterator<Item = &'a str>) {
        let mut path = path.into_iter().peekable();
        if path.peek() == Some(&"crate") {
            path.next();
        } else {
            let mut above = 0;
            while path.next_if_eq(&"super").is_some() {
                above += 1;
            }
            if above == 0 || above < self.depth {
                return;
            }
        }
        if let Some(name) = path.next() {
            self.found.insert(name.to_owned());
        }
    }

    /// Paths within the arguments of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.take(path.iter().map(String::as_str));
                        path.clear();
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.take(path.iter().map(String::as_str));
                    path.clear();
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.take(path.iter().map(String::as_str));
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.depth += 1;
        syn::visit::visit_item_mod(self, module);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        leaves(&item.tree, &mut Vec::new(), &mut |path, _| {
            self.take(path.iter().map(String::as_str));
        });
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.take(names.iter().map(String::as_str));
        syn::visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(crate)` uses nothing.
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// The strongly connected parts of more than one, each in the order of its names.
fn cycles<'a>(edges: &Edges<'a>) -> Vec<Vec<&'a str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = edges.keys().map(|part| (*part, reach(edges, part))).collect();
    let leads = |from: &str, to: &str| reached.get(from).is_some_and(|reached| reached.contains(to));
    let together = |part: &&'a str| -> Vec<&'a str> {
        let back = edges.keys().filter(|other| leads(part, other) && leads(other, part));
        back.copied().collect()
    };
    let mut cycles: Vec<Vec<&str>> = edges.keys().map(together).filter(|cycle| cycle.len() > 1).collect();
    cycles.sort();
    cycles.dedup();
    cycles
}

fn reach<'e>(edges: &'e Edges<'_>, start: &str) -> BTreeSet<&'e str> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![start];
    while let Some(part) = waiting.pop() {
        for next in edges.get(part).into_iter().flatten() {
            if reached.insert(next.as_str()) {
                waiting.push(next);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: BTreeMap<String, Source> = files
            .iter()
            .map(|(path, text)| (format!("x/src/{path}"), Source::parse(text).unwrap()))
            .collect();
        let files = files.iter().map(|(path, source)| (path.as_str(), source)).collect();
        check("x/src", &files)
            .into_iter()
            .map(|violation| violation.to_string())
            .collect()
    }

    #[test]
    fn folders_that_use_each_other_are_found_however_the_path_is_written() {
        let lib = ("lib.rs", "mod a; mod b; pub use b::{Shown as Seen};");
        let a = ("a/mod.rs", "use crate::b::c;");
        for (path, text) in [
            ("b/c.rs", "use crate::{d, a::{self, X}};"),
            ("b/c.rs", "use super::super::a::X;"),
            ("b/mod.rs", "fn f() -> super::a::X {}"),
            ("b/c.rs", "fn f() { g!(1, crate::a::X, [2]); }"),
            ("b/c/d.rs", "impl crate::a::X for Y {}"),
            ("b/c.rs", "mod inner { use super::super::super::a; }"),
        ] {
            assert_eq!(found(&[lib, a, (path, text)]), ["x/src: import cycle: a → b"], "{text}");
        }
        let through_the_root = ("a/mod.rs", "use crate::Seen;");
        assert_eq!(
            found(&[lib, through_the_root, ("b.rs", "use crate::a::X;")]),
            ["x/src: import cycle: a → b"]
        );
    }

    #[test]
    fn files_alone_tests_and_one_direction_are_fine() {
        let lib = ("lib.rs", "mod a; mod b;");
        let a = ("a/mod.rs", "use crate::b::c;");
        for (path, text) in [
            ("b/c.rs", "use super::a::X; pub(crate) struct Y;"),
            ("b/tests.rs", "use crate::a::X;"),
            ("b/mod.rs", "#[cfg(test)] mod tests { use crate::a::X; }"),
            (
                "b/mod.rs",
                "/// See [`crate::a`]. \n const TEXT: &str = \"crate::a::X\";",
            ),
        ] {
            assert_eq!(found(&[lib, a, (path, text)]), Vec::<String>::new(), "{text}");
        }
        let files = [lib, ("a.rs", "use crate::b::X;"), ("b.rs", "use crate::a::Y;")];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn cycle_over_three_parts_is_named_whole() {
        let files = [
            ("a/mod.rs", "use crate::b;"),
            ("b.rs", "use crate::c;"),
            ("c.rs", "use crate::a;"),
            ("d.rs", "use crate::a;"),
        ];
        assert_eq!(found(&files), ["x/src: import cycle: a → b → c"]);
    }
}
