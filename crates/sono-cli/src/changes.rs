//! From flags to what they change in plugins.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;
use sono_bundle::Bundle;
use sono_manifest::{Changes, Definition, E2E, Mode, any_of, change_variables};
use sono_results::from_yaml;
use sono_types::{Item, PluginName, constants, layout};

use crate::{aggregator::text, args, error::CliError};

const SYSTEMD_LOGS: &str = "systemd-logs";
/// Under this name flags mean the aggregator's own container.
const AGGREGATOR: &str = "sonobuoy";

/// What flags change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resolved {
    plugins: Changes,
    /// Variables of the aggregator; `None` removes one.
    aggregator: BTreeMap<String, Option<String>>,
}

impl Resolved {
    pub(crate) fn new(flags: args::Changes) -> Result<Self, CliError> {
        let args::Changes {
            mode,
            e2e_focus,
            e2e_skip,
            e2e_parallel,
            rerun_failed,
            e2e_repo,
            e2e_repo_config,
            ssh_user,
            plugin_env,
            plugin_image,
            kube_conformance_image,
            systemd_logs_image,
        } = flags;
        let mut plugins = Changes::default();
        let mode = mode.as_deref().map(find_mode).transpose()?;
        if let Some(mode) = mode {
            let selection = mode.selection();
            plugins.set(E2E, "E2E_FOCUS", Some(selection.focus));
            plugins.set(E2E, "E2E_SKIP", Some(selection.skip));
            plugins.set(E2E, "E2E_PARALLEL", Some(selection.parallel));
        }
        for (flag, variable, expression) in [
            ("--e2e-focus", "E2E_FOCUS", e2e_focus),
            ("--e2e-skip", "E2E_SKIP", e2e_skip),
        ] {
            if let Some(expression) = expression {
                check_expression(flag, &expression)?;
                plugins.set(E2E, variable, Some(expression));
            }
        }
        if let Some(archive) = rerun_failed {
            plugins.set(E2E, "E2E_FOCUS", Some(failed_tests(&archive)?));
            plugins.set(E2E, "E2E_SKIP", None);
        }
        let others = [
            ("E2E_PARALLEL", e2e_parallel),
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
        let mut aggregator = BTreeMap::new();
        for args::Pair { name, value } in plugin_env {
            let (variable, value) = match value.split_once('=') {
                Some((variable, value)) => (variable, Some(value.to_owned()).filter(|value| !value.is_empty())),
                None => (value.as_str(), None),
            };
            if name == AGGREGATOR {
                aggregator.insert(variable.to_owned(), value);
            } else {
                plugins.set(&name, variable, value);
            }
        }
        // The last image for a plugin wins, the special flags coming last.
        let special = [(E2E, kube_conformance_image), (SYSTEMD_LOGS, systemd_logs_image)];
        let images = plugin_image.into_iter().map(|args::Pair { name, value }| (name, value));
        let special = special
            .into_iter()
            .filter_map(|(name, image)| Some((name.to_owned(), image?)));
        plugins.images.extend(images.chain(special));
        Ok(Self { plugins, aggregator })
    }

    /// Changes the definitions. Flags that mean the Kubernetes tests change nothing where those are not run.
    pub(crate) fn apply(&self, definitions: &mut [Definition]) -> Result<(), CliError> {
        self.plugins
            .apply(definitions, &[E2E, SYSTEMD_LOGS])
            .map_err(|error| CliError::new("a flag means a plugin that does not run").caused_by(&error))
    }
}

impl Resolved {
    /// Changes the aggregator's container among a run's objects.
    pub(crate) fn apply_to_aggregator(&self, objects: &mut [Value]) {
        let pods = objects.iter_mut().filter(|object| text(object, "/kind") == "Pod");
        let containers = pods.filter_map(|pod| pod.pointer_mut("/spec/containers/0"));
        for container in containers {
            change_variables(container, &self.aggregator);
        }
    }

    /// Whether the aggregator's container is changed, which a local run does not have.
    pub(crate) fn means_aggregator(&self) -> bool {
        !self.aggregator.is_empty()
    }
}

fn find_mode(name: &str) -> Result<Mode, CliError> {
    Mode::from_name(name).ok_or_else(|| {
        let names = Mode::ALL.map(Mode::name).join(", ");
        CliError::new(format!("there is no mode `{name}`")).hint(format!("one of {names}; sono modes describes them"))
    })
}

/// The tests read it with Go's syntax, which is nearly ours; what cannot be read here cannot be read there.
fn check_expression(flag: &str, expression: &str) -> Result<(), CliError> {
    match regex::Regex::new(expression) {
        Ok(_) => Ok(()),
        Err(error) => Err(CliError::new(format!("{flag} is no regular expression")).caused_by(&error)),
    }
}

fn read(file: &Path) -> Result<(String, String), CliError> {
    let what = || CliError::new(format!("cannot use `{}`", file.display()));
    let text = fs_err::read_to_string(file).map_err(|error| what().caused_by(&error))?;
    let name = file.file_name().ok_or_else(what)?.to_string_lossy().into_owned();
    Ok((name, text))
}

/// The names of an archive's failed tests, as one expression.
fn failed_tests(archive: &Path) -> Result<String, CliError> {
    let what = || CliError::new(format!("cannot run the failed tests of `{}` again", archive.display()));
    let bundle = Bundle::open(archive).map_err(|error| what().caused_by(&error))?;
    let name = layout::results_file(&e2e());
    let text = bundle.read(&name).map_err(|error| what().caused_by(&error))?;
    let text = text.ok_or_else(|| what().details([format!("it holds no results of the plugin {E2E}: no {name}")]))?;
    let tree = from_yaml(&String::from_utf8_lossy(&text)).map_err(|error| what().caused_by(&error))?;
    let mut names = BTreeSet::new();
    collect_failed(&tree, &mut names);
    if names.is_empty() {
        return Err(what().details(["no test failed in it".to_owned()]));
    }
    Ok(any_of(names.iter().map(String::as_str)))
}

fn e2e() -> PluginName {
    PluginName::parse(E2E).expect("it is a valid name")
}

fn collect_failed(item: &Item, names: &mut BTreeSet<String>) {
    if !item.items.is_empty() {
        item.items.iter().for_each(|item| collect_failed(item, names));
        return;
    }
    if !["failed", "timeout"].contains(&item.status.as_str()) {
        return;
    }
    // `[It]` is put in front by the report alone, and stages of the suite itself, like [SynchronizedBeforeSuite], are no tests.
    let name = item.name.strip_prefix("[It] ").unwrap_or(&item.name);
    let stage = name.split_once(']').map_or("", |(start, _)| start);
    if !stage.ends_with("Suite") {
        names.insert(name.to_owned());
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

    /// B-26 and its like: names without the report's own additions, and no stages of the suite.
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
        let mut names = BTreeSet::new();
        collect_failed(&tree, &mut names);
        assert_eq!(
            names,
            ["[sig-node] a (b)", "[sig-node] c"].map(ToOwned::to_owned).into()
        );
    }
}
