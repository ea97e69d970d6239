//! Parses the parts of a member's `Cargo.toml` that `cargo metadata` omits: line numbers and inheritance from the workspace.
//!
//! Parses line by line, and only the usual forms of TOML.

use super::violation::Violation;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) inherits_lints: bool,
    pub(super) dependencies: Vec<Dependency>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dependency {
    /// The section; dependencies of one target count as the same section.
    pub(super) section: Section,
    /// Name in the file, after renaming.
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) inherited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Normal,
    Development,
    Build,
}

impl Manifest {
    pub(super) fn parse(text: &str) -> Self {
        let mut manifest = Self::default();
        let mut header = "";
        for (index, line) in text.lines().enumerate() {
            let line = without_comment(line).trim();
            if line.starts_with('[') && line.ends_with(']') {
                header = line.trim_matches(['[', ']']).trim();
                continue;
            }
            let Some((key, value)) = key_and_value(line) else {
                continue;
            };
            if header == "lints" && key == "workspace" && value == "true" {
                manifest.inherits_lints = true;
            }
            if let Some((section, name, rest)) = dependency_key(header, key) {
                manifest.add(section, name, index + 1, inherits(rest, value));
            }
        }
        manifest
    }

    /// Adds a dependency, which may have several lines: `a.workspace = true` and `a.features = […]`.
    fn add(&mut self, section: Section, name: &str, line: usize, inherited: bool) {
        let known = self
            .dependencies
            .iter_mut()
            .find(|dependency| dependency.section == section && dependency.name == name);
        match known {
            Some(dependency) => dependency.inherited |= inherited,
            None => self.dependencies.push(Dependency {
                section,
                name: name.to_owned(),
                line,
                inherited,
            }),
        }
    }

    pub(super) fn line_of(&self, section: Section, name: &str) -> Option<usize> {
        self.dependencies
            .iter()
            .find(|dependency| dependency.section == section && dependency.name == name)
            .map(|dependency| dependency.line)
    }
}

/// Checks that a member inherits lints and versions from the workspace.
pub(super) fn check(path: &str, manifest: &Manifest) -> Vec<Violation> {
    let lints = (!manifest.inherits_lints)
        .then(|| Violation::at(path, None, "does not inherit the lints: add `[lints] workspace = true`"));
    let dependencies = manifest
        .dependencies
        .iter()
        .filter(|dependency| !dependency.inherited)
        .map(|dependency| {
            let message = format!(
                "`{}` is not `workspace = true`: its version and features belong to the root Cargo.toml",
                dependency.name
            );
            Violation::at(path, dependency.line, message)
        });
    lints.into_iter().chain(dependencies).collect()
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let comment = line.find(|character| {
        quoted ^= character == '"';
        character == '#' && !quoted
    });
    comment.map_or(line, |at| &line[..at])
}

fn key_and_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let is_key = |character: char| character.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&character);
    (!key.is_empty() && key.chars().all(is_key)).then(|| (key, value.trim()))
}

/// Section, dependency name and rest of the key, for `a.workspace` below `[dependencies]` and `workspace` below
/// `[dependencies.a]`.
fn dependency_key<'a>(header: &'a str, key: &'a str) -> Option<(Section, &'a str, &'a str)> {
    // `target.'cfg(unix)'.dependencies`: the quoted condition may contain dots, so search for the section from the end.
    let header = if header.starts_with("target.") {
        let start = ["dev-dependencies", "build-dependencies", "dependencies"]
            .iter()
            .find_map(|name| header.rfind(&format!(".{name}")))?;
        &header[start + 1..]
    } else {
        header
    };
    let (section, name) = header.split_once('.').unwrap_or((header, ""));
    let section = match section {
        "dependencies" => Section::Normal,
        "dev-dependencies" => Section::Development,
        "build-dependencies" => Section::Build,
        _ => return None,
    };
    if name.is_empty() {
        let (name, rest) = key.split_once('.').unwrap_or((key, ""));
        Some((section, name, rest))
    } else {
        Some((section, name, key))
    }
}

fn inherits(key: &str, value: &str) -> bool {
    let is_workspace = |text: &str| text.replace(' ', "").contains("workspace=true");
    match key {
        "" => value.starts_with('{') && is_workspace(value),
        "workspace" => value == "true",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(Option<usize>, String)> {
        check("Cargo.toml", &Manifest::parse(text))
            .into_iter()
            .map(|violation| {
                let quoted = violation.message.split('`').nth(1).unwrap();
                (violation.line, quoted.to_owned())
            })
            .collect()
    }

    #[test]
    fn manifest_accepts_all_forms_of_inheritance() {
        let text = r#"
[package]
name = "x"
[lints] # all of them
workspace = true
[dependencies]
a.workspace = true
b = { workspace = true, features = [
  "c",
] }
d.features = ["e"]
d.workspace = true
[dependencies.f]
workspace = true
[target.'cfg(target_os = "x.y")'.dev-dependencies]
g.workspace = true
"#;
        assert_eq!(lines(text), []);
        let manifest = Manifest::parse(text);
        assert_eq!(manifest.line_of(Section::Normal, "b"), Some(8));
        assert_eq!(manifest.line_of(Section::Normal, "f"), Some(14));
        assert_eq!(manifest.line_of(Section::Development, "g"), Some(16));
        assert_eq!(manifest.line_of(Section::Normal, "g"), None);
    }

    #[test]
    fn own_versions_and_lints_are_reported() {
        let text = r#"[lints.rust]
unused = "warn"
[dependencies]
a = "1" # workspace = true
b = { version = "1", default-features = false }
[build-dependencies]
c.path = "../c"
[dev-dependencies.d]
version = "1"
[features]
e = []
"#;
        let expected = [
            (None, "[lints] workspace = true"),
            (Some(4), "a"),
            (Some(5), "b"),
            (Some(7), "c"),
            (Some(9), "d"),
        ];
        assert_eq!(lines(text), expected.map(|(line, name)| (line, name.to_owned())));
    }
}
