//! The directory of installed plugins (cli spec §1.7, §17.1): `~/.sonobuoy`, or what `SONOBUOY_DIR` says. It is made when
//! something is installed, and not before.

use std::{
    env,
    ffi::OsString,
    io,
    path::{Component, Path, PathBuf},
};

use crate::error::CliError;

/// The variable that names the directory.
const DIRECTORY: &str = "SONOBUOY_DIR";
/// The variable that, as `false`, keeps `--plugin` from looking there.
const LOOK: &str = "SONOBUOY_PLUGIN_INSTALLATION";
/// Directories below each other; deeper ones are not looked into.
const DEPTH: usize = 8;

/// Where installed plugins are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    path: PathBuf,
}

impl Directory {
    /// This user's. `None` without a home.
    pub(crate) fn of_user() -> Option<Self> {
        Self::from_variables(|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    /// The one that `--plugin` looks into.
    pub(crate) fn looked_into() -> Option<Self> {
        let off = env::var_os(LOOK).is_some_and(|value| value == "false");
        if off { None } else { Self::of_user() }
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let home = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
        let path = match (variable(DIRECTORY).map(PathBuf::from), home) {
            (Some(given), home) => match (given.strip_prefix("~"), home) {
                (Ok(below), Some(home)) => home.join(below),
                _ => given,
            },
            (None, home) => home?.join(".sonobuoy"),
        };
        Some(Self { path })
    }

    /// The file of that plugin, whether it is there or not. `None` where `name` leads out of the directory.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        let below = Path::new(name);
        let is_below = below.components().all(|part| matches!(part, Component::Normal(_)));
        let has_name = below.file_name().is_some() && !name.ends_with('/');
        (is_below && has_name).then(|| {
            let ending = if has_ending(name) { "" } else { ".yaml" };
            self.path.join(format!("{name}{ending}"))
        })
    }

    /// The file of that plugin, if it is there.
    pub(crate) fn find(&self, name: &str) -> Option<PathBuf> {
        self.file(name).filter(|path| path.is_file())
    }

    /// All files of plugins, sorted by path; none where there is no directory.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, CliError> {
        let mut files = Vec::new();
        match collect(&self.path, DEPTH, &mut files) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let what = format!("cannot list the plugins in `{}`", self.path.display());
                return Err(CliError::new(what).caused_by(&error));
            }
            _ => {}
        }
        files.sort();
        Ok(files)
    }

    /// What `--plugin` calls that file.
    pub(crate) fn name_of(&self, file: &Path) -> String {
        let below = file.strip_prefix(&self.path).unwrap_or(file);
        let text = below.components().map(|part| part.as_os_str().to_string_lossy());
        let text = text.collect::<Vec<_>>().join("/");
        text.strip_suffix(".yaml").unwrap_or(&text).to_owned()
    }

    /// The names of all.
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
        // A link to a directory may lead back here.
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
    fn the_variable_comes_before_home_and_may_begin_with_a_tilde() {
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(directory(&[]), None);
        assert_eq!(directory(&[("HOME", "/h")]), path("/h/.sonobuoy"));
        assert_eq!(directory(&[("USERPROFILE", "/u")]), path("/u/.sonobuoy"));
        assert_eq!(directory(&[("HOME", "/h"), ("SONOBUOY_DIR", "~/p")]), path("/h/p"));
        assert_eq!(directory(&[("SONOBUOY_DIR", "/p")]), path("/p"));
    }

    #[test]
    fn names_stay_inside() {
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
