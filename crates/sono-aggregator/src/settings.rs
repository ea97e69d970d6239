//! The aggregator's configuration and plugins, from files and environment (core §1.4, §2.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use sono_manifest::{Definition, Severity};
use sono_results::Compatibility;
use sono_types::{Config, config::ConfigError, constants, env, text::decode};

use crate::cluster::query;

/// Settings from files and environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The effective configuration.
    pub config: Config,
    /// The plugins to run.
    pub definitions: Vec<Definition>,
    /// The pod's address, if the environment has it.
    pub advertise_ip: Option<String>,
    /// Whether results mounts are changed to the configured directory.
    pub reconcile: bool,
    /// Problems that do not stop the run.
    pub warnings: Vec<String>,
}

/// Configuration that stops the aggregator before it starts.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("open config: opening config file")]
    Open(#[source] io::Error),
    /// Its content is not a configuration.
    #[error("reading config file {path}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// The limits in the environment are invalid.
    #[error("reading the environment variable SONO_UPLOAD_LIMITS")]
    Limits(#[source] ConfigError),
    /// A directory with plugins could not be read.
    #[error("couldn't scan {path} for plugins")]
    Scan {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A plugin's definition could not be read.
    #[error("couldn't load plugin definition file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Definitions that cannot be run, one problem per line.
    #[error("couldn't load plugins:\n{}", .0.join("\n"))]
    Plugins(Vec<String>),
    /// The configuration selects a plugin that does not exist.
    #[error("Configured plugin {0} does not exist")]
    Missing(String),
}

impl Settings {
    /// Reads all settings. Relative paths are relative to `directory`.
    pub fn load(variables: &BTreeMap<String, String>, directory: &Path) -> Result<Self, SettingsError> {
        let get = |name: &str| variables.get(name).filter(|value| !value.is_empty());
        let mut config = read_config(get(env::SONOBUOY_CONFIG), directory)?;
        if let Some(results_dir) = get(env::RESULTS_DIR) {
            config.results_dir.clone_from(results_dir);
        }
        if let Some(limits) = get(env::SONO_UPLOAD_LIMITS) {
            let overlay = format!("{{\"UploadLimits\":{limits}}}");
            config = config.overlaid_with(&overlay).map_err(SettingsError::Limits)?;
        }
        let mut warnings: Vec<String> = query::config_problems(&config)
            .iter()
            .map(ToString::to_string)
            .collect();
        if Compatibility::from_name(&config.results_compatibility).is_none() {
            warnings.push(format!(
                "ResultsCompatibility: {:?} is not known, the default is used; expected \"sonobuoy\" or \"sonobuoy-counts\"",
                config.results_compatibility
            ));
        }
        if !["", "on", "off"].contains(&config.redact_known.as_str()) {
            warnings.push(format!(
                "RedactKnown: {:?} is not known, the default is used; expected \"on\" or \"off\"",
                config.redact_known
            ));
        }
        let definitions = if config.skip_plugins {
            Vec::new()
        } else {
            load_plugins(&config, directory, &mut warnings)?
        };
        Ok(Self {
            config,
            definitions,
            advertise_ip: get(env::SONOBUOY_ADVERTISE_IP).cloned(),
            reconcile: get(env::SONOBUOY_DISABLE_RECONCILIATION).is_none_or(|value| value != "true"),
            warnings,
        })
    }
}

/// Reads a file that a person wrote, in any Unicode encoding.
fn read_text(path: &Path) -> io::Result<String> {
    let bytes = fs_err::read(path)?;
    let text = decode(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(text.into_owned())
}

fn read_config(named: Option<&String>, directory: &Path) -> Result<Config, SettingsError> {
    let candidates = match named {
        Some(named) => vec![directory.join(named)],
        None => vec![
            directory.join(constants::CONFIG_MAP_KEY),
            PathBuf::from(constants::AGGREGATOR_CONFIG_FILE),
        ],
    };
    for path in candidates {
        match read_text(&path) {
            Ok(text) => return Config::from_json(&text).map_err(|source| SettingsError::Config { path, source }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(SettingsError::Open(error)),
        }
    }
    Err(SettingsError::Open(io::Error::new(
        io::ErrorKind::NotFound,
        format!(
            "neither {} nor {} exists",
            constants::CONFIG_MAP_KEY,
            constants::AGGREGATOR_CONFIG_FILE
        ),
    )))
}

/// Loads all definitions below the search path, then selects. A definition that cannot be run stops the aggregator, because a
/// run without it would look complete.
fn load_plugins(
    config: &Config,
    directory: &Path,
    warnings: &mut Vec<String>,
) -> Result<Vec<Definition>, SettingsError> {
    let mut files = BTreeSet::new();
    for folder in config.plugin_search_path.iter().flatten() {
        let path = directory.join(folder);
        let entries = match fs_err::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(SettingsError::Scan { path, source }),
        };
        for entry in entries {
            let file = entry
                .map_err(|source| SettingsError::Scan {
                    path: path.clone(),
                    source,
                })?
                .path();
            let is_yaml = file
                .extension()
                .is_some_and(|extension| extension == "yml" || extension == "yaml");
            if is_yaml && !file.is_dir() {
                files.insert(file);
            }
        }
    }
    let (mut loaded, mut problems) = (Vec::new(), Vec::new());
    for path in files {
        let text = read_text(&path).map_err(|source| SettingsError::Read {
            path: path.clone(),
            source,
        })?;
        let file = path.display().to_string();
        let (definition, found) = sono_manifest::load(&file, &text);
        for problem in found {
            let list = if problem.severity == Severity::Error {
                &mut problems
            } else {
                &mut *warnings
            };
            list.push(problem.to_string());
        }
        loaded.extend(definition.map(|definition| (file, definition)));
    }
    problems.extend(sono_manifest::check_set(&loaded).iter().map(ToString::to_string));
    if !problems.is_empty() {
        return Err(SettingsError::Plugins(problems));
    }
    let mut definitions: Vec<Definition> = loaded.into_iter().map(|(_, definition)| definition).collect();
    if let Some(selection) = &config.plugins {
        let known = |name: &str| definitions.iter().any(|definition| definition.name.as_str() == name);
        if let Some(missing) = selection.iter().find(|selected| !known(&selected.name)) {
            return Err(SettingsError::Missing(missing.name.clone()));
        }
        definitions.retain(|definition| {
            selection
                .iter()
                .any(|selected| selected.name == definition.name.as_str())
        });
    }
    Ok(definitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLUGIN: &str = "sonobuoy-config:\n  driver: Job\n  plugin-name: NAME\nspec:\n  image: i\n  name: c\n";

    fn folder(config: &str, plugins: &[(&str, String)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("config.json"), config).unwrap();
        fs_err::create_dir(folder.path().join("plugins.d")).unwrap();
        for (name, text) in plugins {
            fs_err::write(folder.path().join("plugins.d").join(name), text).unwrap();
        }
        folder
    }

    fn load(folder: &tempfile::TempDir, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Settings::load(&variables, folder.path())
    }

    fn names(settings: &Settings) -> Vec<&str> {
        settings
            .definitions
            .iter()
            .map(|definition| definition.name.as_str())
            .collect()
    }

    fn plugins() -> Vec<(&'static str, String)> {
        vec![
            ("b.yaml", PLUGIN.replace("NAME", "b")),
            ("a.yml", PLUGIN.replace("NAME", "a")),
            ("readme.txt", "not: [yaml".to_owned()),
        ]
    }

    #[test]
    fn null_selects_all_and_an_empty_list_none() {
        let all = load(&folder("{}", &plugins()), &[]).unwrap();
        assert_eq!(names(&all), ["a", "b"]);
        assert!(all.reconcile);
        let none = load(&folder(r#"{"Plugins":[]}"#, &plugins()), &[]).unwrap();
        assert_eq!(names(&none), Vec::<&str>::new());
        let one = load(&folder(r#"{"Plugins":[{"name":"b"}]}"#, &plugins()), &[]).unwrap();
        assert_eq!(names(&one), ["b"]);
        let missing = load(&folder(r#"{"Plugins":[{"name":"c"}]}"#, &plugins()), &[]).unwrap_err();
        assert_eq!(missing.to_string(), "Configured plugin c does not exist");
    }

    #[test]
    fn the_environment_overrides() {
        let settings = load(
            &folder("{}", &[]),
            &[
                ("RESULTS_DIR", "/r"),
                ("SONOBUOY_ADVERTISE_IP", "10.0.0.1"),
                ("SONOBUOY_DISABLE_RECONCILIATION", "true"),
                ("SONO_UPLOAD_LIMITS", r#"{"MaxBodyBytes":5}"#),
            ],
        )
        .unwrap();
        assert_eq!(settings.config.upload_limits.max_body_bytes, 5);
        assert_eq!(settings.config.results_dir, "/r");
        assert_eq!(settings.advertise_ip.as_deref(), Some("10.0.0.1"));
        assert!(!settings.reconcile);
        let error = load(&folder("{}", &[]), &[("SONO_UPLOAD_LIMITS", "5 MiB")]).unwrap_err();
        assert!(matches!(error, SettingsError::Limits(_)));
    }

    #[test]
    fn invalid_filters_are_warnings_before_the_run() {
        let settings = load(
            &folder(r#"{"Filters":{"Namespaces":"a("},"QPS":1,"Resources":["pods"]}"#, &[]),
            &[],
        )
        .unwrap();
        assert_eq!(
            settings.warnings,
            [
                "Filters.Namespaces: `a(` is not a regular expression: unclosed group; only the run's own namespace is queried"
            ]
        );
    }

    #[test]
    fn unknown_compatibility_is_a_warning() {
        let warnings = |name: &str| {
            let config = format!(r#"{{"ResultsCompatibility":"{name}"}}"#);
            load(&folder(&config, &[]), &[]).unwrap().warnings
        };
        assert_eq!(warnings("sonobuoy"), Vec::<String>::new());
        assert_eq!(warnings("sonobuoy-counts"), Vec::<String>::new());
        assert_eq!(
            warnings("old"),
            [
                "ResultsCompatibility: \"old\" is not known, the default is used; expected \"sonobuoy\" or \"sonobuoy-counts\""
            ]
        );
    }

    #[test]
    fn invalid_definition_stops_the_aggregator() {
        let broken = vec![
            ("a.yaml", PLUGIN.replace("NAME", "a")),
            ("b.yaml", PLUGIN.replace("NAME", "a")),
        ];
        assert!(
            matches!(load(&folder("{}", &broken), &[]), Err(SettingsError::Plugins(problems)) if problems.len() == 1)
        );
        let missing = load(&folder("{}", &[]), &[("SONOBUOY_CONFIG", "nowhere.json")]).unwrap_err();
        assert!(matches!(missing, SettingsError::Open(_)));
    }
}
