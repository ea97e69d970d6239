//! Directory of installed plugins (cli §1.7, §17.1): `SONOBUOY_DIR`, or `~/.sonobuoy`. The first installation
//! creates it.

use std::{
    env,
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
};

use crate::error::CliError;

/// Environment variable with the path of the directory.
const DIRECTORY_VARIABLE: &str = "SONOBUOY_DIR";
/// Environment variable that disables installed plugins in `--plugin` if it is `false`.
const LOOKUP_VARIABLE: &str = "SONOBUOY_PLUGIN_INSTALLATION";
/// Maximum depth of subdirectories.
const MAX_DEPTH: usize = 8;

/// Directory of installed plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Directory of the user. `None` without a home directory.
    pub(crate) fn of_user() -> Option<Self> {
        Self::from_variables(|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    /// Directory for `--plugin`. `None` if installed plugins are disabled.
    pub(crate) fn for_lookup() -> Option<Self> {
        let off = env::var_os(LOOKUP_VARIABLE).is_some_and(|value| value == "false");
        if off { None } else { Self::of_user() }
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let home = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
        let path = match (variable(DIRECTORY_VARIABLE).map(PathBuf::from), home) {
            (Some(given), home) => match (given.strip_prefix("~"), home) {
                (Ok(below), Some(home)) => home.join(below),
                _ => given,
            },
            (None, home) => home?.join(".sonobuoy"),
        };
        Some(Self { path })
    }

    /// Path of a plugin's file, which need not exist. `None` if `name` points outside the directory.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        let below = Path::new(name);
        let is_below = below.components().all(|part| matches!(part, Component::Normal(_)));
        let has_name = below.file_name().is_some() && !name.ends_with('/');
        (is_below && has_name).then(|| {
            let ending = if has_ending(name) { "" } else { ".yaml" };
            self.path.join(format!("{name}{ending}"))
        })
    }

    /// Path of a plugin's file, if it exists.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        self.file(name).filter(|path| path.is_file())
    }

    /// All plugin files, sorted by path; empty without a directory.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, CliError> {
        let mut files = Vec::new();
        match collect(&self.path, MAX_DEPTH, &mut files) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let what = format!("cannot list the plugins in `{}`", self.path.display());
                return Err(CliError::new(what).caused_by(&error));
            }
            _ => {}
        }
        files.sort();
        Ok(files)
    }

    /// Name of a file for `--plugin`.
    pub(crate) fn name_of(&self, file: &Path) -> String {
        let below = file.strip_prefix(&self.path).unwrap_or(file);
        let text = below.components().map(|part| part.as_os_str().to_string_lossy());
        let text = text.collect::<Vec<_>>().join("/");
        text.strip_suffix(".yaml").unwrap_or(&text).to_owned()
    }

    /// Names of all installed plugins.
    pub(crate) fn names(&self) -> Vec<String> {
        let files = self.files().unwrap_or_default();
        files.iter().map(|file| self.name_of(file)).collect()
    }
}

fn has_ending(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "yaml")
}

fn collect(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs_err::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        // Links to directories are not followed, since they may form a loop.
        if entry.file_type()?.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, files)?;
            }
        } else if has_ending(&path.to_string_lossy()) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(variables: &[(&str, &str)]) -> Option<PathBuf> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Directory::from_variables(variable).map(|directory| directory.path)
    }

    #[test]
    fn variable_overrides_home_and_may_begin_with_a_tilde() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(directory(&[]), None);
        assert_eq!(directory(&[("HOME", "/h")]), path("/h/.sonobuoy"));
        assert_eq!(directory(&[("USERPROFILE", "/u")]), path("/u/.sonobuoy"));
        assert_eq!(directory(&[("HOME", "/h"), ("SONOBUOY_DIR", "~/p")]), path("/h/p"));
        assert_eq!(directory(&[("SONOBUOY_DIR", "/p")]), path("/p"));
    }

    #[test]
    fn names_outside_the_directory_are_rejected() {
        let directory = Directory {
            path: PathBuf::from("/d"),
        };
        assert_eq!(directory.file("sub/a"), Some(PathBuf::from("/d/sub/a.yaml")));
        assert_eq!(directory.file("a.yaml"), Some(PathBuf::from("/d/a.yaml")));
        assert_eq!(directory.name_of(Path::new("/d/sub/a.yaml")), "sub/a");
        for outside in ["../a", "/a", "", ".", "a/../../b", "a/", "./a"] {
            assert_eq!(directory.file(outside), None, "{outside}");
        }
    }
}
