//! The worker against an aggregator made of a few lines, over real mutual TLS on loopback. Where the rows of
//! core §3 are tested:
//!
//! | row | test |
//! |---|---|
//! | 3.1 commands, exit codes | `program::{a_global_worker_ends_after_the_upload, wrong_usage_is_exit_code_1, a_refusal_is_exit_code_1}` |
//! | 3.1 `--sleep` below, above zero | `program::{a_sleeping_worker_of_a_node_ends_on_sigterm, the_environment_is_read_as_the_protocol_has_it}` |
//! | 3.1 environment, validation, PEM | `program::{the_environment_is_read_…, invalid_configuration_is_exit_code_1}` |
//! | 3.1 addresses | `upload::{a_result_arrives_…, result_of_a_node_is_sent_to_the_path_of_the_node}`, a path in the variable: `program::the_environment_is_read_…` |
//! | 3.2 done file, delay, side-car | `collect::{a_side_car_may_take_the_done_file_away, later_done_file_is_seen_by_its_event}` |
//! | 3.2 its target: nothing, file, directory, the results directory | `collect::{a_done_file_that_names_nothing_is_reported, a_directory_is_sent_as_an_archive, the_results_directory_itself_is_sent_whole}` |
//! | 3.2 content types | `collect::compressed_text_is_not_sent_as_an_archive`, `content.rs` of the worker |
//! | 3.2 auto-done, exit codes of the others | `collect::everything_is_sent_when_all_others_have_ended`, `siblings`, `containers.rs` and `own_pod.rs` of the worker |
//! | 3.2 SIGTERM | `shutdown`, `program::results_written_after_sigterm_are_sent` |
//! | 3.3 the request, no proxy | `upload::a_result_arrives_…`, `program` (every one has `HTTPS_PROXY` set) |
//! | 3.3 tries, memory | `upload::{transient_errors_are_retried, large_file_is_sent_whole_at_every_attempt}`, `program::a_large_result_needs_no_more_memory_than_a_small_one` |
//! | 3.3 200, 409, the rest | `upload::{already_stored_result_is_not_an_error, a_refusal_is_final_and_says_why}` |
//! | 3.3 a file that cannot be read | `collect::a_directory_that_cannot_be_written_to_is_reported`, `collect::a_done_file_that_names_nothing_is_reported` |
//! | 3.4 progress | `relay` |
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod aggregator;
mod collect;
mod program;
mod relay;
mod retention;
mod shutdown;
mod siblings;
mod upload;

use std::{path::Path, time::Duration};

use sono_types::{PluginName, Target, WorkerConfig};
use sono_worker::{Options, RelayListener, WorkerError, WorkerOutcome};
use tempfile::TempDir;

use crate::aggregator::Aggregator;

/// The limit for everything; only a hang takes as long.
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

    async fn run(&self) -> Result<WorkerOutcome, WorkerError> {
        self.run_with(options(), std::future::pending()).await
    }

    async fn run_with(
        &self,
        options: Options,
        shutdown: impl Future<Output = ()>,
    ) -> Result<WorkerOutcome, WorkerError> {
        tokio::time::timeout(LIMIT, sono_worker::run(&self.config, options, shutdown))
            .await
            .expect("the worker hangs")
    }
}

/// Without a relay, so that tests can run in parallel.
fn options() -> Options {
    Options {
        relay: RelayListener::Bound(Vec::new()),
        ..Options::new()
    }
}
