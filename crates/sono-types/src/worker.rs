//! Configuration of the worker, from environment variables only (core §3.1).

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::{
    constants, env, go_duration,
    ids::{NodeName, PluginName, Target},
};

/// Configuration of a worker.
#[derive(Clone, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Addresses of the aggregator, `https://host:port`, in the order in which they are tried.
    pub aggregator_urls: Vec<String>,
    /// The plugin.
    pub plugin: PluginName,
    /// The target of its result.
    pub target: Target,
    /// Results directory, shared with the plugin.
    pub results_dir: String,
    /// Port of the progress relay.
    pub progress_port: String,
    /// PEM of the run's CA.
    pub ca_cert: String,
    /// PEM of the worker's certificate.
    pub client_cert: String,
    /// SEC1 PEM of the worker's key.
    pub client_key: String,
    /// How long the done file must exist before it is accepted.
    pub done_delay: Duration,
    /// Time at which the worker gives up.
    pub deadline: Option<Timestamp>,
    /// The worker's own pod, if it runs in one.
    pub pod: Option<OwnPod>,
}

/// The pod in which a worker runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPod {
    /// Namespace.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// Name of the worker's container; the worker waits for all others.
    pub container: String,
}

impl std::fmt::Debug for WorkerConfig {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("WorkerConfig")
            .field("aggregator_urls", &self.aggregator_urls)
            .field("plugin", &self.plugin)
            .field("target", &self.target)
            .field("results_dir", &self.results_dir)
            .field("progress_port", &self.progress_port)
            .field("done_delay", &self.done_delay)
            .field("deadline", &self.deadline)
            .field("pod", &self.pod)
            .finish_non_exhaustive()
    }
}

/// Error of an invalid environment, with all problems.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("loading config: invalid agent configuration: ({})", .0.join(", "))]
pub struct WorkerConfigError(pub Vec<String>);

impl WorkerConfig {
    /// Reads the environment and returns the configuration with warnings. With `single_node` the target is the worker's node
    /// (DaemonSet), otherwise the whole cluster. Empty values count as unset.
    pub fn from_env(
        variables: &BTreeMap<String, String>,
        single_node: bool,
    ) -> Result<(Self, Vec<String>), WorkerConfigError> {
        let get = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let mut required = |name: &str, problem: &str| {
            get(name).unwrap_or_else(|| {
                problems.push(problem.to_owned());
                String::new()
            })
        };
        let url = required(env::AGGREGATOR_URL, "AggregatorURL not set");
        let plugin = required(env::RESULT_TYPE, "ResultsType not set");
        let ca_cert = required(env::CA_CERT, "Couldn't parse CaCert PEM");
        let client_cert = required(env::CLIENT_CERT, "Couldn't parse ClientCert PEM");
        let client_key = required(env::CLIENT_KEY, "Couldn't parse ClientKey PEM");
        let plugin = PluginName::parse(&plugin)
            .map_err(|error| {
                if !plugin.is_empty() {
                    problems.push(format!("{}: {error}", env::RESULT_TYPE));
                }
            })
            .ok();
        let target = if single_node {
            NodeName::parse(&get(env::NODE_NAME).unwrap_or_default())
                .map(Target::Node)
                .map_err(|error| problems.push(format!("{}: {error}", env::NODE_NAME)))
                .ok()
        } else {
            Some(Target::Global)
        };
        let done_delay = get(env::SONOBUOY_DONE_FILE_DELAY).and_then(|text| {
            go_duration::parse(&text)
                .map_err(|error| warnings.push(format!("{}: {error}", env::SONOBUOY_DONE_FILE_DELAY)))
                .ok()
        });
        let deadline = get(env::SONO_DEADLINE).and_then(|text| {
            text.parse::<Timestamp>()
                .map_err(|error| warnings.push(format!("{}: {error}", env::SONO_DEADLINE)))
                .ok()
        });
        let pod = get(env::SONOBUOY_NS)
            .zip(get(env::SONOBUOY_PLUGIN_POD))
            .map(|(namespace, name)| OwnPod {
                namespace,
                name,
                container: get(env::SONOBUOY_WORKER_CONTAINER)
                    .unwrap_or_else(|| constants::WORKER_CONTAINER.to_owned()),
            });
        match (plugin, target) {
            (Some(plugin), Some(target)) if problems.is_empty() => Ok((
                Self {
                    aggregator_urls: [Some(url), get(env::SONO_AGGREGATOR_FALLBACK_URL)]
                        .into_iter()
                        .flatten()
                        .map(|url| origin(&url).to_owned())
                        .collect(),
                    plugin,
                    target,
                    results_dir: get(env::SONOBUOY_RESULTS_DIR).unwrap_or_else(|| constants::RESULTS_DIR.to_owned()),
                    progress_port: get(env::SONOBUOY_PROGRESS_PORT)
                        .unwrap_or_else(|| constants::PROGRESS_PORT.to_owned()),
                    ca_cert,
                    client_cert,
                    client_key,
                    done_delay: done_delay.unwrap_or(constants::DONE_FILE_DELAY),
                    deadline,
                    pod,
                },
                warnings,
            )),
            _ => Err(WorkerConfigError(problems)),
        }
    }
}

/// Scheme, host and port of the URL. Its path is replaced by the routes (core §3.1).
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_up_to_its_port() {
        for (url, expected) in [
            ("https://10.0.0.1:8080", "https://10.0.0.1:8080"),
            ("https://10.0.0.1:8080/", "https://10.0.0.1:8080"),
            ("https://[fd00::1]:8080/an/old/path?q#f", "https://[fd00::1]:8080"),
            ("https://host?q", "https://host"),
            ("host:8080/path", "host:8080"),
        ] {
            assert_eq!(origin(url), expected);
        }
    }

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    const GOOD: [(&str, &str); 5] = [
        ("AGGREGATOR_URL", "https://10.0.0.1:8080"),
        ("RESULT_TYPE", "e2e"),
        ("CA_CERT", "ca"),
        ("CLIENT_CERT", "cert"),
        ("CLIENT_KEY", "key"),
    ];

    #[test]
    fn defaults_are_the_documented_ones() {
        let (config, warnings) = WorkerConfig::from_env(&variables(&GOOD), false).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert_eq!(
            config,
            WorkerConfig {
                aggregator_urls: vec!["https://10.0.0.1:8080".to_owned()],
                plugin: PluginName::parse("e2e").unwrap(),
                target: Target::Global,
                results_dir: "/tmp/sonobuoy/results".to_owned(),
                progress_port: "8099".to_owned(),
                ca_cert: "ca".to_owned(),
                client_cert: "cert".to_owned(),
                client_key: "key".to_owned(),
                done_delay: Duration::from_secs(5),
                deadline: None,
                pod: None,
            }
        );
    }

    #[test]
    fn every_problem_is_named() {
        let error = WorkerConfig::from_env(&variables(&[("AGGREGATOR_URL", "")]), true).unwrap_err();
        assert_eq!(
            error.to_string(),
            "loading config: invalid agent configuration: (AggregatorURL not set, ResultsType not set, Couldn't parse CaCert PEM, Couldn't parse ClientCert PEM, Couldn't parse ClientKey PEM, NODE_NAME: invalid node name \"\")"
        );
    }

    #[test]
    fn an_invalid_delay_is_reported_and_the_default_used() {
        let mut given = variables(&GOOD);
        given.insert("SONOBUOY_DONE_FILE_DELAY".to_owned(), "soon".to_owned());
        let (config, warnings) = WorkerConfig::from_env(&given, false).unwrap();
        assert_eq!(config.done_delay, Duration::from_secs(5));
        assert_eq!(
            warnings,
            ["SONOBUOY_DONE_FILE_DELAY: \"soon\" is not a duration such as 5s, 1m30s or 250ms"]
        );
    }
}
