//! Flags that change plugins.

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use sono_manifest::Parallel;

/// What is changed in plugins, wherever their definitions come from.
#[derive(Debug, Clone, Default, Args)]
pub struct Changes {
    /// Which tests the plugin e2e runs; `sono modes` lists them [default: non-disruptive-conformance]
    #[arg(short, long, value_name = "MODE", help_heading = "Kubernetes tests")]
    pub mode: Option<String>,
    /// Tests to run, as a regular expression; instead of the mode's
    #[arg(long, value_name = "REGEX", help_heading = "Kubernetes tests")]
    pub e2e_focus: Option<String>,
    /// Tests to leave out, as a regular expression; instead of the mode's
    #[arg(long, value_name = "REGEX", help_heading = "Kubernetes tests")]
    pub e2e_skip: Option<String>,
    /// How many tests run at the same time: a number, auto, false, or true, which leaves serial tests out; instead of the mode's
    #[arg(long, value_name = "VALUE", help_heading = "Kubernetes tests")]
    pub e2e_parallel: Option<Parallel>,
    /// Run the tests again that failed in this archive, and no others
    #[arg(long, value_name = "ARCHIVE", conflicts_with_all = ["e2e_focus", "e2e_skip", "mode"], help_heading = "Kubernetes tests")]
    pub rerun_failed: Option<PathBuf>,
    /// Repository that the tests take all their images from
    #[arg(
        long,
        value_name = "REPOSITORY",
        conflicts_with = "e2e_repo_config",
        help_heading = "Kubernetes tests"
    )]
    pub e2e_repo: Option<String>,
    /// YAML with the registry that the tests take each group of their images from
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes tests")]
    pub e2e_repo_config: Option<PathBuf>,
    /// Credentials with which the tests pull images, as Docker keeps them; Kubernetes 1.27 or later
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes tests")]
    pub e2e_docker_config_file: Option<PathBuf>,
    /// Key with which the tests log in to nodes
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes tests")]
    pub ssh_key: Option<PathBuf>,
    /// User by whom the tests log in to nodes
    #[arg(long, value_name = "USER", help_heading = "Kubernetes tests")]
    pub ssh_user: Option<String>,
    /// A variable for a plugin's containers; without a value it is taken away. The plugin `sonobuoy` is the aggregator
    #[arg(long, value_name = "PLUGIN.NAME=VALUE")]
    pub plugin_env: Vec<Pair<'.'>>,
    /// Another image for a plugin
    #[arg(long, value_name = "PLUGIN:IMAGE", help_heading = "Images")]
    pub plugin_image: Vec<Pair<':'>>,
    /// Another image for the plugin e2e
    #[arg(long, value_name = "IMAGE", help_heading = "Images")]
    pub kube_conformance_image: Option<String>,
    /// Another image for the plugin systemd-logs
    #[arg(long, value_name = "IMAGE", help_heading = "Images")]
    pub systemd_logs_image: Option<String>,
}

/// Two texts with a letter between them, which the first does not hold; neither is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair<const BETWEEN: char> {
    pub name: String,
    pub value: String,
}

/// Not two texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no `{between}` with a text on both sides of it")]
pub struct NoPair {
    between: char,
}

impl<const BETWEEN: char> FromStr for Pair<BETWEEN> {
    type Err = NoPair;

    fn from_str(text: &str) -> Result<Self, NoPair> {
        match text.split_once(BETWEEN) {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(NoPair { between: BETWEEN }),
        }
    }
}

/// A name with a value, or alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub value: Option<String>,
}

/// A variable without a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no name in front of the `=`")]
pub struct NoName;

impl FromStr for Variable {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let name = (!name.is_empty()).then(|| name.to_owned()).ok_or(NoName)?;
        Ok(Self { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_letter_between_counts() {
        let pair = "e2e.A=b.c".parse::<Pair<'.'>>().unwrap();
        assert_eq!((pair.name.as_str(), pair.value.as_str()), ("e2e", "A=b.c"));
        for text in ["e2e", ".A=b", "e2e."] {
            assert_eq!(text.parse::<Pair<'.'>>(), Err(NoPair { between: '.' }), "{text}");
        }
    }
}
