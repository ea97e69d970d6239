//! Identity and plan of a run: its plugins, their drivers, and their nodes.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use sono_manifest::{Definition, DriverKind, NodeFacts, reconcile_results_dir};
use sono_run::{Planned, PluginPlan, RunStart};
use sono_tls::Authority;
use sono_types::{Config, PluginName, SessionId};

use super::{Drivers, JOURNAL_VERSION, NODES_WITHIN};
use crate::{
    backend::{Backend, Driver},
    error::RunError,
};

/// Identity and plugins of a new run, with its new CA.
pub(super) fn identity(
    config: &Config,
    drivers: &Drivers,
    nodes: Option<&[NodeFacts]>,
    now: Timestamp,
) -> Result<(RunStart, Authority), RunError> {
    let authority = Authority::new(now).map_err(RunError::Certificates)?;
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
    let run_start = RunStart {
        version: JOURNAL_VERSION,
        uuid: config.uuid.clone(),
        start: now,
        ca_certificate: authority.certificate_pem().to_owned(),
        ca_key: authority.key_pem().to_owned(),
        plugins: drivers.values().map(|driver| planned(driver.as_ref())).collect(),
    };
    Ok((run_start, authority))
}

/// The nodes of a resumed run. They only show which nodes plugins leave out, so the run does not wait for them.
pub(super) async fn nodes_now(backend: &dyn Backend, labels: &BTreeSet<String>) -> Vec<NodeFacts> {
    match tokio::time::timeout(NODES_WITHIN, backend.nodes(labels)).await {
        Ok(Ok(nodes)) => nodes.unwrap_or_default(),
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot list the nodes that plugins leave out");
            Vec::new()
        }
        Err(_) => {
            tracing::debug!("cannot list the nodes that plugins leave out: no answer");
            Vec::new()
        }
    }
}

/// The plan of a plugin for the machine.
pub(super) fn plan(planned: &Planned) -> PluginPlan {
    PluginPlan {
        plugin: planned.plugin.clone(),
        order: planned.order,
        expected: planned.expected(),
        timeout: planned.timeout.map(Duration::from_secs),
        discovers_targets: planned.discovers_targets,
    }
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
