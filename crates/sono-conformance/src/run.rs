//! A run of the suite, as an archive describes it, and the reasons why its results are not a submission.

mod readme;

use std::collections::{BTreeMap, BTreeSet};

pub use readme::render as render_readme;
use serde_json::Value;
use sono_types::{constants, layout};

use crate::{junit::Junit, log::LogFacts, minor::Minor, required::RequiredTests};

/// Filter of the certified mode.
const WHOLE_SUITE: &str = "\\[Conformance\\]";
/// Days after which reviewers refuse results.
pub const MAX_AGE_DAYS: u32 = 90;
/// Maximum number of nodes that are described.
const MAX_NODES: usize = 10_000;

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Version of the kubelet.
    pub kubelet: String,
    /// Operating system image.
    pub system: String,
    /// Version of the kernel.
    pub kernel: String,
    /// Container runtime and its version.
    pub runtime: String,
    /// Architecture.
    pub architecture: String,
}

/// A run of the suite. Texts are empty, and lists too, if the archive does not have them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Run {
    /// Name of the plugin.
    pub plugin: String,
    /// Version of the API server.
    pub server: String,
    /// Platform of the API server.
    pub platform: String,
    /// Image of the suite.
    pub image: String,
    /// Digest of that image, as the container runtime reports it.
    pub image_id: String,
    /// Environment of the suite.
    pub environment: BTreeMap<String, String>,
    /// Version of the tool that ran the suite.
    pub tool: String,
    /// Image of the aggregator.
    pub tool_image: String,
    /// Start of the run, RFC 3339 in UTC.
    pub start: String,
    /// Nodes, sorted by name.
    pub nodes: Vec<Node>,
    /// JUnit files of the plugin, by path.
    pub junit_files: Vec<String>,
    /// The results contain redacted values.
    pub redacted: bool,
}

/// A reason why results are not a submission.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// Name.
    pub name: &'static str,
    /// Reason.
    pub reason: String,
}

/// Namespace of the run, by its configuration (`meta/config.json`).
pub fn namespace(config: &[u8]) -> String {
    let config: Value = serde_json::from_slice(config).unwrap_or_default();
    let namespace = text(&config, "/Namespace");
    if namespace.is_empty() {
        constants::DEFAULT_NAMESPACE.to_owned()
    } else {
        namespace
    }
}

fn pods_file(namespace: &str) -> String {
    layout::namespaced_resource(namespace, "", "v1", "pods")
}

/// Names of the files that describe a run in `namespace`, except JUnit files.
pub fn description_files(plugin: &str, namespace: &str) -> Vec<String> {
    let folder = layout::plugin_dir_named(plugin);
    vec![
        layout::CONFIG.to_owned(),
        layout::RUN_LOG.to_owned(),
        layout::REDACTIONS.to_owned(),
        layout::SERVER_VERSION.to_owned(),
        format!("{folder}/definition.json"),
        // The name until Sonobuoy 0.56.
        format!("{folder}/defintion.json"),
        layout::cluster_resource("", "v1", "nodes"),
        pods_file(namespace),
    ]
}

/// Path of the log or the JUnit file in an archive.
pub fn result_file(plugin: &str, name: &str) -> String {
    format!("{}/results/global/{name}", layout::plugin_dir_named(plugin))
}

impl Run {
    /// Reads the description. `files` are the contents by path, `names` the paths of all files of the plugin.
    pub fn read(plugin: &str, files: &BTreeMap<String, Vec<u8>>, names: &[String]) -> Self {
        let folder = layout::plugin_dir_named(plugin);
        let json = |name: &str| {
            files
                .get(name)
                .and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok())
                .unwrap_or_default()
        };
        let config = json(layout::CONFIG);
        let server = json(layout::SERVER_VERSION);
        let definition = [format!("{folder}/definition.json"), format!("{folder}/defintion.json")]
            .iter()
            .find(|name| files.contains_key(*name))
            .map(|name| json(name))
            .unwrap_or_default();
        let spec = definition.pointer("/Definition/spec").cloned().unwrap_or_default();
        let environment = spec.get("env").and_then(Value::as_array).into_iter().flatten();
        let environment = environment
            .filter_map(|variable| Some((text(variable, "/name"), variable.get("value")?.as_str()?.to_owned())))
            .collect();
        let start = files.get(layout::RUN_LOG).and_then(|log| start(log));
        let is_junit = |name: &&String| {
            let base = name.rsplit('/').next().unwrap_or_default();
            let is_xml = base
                .rsplit_once('.')
                .is_some_and(|(_, end)| end.eq_ignore_ascii_case("xml"));
            name.starts_with(&format!("{folder}/results/")) && base.starts_with("junit") && is_xml
        };
        Self {
            plugin: plugin.to_owned(),
            server: text(&server, "/gitVersion"),
            platform: text(&server, "/platform"),
            image: text(&spec, "/image"),
            image_id: image_id(
                &json(&pods_file(&namespace(
                    files.get(layout::CONFIG).map_or(&[], Vec::as_slice),
                ))),
                &text(&spec, "/name"),
                plugin,
            ),
            environment,
            tool: text(&config, "/Version"),
            tool_image: text(&config, "/WorkerImage"),
            start: start.unwrap_or_default(),
            nodes: nodes(&json(&layout::cluster_resource("", "v1", "nodes"))),
            junit_files: names.iter().filter(is_junit).cloned().collect(),
            redacted: is_redacted(&json(layout::REDACTIONS), &format!("{folder}/results/")),
        }
    }

    /// The minor version of the API server.
    pub fn minor(&self) -> Option<Minor> {
        self.server.parse().ok()
    }

    fn variable(&self, name: &str) -> &str {
        self.environment.get(name).map(String::as_str).unwrap_or_default()
    }

    /// The reasons against a submission of the results, in a fixed order. `oldest` is the earliest accepted start, RFC 3339 in
    /// UTC.
    pub fn refusals(
        &self,
        junit: Option<&[u8]>,
        log: Option<&[u8]>,
        required: &RequiredTests,
        oldest: &str,
    ) -> Vec<Refusal> {
        let mut refusals = Refusals::default();
        self.refuse_files(junit, log, &mut refusals);
        self.refuse_selection(&mut refusals);
        let junit = junit.and_then(|bytes| Junit::read(bytes).ok());
        let log = log.map(LogFacts::read);
        let repeated = junit.as_ref().map_or(0, |junit| {
            let names: BTreeSet<String> = junit.conformance_tests().map(|(name, _)| name).collect();
            junit.conformance_tests().count() - names.len()
        });
        if repeated > 0 {
            refusals.add("retried", format!("{repeated} tests ran more than once"));
        }
        let extra = self.variable("E2E_EXTRA_GINKGO_ARGS");
        if log
            .as_ref()
            .and_then(|log| log.summary)
            .is_some_and(|summary| summary.flaked > 0)
            || extra.contains("flake-attempts")
        {
            refusals.add("retried", "the suite repeated failed tests".to_owned());
        }
        if self.redacted {
            refusals.add("redacted", "values in the results were redacted".to_owned());
        }
        if self.start.is_empty() {
            refusals.add("too-old", "the archive does not have the time of the run".to_owned());
        } else if self.start.as_str() < oldest {
            refusals.add(
                "too-old",
                format!("the run started at {}, more than {MAX_AGE_DAYS} days ago", self.start),
            );
        }
        self.refuse_version(log.as_ref(), &mut refusals);
        self.refuse_tests(junit.as_ref(), required, &mut refusals);
        refusals.0
    }

    fn refuse_files(&self, junit: Option<&[u8]>, log: Option<&[u8]>, refusals: &mut Refusals) {
        let plugin = &self.plugin;
        match junit.map(Junit::read) {
            None => refusals.add(
                "results",
                format!("plugin `{plugin}` does not have the file junit_01.xml"),
            ),
            Some(Err(error)) => refusals.add("results", format!("cannot read junit_01.xml: {error}")),
            Some(Ok(_)) => {}
        }
        if self.junit_files.len() > 1 {
            refusals.add(
                "results",
                format!(
                    "plugin `{plugin}` has {} JUnit files: {}",
                    self.junit_files.len(),
                    shown(&self.junit_files)
                ),
            );
        }
        match log.map(LogFacts::read) {
            None => refusals.add("log", format!("plugin `{plugin}` does not have the file e2e.log")),
            Some(facts) if facts.summary.is_none() => {
                refusals.add("log", "e2e.log has no summary: it was cut".to_owned());
            }
            Some(_) => {}
        }
    }

    fn refuse_selection(&self, refusals: &mut Refusals) {
        if self.environment.is_empty() && self.image.is_empty() {
            refusals.add(
                "filtered",
                "the archive does not have the settings of the suite".to_owned(),
            );
            return;
        }
        let focus = self.variable("E2E_FOCUS");
        if focus != WHOLE_SUITE {
            refusals.add(
                "filtered",
                format!("E2E_FOCUS is `{}` instead of `{WHOLE_SUITE}`", cut(focus)),
            );
        }
        let skip = self.variable("E2E_SKIP");
        if !skip.is_empty() {
            refusals.add("skipped", format!("E2E_SKIP is `{}` instead of empty", cut(skip)));
        }
        if matches!(self.variable("E2E_DRYRUN"), "true" | "y" | "Y") {
            refusals.add("dry-run", "E2E_DRYRUN is set: no test ran".to_owned());
        }
    }

    fn refuse_version(&self, log: Option<&LogFacts>, refusals: &mut Refusals) {
        let Some(minor) = self.minor() else {
            refusals.add(
                "version",
                "the archive does not have the version of the API server".to_owned(),
            );
            return;
        };
        let tag = self.image.rsplit_once(':').map_or("", |(_, tag)| tag);
        if let Ok(suite) = tag.parse::<Minor>()
            && suite != minor
        {
            refusals.add("version", format!("the suite is of {suite}, the API server of {minor}"));
        }
        for version in log.iter().flat_map(|log| &log.apiserver) {
            if version.parse().ok() != Some(minor) {
                refusals.add(
                    "version",
                    format!("e2e.log is of API server {version}, the archive of {minor}"),
                );
            }
        }
        let others: Vec<String> = self
            .nodes
            .iter()
            .filter(|node| node.kubelet.parse().ok() != Some(minor))
            .map(|node| format!("{} {}", node.name, node.kubelet))
            .collect();
        if !others.is_empty() {
            refusals.add("version", format!("kubelets are not of {minor}: {}", shown(&others)));
        }
    }

    fn refuse_tests(&self, junit: Option<&Junit>, required: &RequiredTests, refusals: &mut Refusals) {
        let (Some(junit), Some(minor)) = (junit, self.minor()) else {
            return;
        };
        let failed: BTreeSet<String> = junit
            .conformance_tests()
            .filter(|(_, case)| case.failed || case.error)
            .map(|(name, _)| name)
            .collect();
        if !failed.is_empty() {
            refusals.add("failed", format!("{} conformance tests failed", failed.len()));
        }
        let Some(names) = required.of(minor) else {
            refusals.add("missing", format!("the list of required tests of {minor} is unknown"));
            return;
        };
        let ran: BTreeSet<String> = junit.conformance_tests().map(|(name, _)| name).collect();
        let missing = names.difference(&ran).count();
        if missing > 0 {
            refusals.add(
                "missing",
                format!("{missing} of {} required tests did not run", names.len()),
            );
        }
    }
}

#[derive(Debug, Default)]
struct Refusals(Vec<Refusal>);

impl Refusals {
    fn add(&mut self, name: &'static str, reason: String) {
        self.0.push(Refusal { name, reason });
    }
}

fn text(value: &Value, pointer: &str) -> String {
    let text = value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    // Foreign text is one line of a table.
    text.chars().filter(|letter| !letter.is_control()).take(1024).collect()
}

/// At most three of several texts.
fn shown(texts: &[String]) -> String {
    let first = texts
        .iter()
        .take(3)
        .map(|text| cut(text))
        .collect::<Vec<_>>()
        .join(", ");
    match texts.len().checked_sub(3) {
        Some(more) if more > 0 => format!("{first} and {more} more"),
        _ => first,
    }
}

fn cut(text: &str) -> String {
    const MAX: usize = 120;
    if text.chars().count() <= MAX {
        return text.to_owned();
    }
    text.chars().take(MAX).chain(['…']).collect()
}

/// The time of the first line of the aggregator's log.
fn start(log: &[u8]) -> Option<String> {
    let line = log.split(|byte| *byte == b'\n').next()?;
    let line: Value = serde_json::from_slice(line).ok()?;
    let time = ["/time", "/timestamp"]
        .iter()
        .find_map(|name| line.pointer(name)?.as_str())?;
    let digits = time.get(..19).filter(|_| time.ends_with('Z'))?;
    let valid = digits.bytes().enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    valid.then(|| format!("{digits}Z"))
}

fn nodes(list: &Value) -> Vec<Node> {
    let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
    let mut nodes: Vec<Node> = items
        .take(MAX_NODES)
        .map(|item| Node {
            name: text(item, "/metadata/name"),
            kubelet: text(item, "/status/nodeInfo/kubeletVersion"),
            system: text(item, "/status/nodeInfo/osImage"),
            kernel: text(item, "/status/nodeInfo/kernelVersion"),
            runtime: text(item, "/status/nodeInfo/containerRuntimeVersion"),
            architecture: text(item, "/status/nodeInfo/architecture"),
        })
        .collect();
    nodes.sort();
    nodes
}

/// The image ID of the suite's container in the plugin's pod.
fn image_id(pods: &Value, container: &str, plugin: &str) -> String {
    let items = pods.get("items").and_then(Value::as_array).into_iter().flatten();
    let statuses = items
        .filter(|pod| text(pod, "/metadata/name").contains(plugin))
        .filter_map(|pod| pod.pointer("/status/containerStatuses")?.as_array())
        .flatten();
    let mut ids: Vec<String> = statuses
        .filter(|status| text(status, "/name") == container)
        .map(|status| text(status, "/imageID"))
        .filter(|id| !id.is_empty())
        .collect();
    ids.sort();
    ids.into_iter().next().unwrap_or_default()
}

fn is_redacted(report: &Value, folder: &str) -> bool {
    let files = report.get("files").and_then(Value::as_array).into_iter().flatten();
    files
        .filter(|file| {
            file.get("path")
                .and_then(Value::as_str)
                .is_some_and(|path| path.starts_with(folder))
        })
        .any(|file| {
            file.get("hits")
                .and_then(Value::as_object)
                .is_some_and(|hits| !hits.is_empty())
        })
}

#[cfg(test)]
mod tests;
