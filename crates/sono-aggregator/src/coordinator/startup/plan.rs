//! Identity and plan of a run: its plugins, their drivers, and their nodes.

use std::sync::Arc;

use jiff::Timestamp;
use sono_manifest::{Definition, DriverKind, NodeFacts, reconcile_results_dir};
use sono_run::{JOURNAL_VERSION, Planned, RunStart};
use sono_tls::Authority;
use sono_types::{Config, PluginName, SessionId};

use super::Drivers;
use crate::{
    backend::{Backend, Driver},
    error::RunError,
};

/// Identity and plugins of a new run, with its new CA.
pub(super) fn identity(
    config: &Config,
    drivers: &Drivers,
    nodes: Option<&[NodeFacts]>,
    start: Timestamp,
) -> Result<RunStart, RunError> {
    let authority = Authority::new(start).map_err(RunError::Certificates)?;
    let timeout = (config.server.timeout_seconds > 0).then_some(config.server.timeout_seconds);
    let discovers_targets =
        |driver: &dyn Driver| nodes.is_none() && driver.definition().driver == DriverKind::DaemonSet;
    let known = nodes.unwrap_or_default();
    let targets = |driver: &dyn Driver| {
        let expected = driver.expected_results(known).into_iter();
        let mut targets: Vec<String> = expected.map(|key| key.target.to_string()).collect();
        if config.all_nodes {
            // These results fail with the reason that the plugin does not tolerate the node.
            targets.extend(driver.left_out(known).into_values().flatten());
        }
        targets
    };
    let planned = |driver: &dyn Driver| Planned {
        plugin: driver.name().clone(),
        session: driver.session().clone(),
        order: driver.definition().order,
        timeout,
        targets: targets(driver),
        discovers_targets: discovers_targets(driver),
    };
    Ok(RunStart {
        version: JOURNAL_VERSION,
        uuid: config.uuid.clone(),
        start,
        ca_certificate: authority.certificate_pem().to_owned(),
        ca_key: authority.key_pem().to_owned(),
        plugins: drivers.values().map(|driver| planned(driver.as_ref())).collect(),
    })
}

/// The drivers of all plugins, each with its session.
pub(super) fn drivers(
    definitions: Vec<Definition>,
    config: &Config,
    backend: &dyn Backend,
    session: impl Fn(&PluginName) -> SessionId,
    reconcile: bool,
) -> Drivers {
    let drivers = definitions.into_iter().map(|mut definition| {
        if reconcile {
            reconcile_results_dir(&mut definition, &config.results_dir);
        }
        let session = session(&definition.name);
        (definition.name.clone(), backend.driver(definition, session))
    });
    Arc::new(drivers.collect())
}
