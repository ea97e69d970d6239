//! Flags that change plugin definitions.

use std::{path::PathBuf, str::FromStr};

use clap::Args;
use sono_manifest::Parallel;

/// Changes to plugins, independent of the source of their definitions.
#[derive(Debug, Clone, Default, Args)]
pub struct Changes {
    /// Kubernetes tests to run: a mode that `sono modes` lists [default: non-disruptive-conformance]
    #[arg(short, long, value_name = "MODE", help_heading = "Kubernetes tests")]
    pub mode: Option<String>,
    /// Regular expression for tests to run; overrides the mode's
    #[arg(long, value_name = "REGEX", help_heading = "Kubernetes tests")]
    pub e2e_focus: Option<String>,
    /// Regular expression for tests to skip; overrides the mode's
    #[arg(
        long,
        value_name = "REGEX",
        help_heading = "Kubernetes tests",
        hide_short_help = true
    )]
    pub e2e_skip: Option<String>,
    /// Number of tests to run in parallel, or auto, false or true; overrides the mode.
    ///
    /// true also skips serial tests, unless other tests are skipped.
    #[arg(
        long,
        value_name = "VALUE",
        help_heading = "Kubernetes tests",
        hide_short_help = true
    )]
    pub e2e_parallel: Option<Parallel>,
    /// Rerun only the tests that failed in this archive
    #[arg(long, value_name = "ARCHIVE", conflicts_with_all = ["e2e_focus", "e2e_skip", "mode"], help_heading = "Kubernetes tests")]
    pub rerun_failed: Option<PathBuf>,
    /// Repository to pull all test images from
    #[arg(
        long,
        value_name = "REPOSITORY",
        conflicts_with = "e2e_repo_config",
        help_heading = "Kubernetes tests",
        hide_short_help = true
    )]
    pub e2e_repo: Option<String>,
    /// YAML file that assigns a registry to each group of test images
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes tests", hide_short_help = true)]
    pub e2e_repo_config: Option<PathBuf>,
    /// Docker config file with credentials for test images; Kubernetes 1.27 or later
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes tests", hide_short_help = true)]
    pub e2e_docker_config_file: Option<PathBuf>,
    /// SSH private key for node access
    #[arg(long, value_name = "FILE", help_heading = "Kubernetes tests", hide_short_help = true)]
    pub ssh_key: Option<PathBuf>,
    /// SSH user for node access
    #[arg(long, value_name = "USER", help_heading = "Kubernetes tests", hide_short_help = true)]
    pub ssh_user: Option<String>,
    /// Environment variable of a plugin; without a value, the variable is removed; repeatable.
    ///
    /// The name `sonobuoy` means the aggregator.
    #[arg(
        long,
        value_name = "PLUGIN.NAME=VALUE",
        help_heading = "Plugins",
        hide_short_help = true
    )]
    pub plugin_env: Vec<Pair<'.'>>,
    /// Image of a plugin; repeatable
    #[arg(long, value_name = "PLUGIN:IMAGE", help_heading = "Images", hide_short_help = true)]
    pub plugin_image: Vec<Pair<':'>>,
    /// Image of the plugin e2e
    #[arg(long, value_name = "IMAGE", help_heading = "Images", hide_short_help = true)]
    pub kube_conformance_image: Option<String>,
    /// Image of the plugin systemd-logs
    #[arg(long, value_name = "IMAGE", help_heading = "Images", hide_short_help = true)]
    pub systemd_logs_image: Option<String>,
}

/// Two non-empty texts separated by the first `BETWEEN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair<const BETWEEN: char> {
    pub name: String,
    pub value: String,
}

/// Text without the separator, or with nothing on one side of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected text on both sides of `{between}`")]
pub struct PairError {
    between: char,
}

impl<const BETWEEN: char> FromStr for Pair<BETWEEN> {
    type Err = PairError;

    fn from_str(text: &str) -> Result<Self, PairError> {
        match text.split_once(BETWEEN) {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(PairError { between: BETWEEN }),
        }
    }
}

/// `NAME=VALUE`, or `NAME` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub value: Option<String>,
}

/// Missing name of a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("missing name before `=`")]
pub struct VariableError;

impl FromStr for Variable {
    type Err = VariableError;

    fn from_str(text: &str) -> Result<Self, VariableError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let name = (!name.is_empty()).then(|| name.to_owned()).ok_or(VariableError)?;
        Ok(Self { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pair_is_split_at_the_first_separator() {
        let pair = "e2e.A=b.c".parse::<Pair<'.'>>().unwrap();
        assert_eq!((pair.name.as_str(), pair.value.as_str()), ("e2e", "A=b.c"));
        for text in ["e2e", ".A=b", "e2e."] {
            assert_eq!(text.parse::<Pair<'.'>>(), Err(PairError { between: '.' }), "{text}");
        }
    }
}
