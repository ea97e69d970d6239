//! Environment variables for the connection to a cluster.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::PathBuf};

/// Environment variables as a value: `KUBECONFIG`, `HOME`, `PATH` and the proxy variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    home: Option<PathBuf>,
}

/// Shows names only, since some values are secret.
impl fmt::Debug for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Environment {
    /// The variables of this process.
    pub fn of_process() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
            home: std::env::home_dir(),
        }
    }

    /// The value of a variable that is neither absent nor empty.
    pub(super) fn get(&self, name: &str) -> Option<&OsString> {
        self.variables
            .get(&OsString::from(name))
            .filter(|value| !value.is_empty())
    }

    /// The value of the first variable that is neither absent nor empty, as text.
    pub(super) fn either(&self, names: [&str; 2]) -> Option<String> {
        let found = names.into_iter().find_map(|name| self.get(name))?;
        Some(found.to_string_lossy().into_owned())
    }

    /// The user's home directory.
    pub(super) fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from).or_else(|| self.home.clone())
    }
}

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(variables: T) -> Self {
        Self {
            variables: variables
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            home: None,
        }
    }
}
