//! Changes to plugins, from flags.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use serde_json::Value;
use sono_bundle::Bundle;
use sono_manifest::{
    AUTOMATIC_VARIABLES, Changes, DOCKER_CONFIG_SECRET, Definition, E2E, Mode, change_variables, docker_config_secret,
    exactly, parallelize, ssh_key_secret,
};
use sono_types::{Config, Item, PluginName, constants, layout, shortened};

use crate::{
    aggregator::text,
    args::{self, GivenFlags},
    error::CliError,
    go_regex,
    kubernetes_version::numbers,
    output::Printer,
    text_file, trees,
};

/// Maximum length of an expression in a message.
const EXPRESSION_CHARACTERS: usize = 60;
const SYSTEMD_LOGS: &str = "systemd-logs";
/// Name of the file that assigns one registry to all groups of test images.
const REGISTRIES: &str = "registries.yaml";
/// Plugin name that stands for the aggregator's own container.
const AGGREGATOR: &str = "sonobuoy";

/// Flags that apply to one plugin without naming it.
const IMPLIED_PLUGINS: [(&str, &str); 12] = [
    ("mode", E2E),
    ("e2e-focus", E2E),
    ("e2e-skip", E2E),
    ("e2e-parallel", E2E),
    ("rerun-failed", E2E),
    ("e2e-repo", E2E),
    ("e2e-repo-config", E2E),
    ("e2e-docker-config-file", E2E),
    ("ssh-key", E2E),
    ("ssh-user", E2E),
    ("kube-conformance-image", E2E),
    ("systemd-logs-image", SYSTEMD_LOGS),
];

/// Changes to plugins and to the aggregator, from flags.
#[derive(Clone, Default)]
pub(crate) struct PluginChanges {
    plugins: Changes,
    /// Variables of the aggregator; `None` removes one.
    aggregator: BTreeMap<String, Option<String>>,
    /// Plugins that flags name.
    named: BTreeSet<String>,
    /// Given flags that apply to a plugin without naming it.
    implied: Vec<(&'static str, &'static str)>,
    /// SSH key of the tests for node access.
    ssh_key: Option<Vec<u8>>,
    /// Docker configuration with credentials of the tests.
    docker_config: Option<Vec<u8>>,
}

impl fmt::Debug for PluginChanges {
    /// Omits secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PluginChanges")
            .field("plugins", &self.plugins)
            .field("aggregator", &self.aggregator)
            .finish_non_exhaustive()
    }
}

impl PluginChanges {
    /// Reads the flags and their files. Credentials in the configuration are used too, and `config` receives the name of
    /// their Secret.
    #[expect(clippy::too_many_lines, reason = "one block per group of flags")]
    pub(crate) fn new(
        flags: args::Changes,
        given: &GivenFlags,
        config: &mut Config,
        printer: &Printer,
    ) -> Result<Self, CliError> {
        let args::Changes {
            mode,
            e2e_focus,
            e2e_skip,
            e2e_parallel,
            rerun_failed,
            e2e_repo,
            e2e_repo_config,
            e2e_docker_config_file,
            ssh_key,
            ssh_user,
            plugin_env,
            plugin_image,
            kube_conformance_image,
            systemd_logs_image,
        } = flags;
        let mut plugins = Changes::default();
        let mode = mode.as_deref().map(find_mode).transpose()?;
        // Reviewers of submissions ask for a log with names and times.
        plugins.verbose_tests = mode == Some(Mode::CertifiedConformance);
        if let Some(mode) = mode {
            let selection = mode.selection();
            plugins.set(E2E, "E2E_FOCUS", Some(selection.focus));
            plugins.set(E2E, "E2E_SKIP", Some(selection.skip));
            plugins.set(E2E, "E2E_PARALLEL", Some(selection.parallel));
        }
        let is_default_skip = e2e_focus.is_some() && e2e_skip.is_none();
        for (flag, variable, expression) in [
            ("--e2e-focus", "E2E_FOCUS", e2e_focus),
            ("--e2e-skip", "E2E_SKIP", e2e_skip),
        ] {
            if let Some(expression) = expression {
                // The tests parse it as a Go expression: an invalid one would fail there too.
                go_regex::compile(flag, &expression)?;
                plugins.set(E2E, variable, Some(expression));
            }
        }
        if is_default_skip {
            let skip = mode.unwrap_or(Mode::DEFAULT).selection().skip;
            if !skip.is_empty() {
                printer.note(&format!(
                    "note: tests that match {} are skipped, as in mode {}; to skip none: --e2e-skip=",
                    shortened(&skip, EXPRESSION_CHARACTERS),
                    mode.unwrap_or(Mode::DEFAULT).name()
                ));
            }
        }
        if let Some(archive) = rerun_failed {
            plugins.set(E2E, "E2E_FOCUS", Some(failed_tests(&archive)?));
            plugins.set(E2E, "E2E_SKIP", None);
        }
        let others = [
            ("E2E_PARALLEL", e2e_parallel.map(|parallel| parallel.to_string())),
            ("KUBE_TEST_REPO", e2e_repo),
            ("KUBE_SSH_USER", ssh_user),
        ];
        for (variable, value) in others {
            if value.is_some() {
                plugins.set(E2E, variable, value);
            }
        }
        if let Some(file) = e2e_repo_config {
            let (name, text) = read(&file)?;
            let path = format!("{}/{name}", constants::PLUGIN_CONFIG_DIR);
            plugins.set(E2E, "KUBE_TEST_REPO_LIST", Some(path));
            plugins.files.entry(E2E.to_owned()).or_default().insert(name, text);
        }
        if let Some(file) = e2e_docker_config_file {
            config.e2e_docker_config_file = file.to_string_lossy().into_owned();
        }
        let docker_config = match config.e2e_docker_config_file.as_str() {
            "" => None,
            file => Some(read_secret(Path::new(file))?),
        };
        if docker_config.is_some() {
            if config.image_pull_secrets.is_empty() {
                DOCKER_CONFIG_SECRET.clone_into(&mut config.image_pull_secrets);
            }
            plugins.docker_config = Some(config.image_pull_secrets.clone());
        }
        let ssh_key = ssh_key.as_deref().map(read_secret).transpose()?;
        plugins.ssh_key = ssh_key.is_some();
        let mut aggregator = BTreeMap::new();
        let mut named: BTreeSet<String> = plugin_image.iter().map(|image| image.name.clone()).collect();
        for args::Pair { name, value } in plugin_env {
            let (variable, value) = match value.split_once('=') {
                Some((variable, value)) => (variable, Some(value.to_owned()).filter(|value| !value.is_empty())),
                None => (value.as_str(), None),
            };
            if name == AGGREGATOR {
                aggregator.insert(variable.to_owned(), value);
            } else {
                if AUTOMATIC_VARIABLES.contains(&variable) {
                    printer.note(&format!(
                        "warning: --plugin-env {name}.{variable} has no effect: the run sets {variable} for every plugin"
                    ));
                }
                named.insert(name.clone());
                plugins.set(&name, variable, value);
            }
        }
        refuse_too_long(&plugins)?;
        // The last image of a plugin applies; flags for one plugin follow the general one.
        let special = [(E2E, kube_conformance_image), (SYSTEMD_LOGS, systemd_logs_image)];
        let images = plugin_image.into_iter().map(|args::Pair { name, value }| (name, value));
        let special = special
            .into_iter()
            .filter_map(|(name, image)| Some((name.to_owned(), image?)));
        plugins.images.extend(images.chain(special));
        Ok(Self {
            plugins,
            aggregator,
            named,
            implied: IMPLIED_PLUGINS
                .into_iter()
                .filter(|(flag, _)| given.has(flag))
                .collect(),
            ssh_key,
            docker_config,
        })
    }

    /// Sets the file from which the tests read the registry of each group of their images.
    pub(crate) fn take_test_images_from(&mut self, groups: String) {
        let path = format!("{}/{REGISTRIES}", constants::PLUGIN_CONFIG_DIR);
        self.plugins.set(E2E, "KUBE_TEST_REPO_LIST", Some(path));
        let files = self.plugins.files.entry(E2E.to_owned()).or_default();
        files.insert(REGISTRIES.to_owned(), groups);
    }

    /// Changes the definitions. Fails if a flag names a plugin that is not part of the run. Flags for the Kubernetes tests
    /// cause only a warning, since scripts pass them for any plugin.
    pub(crate) fn apply(&self, definitions: &mut [Definition], printer: &Printer) -> Result<(), CliError> {
        let may_be_absent: Vec<&str> = [E2E, SYSTEMD_LOGS]
            .into_iter()
            .filter(|name| !self.named.contains(*name))
            .collect();
        self.plugins.apply(definitions, &may_be_absent).map_err(|error| {
            CliError::new("a flag applies to a plugin that is not part of the run")
                .caused_by(&error)
                .hint(format!("add the plugin with -p {}, or omit the flag", error.plugin))
        })?;
        for (flag, plugin) in &self.implied {
            if !definitions.iter().any(|definition| definition.name.as_str() == *plugin) {
                printer.note(&format!(
                    "warning: --{flag} has no effect: plugin {plugin} is not part of this run"
                ));
            }
        }
        Ok(())
    }
}

impl PluginChanges {
    /// Changes the aggregator's container in the objects of a run.
    pub(crate) fn apply_to_aggregator(&self, objects: &mut [Value]) {
        let specs = objects.iter_mut().filter_map(sono_manifest::aggregator_spec_mut);
        let containers = specs.filter_map(|spec| spec.pointer_mut("/containers/0"));
        for container in containers {
            change_variables(container, &self.aggregator);
        }
    }

    /// Adds the Secrets, in front of the objects that refer to them.
    pub(crate) fn add_secrets(&self, config: &Config, objects: &mut Vec<Value>) {
        let docker_config = self
            .docker_config
            .as_deref()
            .map(|content| docker_config_secret(config, content));
        let ssh_key = self.ssh_key.as_deref().map(|content| ssh_key_secret(config, content));
        let at = objects
            .iter()
            .position(|object| !["Namespace", "ServiceAccount"].contains(&text(object, "/kind")))
            .unwrap_or_default();
        objects.splice(at..at, docker_config.into_iter().chain(ssh_key));
    }

    /// Fails if the tests would ignore Docker credentials: before Kubernetes 1.27. An unknown version is accepted.
    pub(crate) fn check_version(&self, version: &str) -> Result<(), CliError> {
        match numbers(version) {
            Some(numbers) if self.docker_config.is_some() && numbers < (1, 27, 0) => Err(CliError::new(format!(
                "e2e-docker-config-file is only supported for Kubernetes 1.27 or later, not for {version}"
            ))
            .hint("omit the flag: older versions use only the credentials of the nodes")),
            _ => Ok(()),
        }
    }

    /// Whether the aggregator's container is changed. A local run does not have one.
    pub(crate) fn changes_aggregator(&self) -> bool {
        !self.aggregator.is_empty()
    }
}

/// Passes the number of parallel tests to the plugin's test runner.
pub(crate) fn run_in_parallel(
    definitions: &mut [Definition],
    version: &str,
    printer: &Printer,
) -> Result<(), CliError> {
    let matches = |expression: &str, text: &str| {
        // An empty expression skips nothing.
        !expression.is_empty() && go_regex::read(expression).is_ok_and(|expression| expression.is_match(text))
    };
    let suites = definitions
        .iter_mut()
        .filter(|definition| definition.name.as_str() == E2E);
    for definition in suites {
        let notice = parallelize(definition, version, &matches).map_err(|error| {
            CliError::new("cannot run the tests of plugin e2e in parallel")
                .caused_by(&error)
                .hint(error.hint())
        })?;
        if let Some(notice) = notice {
            printer.note(&notice.to_string());
        }
    }
    Ok(())
}

fn find_mode(name: &str) -> Result<Mode, CliError> {
    Mode::from_name(name).ok_or_else(|| {
        let names = Mode::ALL.map(Mode::name).join(", ");
        CliError::new(format!("unknown mode `{name}`"))
            .hint(format!("expected one of {names}; for details: sono modes"))
    })
}

pub(crate) fn read(file: &Path) -> Result<(String, String), CliError> {
    let what =
        || CliError::new(format!("cannot use `{}`", file.display())).hint("the flag requires the name of a file");
    let text = text_file::read(file).map_err(|error| what().caused_by(&error))?;
    let name = file.file_name().ok_or_else(what)?.to_string_lossy().into_owned();
    Ok((name, text))
}

/// Reads a file with a secret.
fn read_secret(file: &Path) -> Result<Vec<u8>, CliError> {
    let content = fs_err::read(file);
    content.map_err(|error| {
        CliError::new(format!("cannot use `{}`", file.display()))
            .caused_by(&error)
            .hint("the flag requires the name of a file")
    })
}

/// Expression that matches exactly the failed tests of an archive.
fn failed_tests(archive: &Path) -> Result<String, CliError> {
    let what = || {
        CliError::new(format!("cannot rerun the failed tests of `{}`", archive.display())).hint(
            "--rerun-failed requires the archive of a run with failed tests of e2e; to list them: sono results ARCHIVE",
        )
    };
    let bundle = Bundle::open(archive).map_err(|error| what().caused_by(&error))?;
    let name = layout::results_file(&e2e());
    let files = trees::of_plugin(&bundle, E2E).map_err(|error| what().caused_by(&error))?;
    let files = files
        .ok_or_else(|| what().details([format!("the archive has no results of plugin {E2E}: {name} is missing")]))?;
    let tree = files.tree().map_err(|error| what().caused_by(&error))?;
    let mut failed = FailedTests::default();
    failed.collect(&tree, None);
    if failed.names.is_empty() {
        return Err(what().details([format!("no test of plugin {E2E} failed")]));
    }
    let suites = failed.suites.iter().map(String::as_str);
    let expression = exactly(suites, failed.names.iter().map(String::as_str));
    if !fits("E2E_FOCUS", &expression) {
        let (number, bytes) = (failed.names.len(), expression.len());
        let reason = format!(
            "the names of {number} failed tests are {bytes} bytes long, and Linux passes at most {MAX_VARIABLE_BYTES} in one variable"
        );
        return Err(what()
            .details([reason])
            .hint("fix their common cause first, or run only some of the tests: --e2e-focus '\\[sig-network\\]'"));
    }
    Ok(expression)
}

/// Maximum size of a variable or argument in Linux, including name and final zero (`MAX_ARG_STRLEN`).
const MAX_VARIABLE_BYTES: usize = 128 << 10;

/// Whether a value fits into one variable. The test runner turns some variables into arguments.
fn fits(variable: &str, value: &str) -> bool {
    let name = match variable {
        "E2E_FOCUS" | "E2E_SKIP" => "--ginkgo.focus",
        other => other,
    };
    name.len() + value.len() + 2 <= MAX_VARIABLE_BYTES
}

/// Rejects values that Linux cannot pass to a process.
fn refuse_too_long(changes: &Changes) -> Result<(), CliError> {
    for (plugin, variables) in &changes.variables {
        for (variable, value) in variables {
            let value = value.as_deref().unwrap_or_default();
            if !fits(variable, value) {
                let what = format!("cannot set {variable} of plugin `{plugin}`");
                let reason = format!(
                    "the value is {} bytes long, and Linux passes at most {MAX_VARIABLE_BYTES} in one variable",
                    value.len()
                );
                return Err(CliError::new(what).details([reason]).hint("shorten the value"));
            }
        }
    }
    Ok(())
}

fn e2e() -> PluginName {
    PluginName::parse(E2E).expect("it is a valid name")
}

/// Names of failed tests and their suites.
#[derive(Debug, Default, PartialEq, Eq)]
struct FailedTests {
    names: BTreeSet<String>,
    suites: BTreeSet<String>,
}

impl FailedTests {
    fn collect(&mut self, item: &Item, suite: Option<&str>) {
        if !item.items.is_empty() {
            // Plugins, nodes and files have a type, suites have none.
            let is_suite = !item.meta.contains_key("type") && !item.name.is_empty();
            let suite = if is_suite { Some(item.name.as_str()) } else { suite };
            item.items.iter().for_each(|item| self.collect(item, suite));
            return;
        }
        if !["failed", "timeout"].contains(&item.status.as_str()) {
            return;
        }
        // Only the report adds `[It]`. Stages of the suite, like [SynchronizedBeforeSuite], are not tests.
        let name = item.name.strip_prefix("[It] ").unwrap_or(&item.name);
        let stage = name.split_once(']').map_or("", |(start, _)| start);
        if !stage.ends_with("Suite") {
            self.names.insert(name.to_owned());
            self.suites.extend(suite.map(ToOwned::to_owned));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(name: &str, status: &str) -> Item {
        Item {
            name: name.to_owned(),
            status: status.into(),
            ..Item::default()
        }
    }

    /// B-26: names without the report's additions, and without stages of the suite.
    #[test]
    fn failed_tests_are_named_as_the_suite_names_them() {
        let tree = Item {
            items: vec![
                leaf("[It] [sig-node] a (b)", "failed"),
                leaf("[sig-node] c", "timeout"),
                leaf("[sig-node] d", "passed"),
                leaf("[SynchronizedBeforeSuite]", "failed"),
                leaf("[ReportAfterSuite] x", "failed"),
            ],
            ..leaf("e2e", "failed")
        };
        let mut failed = FailedTests::default();
        failed.collect(&tree, None);
        assert_eq!(
            failed,
            FailedTests {
                names: ["[sig-node] a (b)", "[sig-node] c"].map(ToOwned::to_owned).into(),
                suites: ["e2e".to_owned()].into(),
            }
        );
    }

    /// Ginkgo matches the suite's description, a blank and the name.
    #[test]
    fn failed_tests_are_selected_exactly() {
        let names = ["[sig-x] Pods should start", "[sig-y] a|b (c) $d"];
        let expression = exactly(["mine"], names);
        let selected = go_regex::read(&expression).unwrap();
        for name in names {
            for suite in [
                "Kubernetes e2e suite ",
                "Kubernetes e2e suite [Top Level] ",
                "mine ",
                "",
            ] {
                assert!(selected.is_match(&format!("{suite}{name}")), "{suite}{name}");
            }
        }
        for name in [
            "[sig-x] Pods should start with a sidecar",
            "[sig-z] before [sig-x] Pods should start",
            "[sig-x] Pods should",
            "[sig-y] a",
            "[sig-y] b (c) $d",
        ] {
            assert!(!selected.is_match(&format!("Kubernetes e2e suite {name}")), "{name}");
        }
    }

    #[test]
    fn value_above_the_linux_limit_does_not_fit() {
        assert!(fits("A", &"x".repeat(MAX_VARIABLE_BYTES - 3)));
        assert!(!fits("A", &"x".repeat(MAX_VARIABLE_BYTES - 2)));
        assert!(fits("E2E_FOCUS", &"x".repeat(MAX_VARIABLE_BYTES - 16)));
        assert!(!fits("E2E_FOCUS", &"x".repeat(MAX_VARIABLE_BYTES - 15)));
    }
}
