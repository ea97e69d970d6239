//! `sono gen plugin`: plugin definitions.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Map, Value, json};
use sono_manifest::{Definition, DriverKind, ResultRedaction, Severity, default_pod_spec, lint};
use sono_types::{PluginName, constants, exit};

use super::{resolve, version};
use crate::{
    args::{self, GivenFlags},
    changes::read,
    error::CliError,
    output::{Format, Printer},
    settings::DEFAULT_PLUGINS,
};

/// Defaults of a new definition.
const DEFAULT_COMMAND: &str = "./run.sh";
const CONTAINER_NAME: &str = "plugin";

pub(super) async fn generate(
    arguments: args::GenPlugin,
    given: &GivenFlags,
    level: &str,
    printer: &Printer,
) -> Result<u8, CliError> {
    match arguments.built_in {
        Some(args::GenBuiltIn::E2e(flags)) => built_in("e2e", *flags, given, level, printer).await,
        Some(args::GenBuiltIn::SystemdLogs(flags)) => built_in("systemd-logs", *flags, given, level, printer).await,
        None => {
            let definition = definition(arguments, printer)?;
            printer.document(Format::Yaml, &(definition.to_yaml() + "\n"))?;
            Ok(exit::SUCCESS)
        }
    }
}

/// Prints the definition of a built-in plugin, as `run` would store it.
async fn built_in(
    name: &str,
    flags: args::GenBuiltInFlags,
    given: &GivenFlags,
    level: &str,
    printer: &Printer,
) -> Result<u8, CliError> {
    let args::GenBuiltInFlags { flags, configmap } = flags;
    if flags.file.is_some() {
        printer.note("warning: --file has no effect on gen plugin");
    }
    let (plan, cluster) = resolve(flags, given, level, printer)?;
    let mut definitions = plan.definitions(&plan.named(&DEFAULT_PLUGINS), printer).await?;
    definitions.retain(|definition| definition.name.as_str() == name);
    let [definition] = definitions.as_mut_slice() else {
        return Err(CliError::new(format!("plugin {name} is not selected by --plugin")));
    };
    definition.config_map.extend(files(&configmap)?);
    let version = version(&plan, &definitions, &cluster, printer).await?;
    for definition in plan.prepared(definitions, &version, printer)? {
        printer.document(Format::Yaml, &definition.to_yaml())?;
    }
    Ok(exit::SUCCESS)
}

/// Creates a definition from flags, and validates it.
fn definition(arguments: args::GenPlugin, printer: &Printer) -> Result<Definition, CliError> {
    let args::GenPlugin {
        built_in: _,
        name,
        image,
        driver,
        format,
        cmd,
        arg,
        env,
        node_selector,
        configmap,
        description,
        url,
        show_default_podspec,
    } = arguments;
    let name = name.unwrap_or_default();
    let refused = || CliError::new(format!("invalid plugin name `{name}`"));
    let plugin = PluginName::parse(&name).map_err(|error| refused().caused_by(&error))?;
    let command = if cmd.is_empty() {
        vec![DEFAULT_COMMAND.to_owned()]
    } else {
        cmd
    };
    let mut spec = json!({ "command": command, "image": image.unwrap_or_default(), "name": CONTAINER_NAME });
    if !arg.is_empty() {
        spec["args"] = json!(arg);
    }
    let env = variables(env);
    if !env.is_empty() {
        spec["env"] = env.into();
    }
    let pod_spec = (show_default_podspec || !node_selector.is_empty()).then(|| pod_spec(driver, node_selector));
    let definition = Definition {
        name: plugin,
        driver,
        driver_text: driver.to_string(),
        skip_cleanup: false,
        result_format: format,
        result_files: Vec::new(),
        result_redaction: ResultRedaction::default(),
        description: description.unwrap_or_default(),
        source_url: url.unwrap_or_default(),
        order: 0,
        account: None,
        spec,
        extra_volumes: Vec::new(),
        pod_spec,
        config_map: files(&configmap)?,
        others: Map::new(),
        other_settings: Map::new(),
    };
    let (_, problems) = lint(&name, &definition.to_yaml());
    let (errors, warnings): (Vec<_>, Vec<_>) = problems
        .into_iter()
        .partition(|problem| problem.severity == Severity::Error);
    for warning in warnings {
        printer.note(&format!("warning: {}", warning.message));
    }
    if errors.is_empty() {
        return Ok(definition);
    }
    let messages = errors.into_iter().map(|problem| problem.message);
    Err(CliError::new(format!("the definition of plugin `{name}` would be invalid")).details(messages))
}

/// Environment variables in their order. The last value of a name applies; a name without a value removes it.
fn variables(given: Vec<args::Variable>) -> Vec<Value> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for args::Variable { name, value } in given {
        let index = variables.iter().position(|(known, _)| *known == name);
        match (index, value) {
            (Some(index), Some(value)) => variables[index].1 = value,
            (Some(index), None) => drop(variables.remove(index)),
            (None, Some(value)) => variables.push((name, value)),
            (None, None) => {}
        }
    }
    let variables = variables.into_iter();
    variables
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect()
}

/// Default podSpec of the driver, with a node selector.
fn pod_spec(driver: DriverKind, node_selector: Vec<args::Variable>) -> Value {
    let mut pod_spec = default_pod_spec(driver, constants::SERVICE_ACCOUNT);
    let mut labels = pod_spec
        .get("nodeSelector")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let given = node_selector
        .into_iter()
        .map(|args::Variable { name, value }| (name, json!(value.unwrap_or_default())));
    labels.extend(given.collect::<Map<String, Value>>());
    if !labels.is_empty() {
        pod_spec["nodeSelector"] = labels.into();
    }
    pod_spec
}

fn files(paths: &[PathBuf]) -> Result<BTreeMap<String, String>, CliError> {
    paths.iter().map(|path| read(path)).collect()
}
