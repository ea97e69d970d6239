//! Starts plugins, and sends the reports of their drivers to the coordinator.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt as _;
use jiff::Timestamp;
use sono_run::{Event, Failure, Run};
use sono_tls::{Authority, Identity};
use sono_types::{PluginName, error_chain};
use tokio::sync::mpsc;

use super::tasks::{Tasks, wait_for_ownership};
use crate::{
    backend::{Addresses, Driver, Launch, Report},
    clock::Clock,
    coordinator::startup::Drivers,
    durability::checkpoint::CheckpointBarrier,
    handle::CoordinatorHandle,
};

/// Whether a plugin is created or only watched.
pub(super) enum Start {
    /// Created once the ownership of this process is confirmed.
    Create(Option<CheckpointBarrier>),
    /// An earlier process created it.
    Watch,
}

/// Starts plugins.
pub(super) struct Launcher {
    pub(super) drivers: Drivers,
    pub(super) addresses: Addresses,
    pub(super) authority: Authority,
    pub(super) coordinator: CoordinatorHandle,
    pub(super) clock: Clock,
    pub(super) start: Timestamp,
}

impl Launcher {
    /// Starts the plugin, or only watches it if an earlier process started it.
    pub(super) fn launch(
        &self,
        run: &Run,
        plugin: &PluginName,
        deadline: Option<Timestamp>,
        start: Start,
        tasks: &mut Tasks,
    ) {
        let order = self.drivers.get(plugin).map_or(0, |driver| driver.definition().order);
        let what = match &start {
            Start::Watch => "Watching plugin",
            Start::Create(_) => "Running plugin",
        };
        tracing::info!(plugin_name = %plugin, order, "{what}");
        let expected = run.expected().filter(|key| key.plugin == *plugin).cloned().collect();
        let identity = self.authority.client((self.clock)(), plugin);
        let launch = |identity: Identity| Launch {
            url: self.addresses.url.clone(),
            fallback_url: self.addresses.fallback_url.clone(),
            ca_pem: self.authority.certificate_pem().to_owned(),
            identity,
            deadline,
            expected,
            discovers_targets: run.discovers_targets(plugin),
            grace_until: run.grace_until(plugin),
        };
        let launch = identity.map(launch);
        let (drivers, coordinator, name) = (Arc::clone(&self.drivers), self.coordinator.clone(), plugin.clone());
        let since_start = (self.clock)().duration_since(self.start);
        tracing::debug!(plugin_name = %plugin, since_start = %since_start, "launching");
        tasks.monitors.insert(
            plugin.clone(),
            tokio::spawn(async move {
                let work = async {
                    match (launch, drivers.get(&name)) {
                        (Ok(launch), Some(driver)) => {
                            let started = match start {
                                Start::Watch => Ok(()),
                                Start::Create(barrier) => {
                                    wait_for_ownership(barrier).await;
                                    driver.run(&launch).await
                                }
                            };
                            match started {
                                Ok(()) => {
                                    let plugin = name.clone();
                                    // This fails only if the run is over.
                                    coordinator.send(Event::Launched { plugin }).await.ok();
                                    watch_over(driver.as_ref(), &launch, &coordinator).await;
                                    None
                                }
                                Err(failure) => Some(failure),
                            }
                        }
                        (Err(error), _) => Some(Failure::new(error_chain(&error))),
                        (_, None) => Some(Failure::new("unknown plugin")),
                    }
                };
                // A failed driver must end its plugin, which would otherwise stay pending.
                let outcome = AssertUnwindSafe(work).catch_unwind().await;
                let failure = outcome
                    .unwrap_or_else(|_| Some(Failure::new("the plugin's driver panicked, which is a bug in sono")));
                let Some(failure) = failure else { return };
                tracing::error!(plugin_name = %name, error = failure.message, "error running plugin");
                let failure = Failure {
                    message: format!("error running plugin {name}: {}", failure.message),
                    ..failure
                };
                // This fails only if the run is over.
                coordinator
                    .send(Event::LaunchFailed { plugin: name, failure })
                    .await
                    .ok();
            }),
        );
    }
}

async fn watch_over(driver: &dyn Driver, launch: &Launch, coordinator: &CoordinatorHandle) {
    let (reports, mut findings) = mpsc::channel::<Report>(64);
    let plugin = driver.name();
    let forward_reports = async {
        while let Some(report) = findings.recv().await {
            let event = match report {
                Report::Failed(key, failure) => {
                    tracing::info!(plugin_name = %plugin, node = %key.target, error = failure.message, "received internal aggregator result");
                    Event::Failed { key, failure }
                }
                Report::Lost(failure) => {
                    tracing::info!(plugin_name = %plugin, error = failure.message, "received internal aggregator result");
                    let plugin = plugin.clone();
                    Event::LaunchFailed { plugin, failure }
                }
                Report::TargetDiscovered(key) => {
                    tracing::info!(plugin_name = %plugin, node = %key.target, "the plugin runs on an additional node, expecting a result from that node");
                    Event::TargetDiscovered { key }
                }
                Report::LastSeen(seen) => Event::LastSeen(seen),
                Report::DiscoveryEnded => {
                    tracing::info!(plugin_name = %plugin, "the plugin runs on all of its nodes");
                    let plugin = plugin.clone();
                    Event::DiscoveryEnded { plugin }
                }
            };
            if coordinator.send(event).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::join!(driver.monitor(launch, reports), forward_reports);
}
