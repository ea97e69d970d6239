//! Third-party notices: licence texts and copyright lines of all packages in the program.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use cargo_metadata::Package;
use fs_err as fs;

use super::{packages::Packages, sbom::expression, target::Machine};

/// File name prefixes of licences and notices.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT"];
/// File extensions of source files, which are never licence texts.
const SOURCES: [&str; 6] = ["rs", "c", "h", "py", "go", "toml"];

/// Distinct licence texts, numbered in order.
#[derive(Default)]
struct Texts {
    numbers: BTreeMap<String, usize>,
    in_order: Vec<String>,
}

impl Texts {
    /// Adds a text and returns its number. Line endings and blank lines at the ends are ignored.
    fn add(&mut self, text: &str) -> usize {
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let text = lines.join("\n").trim_matches('\n').to_owned();
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(text.clone()).or_insert(next);
        if number == next {
            self.in_order.push(text);
        }
        number
    }
}

/// The complete document.
pub(super) fn document(packages: &Packages, machine: &Machine) -> anyhow::Result<String> {
    let standard = Path::new(&machine.sysroot).join("share/doc/rust/licenses");
    let mut texts = Texts::default();
    let mut list = String::new();
    for package in packages.third_parties() {
        let entry = entry(package, &standard, &mut texts)
            .with_context(|| format!("licence of {} {}", package.name, package.version))?;
        list.push_str(&entry);
    }
    let library: Vec<usize> = ["MIT", "Apache-2.0"]
        .iter()
        .map(|license| anyhow::Ok(texts.add(&fs::read_to_string(standard.join(format!("{license}.txt")))?)))
        .collect::<Result<_, _>>()?;
    writeln!(
        list,
        "The Rust standard library\n  licence: MIT OR Apache-2.0\n  from:    https://github.com/rust-lang/rust at {}\n  by:      The Rust Project contributors\n  texts:   {}\n",
        machine.compiler_commit,
        numbers(&library)
    )?;
    let mut whole = format!(
        "Third-party notices of sono {}\n\n\
         The program contains the packages below, each under the named licence. Where a licence offers a choice, the choice is\n\
         passed on. Numbers refer to the texts after the list.\n\n{list}",
        packages.version
    );
    for (index, text) in texts.in_order.iter().enumerate() {
        let line = "-".repeat(100);
        write!(whole, "{line}\nText {}\n{line}\n\n{text}\n\n", index + 1)?;
    }
    Ok(whole)
}

fn entry(package: &Package, standard: &Path, texts: &mut Texts) -> anyhow::Result<String> {
    let license = package.license.as_deref().map(expression);
    let folder = package
        .manifest_path
        .parent()
        .context("the manifest has no parent folder")?;
    let mut files = Vec::new();
    find(folder.as_std_path(), &mut files)?;
    files.extend(package.license_file().map(PathBuf::from));
    files.sort();
    files.dedup();
    let mut found = Vec::new();
    for file in &files {
        let text = String::from_utf8_lossy(&fs::read(file)?).into_owned();
        found.push(texts.add(&text));
    }
    if found.is_empty() {
        // The package has no licence file; use the standard text of its declared licence.
        let license = license
            .as_deref()
            .context("the package declares no licence and contains no licence text")?;
        let Some(name) = one_of(license) else {
            bail!("the package contains no text of `{license}`, and the compiler's documentation has none");
        };
        found.push(texts.add(&fs::read_to_string(standard.join(format!("{name}.txt")))?));
    }
    found.sort_unstable();
    found.dedup();
    let mut entry = format!("{} {}\n", package.name, package.version);
    writeln!(entry, "  licence: {}", license.as_deref().unwrap_or("its own text"))?;
    if let Some(repository) = &package.repository {
        writeln!(entry, "  from:    {repository}")?;
    }
    if !package.authors.is_empty() {
        writeln!(entry, "  by:      {}", package.authors.join(", "))?;
    }
    writeln!(entry, "  texts:   {}\n", numbers(&found))?;
    Ok(entry)
}

/// A licence of the expression with a text in the compiler's documentation.
fn one_of(expression: &str) -> Option<&'static str> {
    let mut words = expression.split(" OR ").map(str::trim);
    let known = ["Apache-2.0", "MIT", "ISC", "Unicode-3.0", "BSD-2-Clause"];
    words.find_map(|word| known.into_iter().find(|name| *name == word))
}

fn numbers(numbers: &[usize]) -> String {
    let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// Finds licence files, also in subfolders, which may contain other projects' sources.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            find(&path, files)?;
        } else if kind.is_file() && is_text(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn is_text(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    NAMES.iter().any(|start| name.starts_with(start)) && !SOURCES.contains(&extension.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_add_same_text_once() {
        let mut texts = Texts::default();
        let found = ["a\r\nb\r\n", "c", "\na  \nb\n"].map(|text| texts.add(text));
        assert_eq!(found, [1, 2, 1]);
        assert_eq!(texts.in_order, ["a\nb", "c"]);
    }

    #[test]
    fn is_text_decides_by_file_name() {
        for (name, expected) in [
            ("LICENSE", true),
            ("license-mit", true),
            ("LICENSE-APACHE.txt", true),
            ("UNLICENSE", true),
            ("NOTICE.md", true),
            ("license.rs", false),
            ("README.md", false),
        ] {
            assert_eq!(is_text(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn one_of_selects_known_licence_of_choice() {
        assert_eq!(one_of("Zlib OR Apache-2.0 OR MIT"), Some("Apache-2.0"));
        assert_eq!(one_of("MIT"), Some("MIT"));
        assert_eq!(one_of("MIT AND BSD-3-Clause"), None);
    }

    /// Every package of every target has a text, also packages without a licence file.
    #[test]
    fn all_third_parties_are_in_the_document() {
        let machine = Machine::this().unwrap();
        let root = sono_testbed::repository::root();
        let packages = Packages::of(&root, &machine.host).unwrap();
        let document = document(&packages, &machine).unwrap();
        for package in packages.third_parties() {
            let head = format!("\n\n{} {}\n  licence: ", package.name, package.version);
            assert!(document.contains(&head), "{head}");
        }
        assert!(document.contains("\n\nkube 5."), "a package without a licence file");
        assert!(document.contains("\n\nThe Rust standard library\n"));
        let here = root.to_string_lossy().into_owned();
        assert!(!document.contains(&here), "contains a path of this machine");
    }
}
