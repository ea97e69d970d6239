//! The driver of local runs: processes instead of containers, and the worker as a task instead of a sidecar.

use std::{
    collections::BTreeSet,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use sono_aggregator::{BackendError, Driver, Launch, Report};
use sono_bundle::{Links, open_regular, safe_file_name};
use sono_manifest::{Definition, DriverKind};
use sono_run::Failure;
use sono_types::{NodeName, ResultKey, SessionId, Target, UploadLimits, WorkerConfig, constants, error_chain};
use sono_worker::{ContainersState, RelayListener};
use tokio::{
    process::Child,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{
    Observer, ProgramExit, process,
    translate::{Place, Program, translate},
};

/// How long after a program's failure a result may still arrive while other programs run.
const SETTLE_TIME: Duration = Duration::from_secs(10);

/// Bytes of a program's output that are quoted in an error.
const MAX_QUOTED_BYTES: u64 = 2000;

/// Start of the error message for a program that cannot be started.
pub const NOT_STARTED: &str = "cannot start ";

/// The driver of one plugin on this machine.
pub(crate) struct LocalDriver {
    definition: Definition,
    session: SessionId,
    node: NodeName,
    /// The plugin's directory, with `results`, `config` and `logs`.
    directory: PathBuf,
    observer: Option<Observer>,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    programs: Vec<(String, Child)>,
    /// Process groups that may still run.
    ids: BTreeSet<u32>,
    worker: Option<JoinHandle<Result<sono_worker::WorkerOutcome, sono_worker::WorkerError>>>,
    finished: Option<watch::Sender<ContainersState>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
}

impl LocalDriver {
    pub(crate) fn new(
        definition: Definition,
        session: SessionId,
        node: NodeName,
        root: &Path,
        observer: Option<Observer>,
    ) -> Self {
        let directory = root.join(definition.name.as_str());
        Self {
            definition,
            session,
            node,
            directory,
            observer,
            running: Mutex::default(),
        }
    }

    fn key(&self) -> ResultKey {
        let target = match self.definition.driver {
            DriverKind::Job => Target::Global,
            DriverKind::DaemonSet => Target::Node(self.node.clone()),
        };
        ResultKey::new(self.definition.name.clone(), target)
    }

    fn start(&self, launch: &Launch) -> Result<(), Failure> {
        let step = |what: &str, error: &dyn std::fmt::Display| Failure::new(format!("{what}: {error}"));
        let folder = |name: &str| {
            let folder = self.directory.join(name);
            fs_err::create_dir_all(&folder).map_err(|error| step("cannot prepare the plugin's directory", &error))?;
            Ok::<PathBuf, Failure>(folder)
        };
        let (results, config, logs) = (folder("results")?, folder("config")?, folder("logs")?);
        for (name, content) in &self.definition.config_map {
            let file = plain(name)?;
            fs_err::write(config.join(file), content)
                .map_err(|error| step("cannot write the plugin's config map", &error))?;
        }
        let (relay, port) = loopback().map_err(|error| step("cannot listen for progress", &error))?;
        let place = Place {
            results_dir: results.display().to_string(),
            config_dir: config.display().to_string(),
            progress_port: port.to_string(),
            node: self.node.to_string(),
        };
        let programs = translate(&self.definition, &place).map_err(|error| Failure::new(error.to_string()))?;
        let delay = programs
            .last()
            .and_then(|program| program.env.get(sono_types::env::SONOBUOY_DONE_FILE_DELAY))
            .and_then(|text| sono_types::go_duration::parse(text).ok())
            // As in a cluster, the delay is for sidecars that remove the done file.
            .unwrap_or_else(|| {
                if programs.len() > 1 {
                    return constants::DONE_FILE_DELAY;
                }
                let observer = self.observer.as_ref();
                observer.map_or(Duration::ZERO, |observer| observer.done_delay)
            });
        let worker = WorkerConfig {
            aggregator_urls: vec![launch.url.clone()],
            plugin: self.definition.name.clone(),
            target: self.key().target,
            results_dir: place.results_dir.clone(),
            progress_port: place.progress_port.clone(),
            ca_cert: launch.ca_pem.clone(),
            client_cert: launch.identity.certificate_pem.clone(),
            client_key: launch.identity.key_pem.clone(),
            done_delay: delay,
            deadline: launch.deadline,
            pod: None,
        };
        let (finished, others) = watch::channel(ContainersState::Running);
        let relay = RelayListener::Bound(vec![relay]);
        // Without a grace period, since the programs are killed at the end.
        let options = sono_worker::Options {
            others,
            relay,
            grace: Duration::ZERO,
            posts: self.observer.as_ref().map(|observer| observer.posts.clone()),
            ..sono_worker::Options::new()
        };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        // Joined by `monitor`. Without a monitor, because a program could not be started, `end` stops it.
        let task = tokio::spawn(async move {
            let shutdown = async {
                // Dropping the sender has the same effect.
                stopped.await.ok();
            };
            sono_worker::run(&worker, options, shutdown).await
        });
        {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.worker = Some(task);
            running.finished = Some(finished);
            running.stop = Some(stop);
        }
        self.start_programs(&programs, &logs)
    }

    fn start_programs(&self, programs: &[Program], logs: &Path) -> Result<(), Failure> {
        for program in programs {
            let log = logs.join(plain(&format!("{}.txt", program.name))?);
            let child = process::start(program, &log).map_err(|error| {
                // The programs started so far are useless without this one.
                self.end();
                let command = program.command.first().map_or("", String::as_str);
                Failure::new(format!(
                    "{NOT_STARTED}{command:?} of plugin {}: {error}",
                    self.definition.name
                ))
            })?;
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.ids.extend(child.id());
            running.programs.push((program.name.clone(), child));
        }
        Ok(())
    }

    /// Kills the rest of a program's process group after its end, as in a container, before its ID is reused.
    fn ended(&self, id: Option<u32>) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = id.filter(|id| running.ids.remove(id)) {
            process::end(id);
        }
    }

    fn observe(&self, program: &str, status: ExitStatus) {
        if let Some(observer) = &self.observer {
            let exit = ProgramExit {
                plugin: self.definition.name.clone(),
                program: program.to_owned(),
                status,
            };
            // The receiver may have been dropped.
            observer.exits.send(exit).ok();
        }
    }

    /// Whether the done file names a result.
    fn has_result(&self) -> bool {
        let done = self.directory.join("results").join(constants::DONE_FILE);
        fs_err::metadata(done).is_ok_and(|done| done.is_file() && done.len() > 0)
    }

    /// The last output of a failed program.
    fn tail(&self, program: &str) -> String {
        let log = self.directory.join("logs").join(format!("{program}.txt"));
        // Best effort: the output only explains the failure.
        let tail = last_bytes(&log, MAX_QUOTED_BYTES).unwrap_or_default();
        String::from_utf8_lossy(&tail).trim().to_owned()
    }
}

impl Driver for LocalDriver {
    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn session(&self) -> &SessionId {
        &self.session
    }

    fn run<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async { self.start(launch) })
    }

    fn monitor<'a>(&'a self, _: &'a Launch, reports: mpsc::Sender<Report>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let (programs, finished, worker) = {
                let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
                (
                    std::mem::take(&mut running.programs),
                    running.finished.take(),
                    running.worker.take(),
                )
            };
            let report = async |message: String| {
                // Fails if the receiver is dropped, and the plugin's outcome is not needed.
                reports
                    .send(Report::Failed(self.key(), Failure::new(message)))
                    .await
                    .ok();
            };
            // Other events are reported when they occur.
            let seen = vec![(self.key(), "it was still running".to_owned())];
            reports.send(Report::LastSeen(seen)).await.ok();
            let watch_programs = async {
                let mut exits: FuturesUnordered<_> = programs
                    .into_iter()
                    .map(|(name, mut child)| async move {
                        let id = child.id();
                        let status = child.wait().await;
                        self.ended(id);
                        if let Ok(status) = &status {
                            self.observe(&name, *status);
                        }
                        (name, status)
                    })
                    .collect();
                let mut problem = None;
                // As in a cluster, the other programs have some time after a failure, since a result may be on its way.
                let mut settled = std::pin::pin!(tokio::time::sleep(SETTLE_TIME));
                loop {
                    let exit = tokio::select! {
                        exit = exits.next() => exit,
                        () = &mut settled, if problem.is_some() => None,
                    };
                    let Some((name, status)) = exit else { break };
                    let said = match status {
                        Ok(status) if status.success() => continue,
                        Ok(status) => status.to_string(),
                        Err(error) => error.to_string(),
                    };
                    if problem.is_none() {
                        problem = Some((name, said));
                        settled.as_mut().reset(tokio::time::Instant::now() + SETTLE_TIME);
                    }
                }
                match problem {
                    None => {
                        if let Some(finished) = &finished {
                            finished.send_replace(ContainersState::Succeeded);
                        }
                    }
                    // A plugin may fail and still have a result, like the conformance suite.
                    Some((name, problem)) if !self.has_result() => {
                        let tail = self.tail(&name);
                        let said = if tail.is_empty() {
                            String::new()
                        } else {
                            format!("; its last output: {tail}")
                        };
                        let plugin = &self.definition.name;
                        report(format!(
                            "program {name} of plugin {plugin} ended without a result ({problem}){said}"
                        ))
                        .await;
                    }
                    Some(_) => {}
                }
                // The worker still relays the last progress.
                std::future::pending::<()>().await;
            };
            let watch_worker = async {
                if let Some(worker) = worker {
                    let problem = match worker.await {
                        Ok(Ok(_)) => None,
                        Ok(Err(error)) => Some(error_chain(&error)),
                        Err(error) => Some(error.to_string()),
                    };
                    if let Some(problem) = problem {
                        report(format!(
                            "the worker of plugin {} ended with an error: {problem}",
                            self.definition.name
                        ))
                        .await;
                    }
                }
                std::future::pending::<()>().await;
            };
            tokio::join!(watch_programs, watch_worker);
        })
    }

    fn cleanup(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        self.end();
        Box::pin(async { Ok(()) })
    }
}

impl LocalDriver {
    fn end(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for id in std::mem::take(&mut running.ids) {
            process::end(id);
        }
        if let Some(stop) = running.stop.take() {
            // A worker that has ended needs no signal.
            stop.send(()).ok();
        }
    }
}

impl Drop for LocalDriver {
    fn drop(&mut self) {
        self.end();
    }
}

/// The last bytes of a file, at most `most`.
fn last_bytes(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut file = open_regular(path, Links::Refused)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A listener for progress updates and its port.
fn loopback() -> std::io::Result<(std::net::TcpListener, u16)> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// A name from the definition (a key of its ConfigMap, a container) as a file name in the plugin's directory.
fn plain(name: &str) -> Result<String, Failure> {
    safe_file_name(name, &UploadLimits::DEFAULT)
        .map_err(|error| Failure::new(format!("cannot prepare the plugin's directory: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_log_of_any_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.txt");
        for (content, expected) in [("", ""), ("short", "short"), ("a long one", "long one")] {
            fs_err::write(&log, content).unwrap();
            assert_eq!(last_bytes(&log, 8).unwrap(), expected.as_bytes());
        }
        // A sparse file of terabytes.
        fs_err::File::create(&log).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(last_bytes(&log, 8).unwrap(), [0; 8]);
        assert!(last_bytes(folder.path(), 8).is_err());
    }
}
