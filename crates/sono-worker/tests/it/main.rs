//! The worker against an aggregator made of a few lines, over real mutual TLS on loopback.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod aggregator;
mod collect;
mod program;
mod relay;
mod shutdown;
mod upload;

use std::{path::Path, time::Duration};

use sono_types::{PluginName, Target, WorkerConfig};
use sono_worker::{Options, Outcome, RelayListener, WorkerError};
use tempfile::TempDir;

use crate::aggregator::Aggregator;

/// Longer than anything takes; only a hang comes this far.
const LIMIT: Duration = Duration::from_mins(1);

/// A results directory and the configuration of a worker that watches it.
struct Plugin {
    directory: TempDir,
    config: WorkerConfig,
}

impl Plugin {
    fn of(aggregator: &Aggregator) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let name = PluginName::parse("cis-1.8").unwrap();
        let identity = aggregator.authority.client(sono_worker::system_clock(), &name).unwrap();
        let config = WorkerConfig {
            aggregator_urls: vec![aggregator.url()],
            plugin: name,
            target: Target::Global,
            results_dir: directory.path().to_str().unwrap().to_owned(),
            progress_port: "0".to_owned(),
            ca_cert: aggregator.authority.certificate_pem().to_owned(),
            client_cert: identity.certificate_pem,
            client_key: identity.key_pem,
            done_delay: Duration::ZERO,
            deadline: Some(sono_worker::system_clock() + LIMIT),
            pod: None,
        };
        Self { directory, config }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs_err::write(self.path().join(name), content).unwrap();
    }

    /// Writes a result and names it.
    fn finish(&self, name: &str, content: impl AsRef<[u8]>) {
        self.write(name, content);
        self.write("done", self.path().join(name).to_str().unwrap());
    }

    async fn run(&self) -> Result<Outcome, WorkerError> {
        self.run_with(options(), std::future::pending()).await
    }

    async fn run_with(&self, options: Options, shutdown: impl Future<Output = ()>) -> Result<Outcome, WorkerError> {
        tokio::time::timeout(LIMIT, sono_worker::run(&self.config, options, shutdown))
            .await
            .expect("the worker hangs")
    }
}

/// Without a relay: tests run beside each other.
fn options() -> Options {
    Options {
        relay: RelayListener::Bound(Vec::new()),
        ..Options::new()
    }
}
