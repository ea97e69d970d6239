//! The attack scenarios: their load and their checks.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use flate2::{Compression, write::GzEncoder};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::{Pid, Signal, kill_process},
};
use sono_types::{constants, layout, routes};
use tokio::time::{sleep, timeout};

use super::{
    Outcome,
    attacker::Kind,
    bystander,
    scene::{BYSTANDER, NOISY, Scene, archive_path},
    varied,
};

/// An attack that once lost results of other plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// A FIFO as done file, which blocks on open, and a FIFO in a results directory; runs first since it mostly waits
    FifoDoneFile,
    /// Progress updates sent byte by byte over all available connections
    ProgressDrip,
    /// Idle connections with a certificate, above the limit
    IdleAuthenticated,
    /// Silent connections without a certificate
    #[value(name = "silent-300")]
    Silent300,
    #[value(name = "silent-1500")]
    Silent1500,
    /// All workers of a large cluster at once
    WorkersAtOnce,
    /// A small compressed JUnit file with millions of test cases
    TinyCases,
    /// Large progress updates for all nodes
    ProgressFlood,
    /// The same on many connections, with bodies that use much more memory than bytes when parsed
    ProgressCrowd,
    /// A valid result with a high compression ratio
    CompressibleResult,
    /// Requests of a web page to the loopback listener
    ForeignHost,
    /// Long error reports and many rejected requests
    LongTexts,
}

#[derive(Debug, Args)]
pub(crate) struct SceneArguments {
    scenario: Scenario,
    #[arg(long, value_name = "FILE")]
    aggregator: PathBuf,
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Set up this process's own network namespace
    #[arg(long)]
    own_network: bool,
}

/// Number of nodes of a run, and of the bystander's results.
const NODES: usize = 20;
/// Interval between two of the bystander's uploads.
const PACE: Duration = Duration::from_millis(300);
/// Time limit for one attempt, far above its time on an idle machine.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Time limit for all uploads of the bystander.
const WITHIN: Duration = Duration::from_secs(30);
/// Duration of the attack before the bystander's first upload.
const LEAD: Duration = Duration::from_secs(2);
/// Memory limit of the aggregator in MiB, generous for unoptimized programs.
const MAX_MEMORY: u64 = 256;
/// Maximum sizes of the journal and the run log in `long-texts`, in bytes.
const MAX_JOURNAL: u64 = 1 << 20;
const MAX_LOG: u64 = 256 << 10;
/// Node of the worker with a FIFO in its results directory.
const OTHER_WORKER: usize = 2;
/// Time limit for a worker's exit after SIGTERM.
const WORKER_STOP_LIMIT: Duration = constants::GRACEFUL_SHUTDOWN.saturating_add(Duration::from_secs(15));

impl Scenario {
    /// Whether the scenario only needs attackers with an address and a certificate, so that it can run on a cluster.
    pub(super) fn is_for_clusters(self) -> bool {
        self.attackers().is_some()
    }

    /// Whether the scenario requires its own network namespace, because another program may use the port on the host.
    pub(super) fn needs_own_network(self) -> bool {
        self == Self::ForeignHost
    }

    /// Kind of attack, count and number of attackers, for scenarios that consist only of attackers.
    pub(super) fn attackers(self) -> Option<(Kind, usize, usize)> {
        match self {
            Self::ProgressDrip => Some((Kind::Drip, 256, 4)),
            Self::IdleAuthenticated => Some((Kind::Idle, 400, 4)),
            Self::Silent300 => Some((Kind::Silent, 300, 1)),
            Self::Silent1500 => Some((Kind::Silent, 1500, 12)),
            Self::ProgressFlood => Some((Kind::Flood, 1, 1)),
            Self::ProgressCrowd => Some((Kind::Crowd, 192, 4)),
            _ => None,
        }
    }

    pub(super) fn load(self, count: usize) -> String {
        match self {
            Self::FifoDoneFile => "a FIFO as done file, one in a results directory".to_owned(),
            Self::ProgressDrip => format!("{count} progress updates, a byte each 2 s"),
            Self::IdleAuthenticated => format!("{count} idle connections with a certificate"),
            Self::Silent300 | Self::Silent1500 => format!("{count} silent connections"),
            Self::WorkersAtOnce => format!("{count} workers of one plugin at once"),
            Self::TinyCases => format!("JUnit file of {count} cases"),
            Self::ProgressFlood => "80 progress updates of 4 MB for 20 nodes".to_owned(),
            Self::ProgressCrowd => format!("progress updates of 4 MB over {count} connections"),
            Self::CompressibleResult => "results directory with 80 MB of zeros".to_owned(),
            Self::ForeignHost => "requests with a foreign Host, or an Origin".to_owned(),
            Self::LongTexts => format!("{count} reasons of 64 KB, 2,000 refused requests"),
        }
    }
}

/// Runs one scenario.
pub(super) async fn run(arguments: &SceneArguments) -> anyhow::Result<Outcome> {
    let (scenario, seed) = (arguments.scenario, arguments.seed);
    let nodes = match scenario {
        Scenario::WorkersAtOnce => varied(1000, seed),
        _ => NODES,
    };
    let mut scene = Scene::start(&arguments.aggregator, nodes, arguments.own_network).await?;
    let mut outcome = Outcome {
        expected: nodes,
        ..Outcome::default()
    };
    let (mut count, mut max_memory) = (nodes, MAX_MEMORY);
    if let Some((kind, usual, attackers)) = scenario.attackers() {
        count = varied(usual, seed);
        scene.attack(kind, count, attackers).await?;
        sleep(LEAD).await;
    }
    let mut fault = |what: anyhow::Result<()>| outcome.faults.extend(what.err().map(|error| format!("{error:#}")));
    let (mut pace, mut attempt) = (PACE, ATTEMPT);
    match scenario {
        // Attempts wait for an upload slot, as those of Sonobuoy's workers.
        Scenario::WorkersAtOnce => (pace, attempt) = (Duration::ZERO, WITHIN),
        Scenario::TinyCases => {
            count = varied(4_000_000, seed);
            max_memory *= 2;
            fault(upload(&scene, "junit_tiny.xml", &tiny_cases(count)?).await);
        }
        // Stored progress, bodies and parsed updates each have a memory budget.
        Scenario::ProgressFlood | Scenario::ProgressCrowd => max_memory /= 2,
        Scenario::CompressibleResult => fault(upload(&scene, "core", &vec![0; 80 << 20]).await),
        Scenario::ForeignHost => fault(foreign_host(&scene).await),
        Scenario::LongTexts => {
            scene.attack(Kind::Refused, 2000, 1).await?;
            fault(long_reasons(&scene).await);
        }
        Scenario::FifoDoneFile => fault(fifos(&scene, &arguments.aggregator).await),
        _ => {}
    }
    let client = scene.client(BYSTANDER)?;
    let mut uploads = bystander::work(&client, scene.urls(BYSTANDER), "passed", pace, attempt, WITHIN).await;
    outcome.load = scenario.load(count);
    outcome.attempts = uploads.attempts;
    outcome.successes = uploads.successes;
    outcome.p99_ms = uploads.p99_ms();
    match scene.end().await {
        Err(error) => outcome.faults.push(format!("{error:#}")),
        Ok(bundle) if scenario == Scenario::LongTexts => {
            let log = bundle.read(layout::RUN_LOG)?.map_or(0, |log| log.len() as u64);
            let texts = scene.journal_bytes()?;
            if texts > MAX_JOURNAL || log > MAX_LOG {
                outcome
                    .faults
                    .push(format!("journal {} KiB, run log {} KiB", texts >> 10, log >> 10));
            }
        }
        Ok(bundle) if scenario == Scenario::FifoDoneFile => {
            let small = archive_path(NOISY, OTHER_WORKER, "small")?;
            if bundle.read(&small)?.as_deref() != Some(b"small") {
                outcome.faults.push(format!("{small} is not in the archive"));
            }
        }
        Ok(_) => {}
    }
    scene.aggregator.sample_memory();
    outcome.memory_mib = scene.aggregator.memory >> 20;
    if outcome.memory_mib > max_memory {
        outcome.faults.push(format!("more than {max_memory} MiB of memory"));
    }
    // The aggregator may have ended, which is already reported.
    scene.aggregator.kill().await.ok();
    Ok(outcome)
}

/// Uploads an archive with this file and a small one as the noisy plugin's first result.
async fn upload(scene: &Scene, name: &str, content: &[u8]) -> anyhow::Result<()> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (name, content) in [("small", b"small".as_slice()), (name, content)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content)?;
    }
    let body = builder.into_inner()?.finish()?;
    let answer = scene
        .client(NOISY)?
        .put(scene.url(NOISY, 0))
        .header("Content-Type", constants::GZIP_MIME)
        .header("Content-Disposition", "attachment;filename=results.tar.gz")
        .body(body)
        .send()
        .await?;
    let status = answer.status();
    ensure!(
        status.is_success(),
        "the result was rejected with {status}: {}",
        answer.text().await?
    );
    Ok(())
}

fn tiny_cases(count: usize) -> anyhow::Result<Vec<u8>> {
    let mut file = b"<testsuite>".to_vec();
    for _ in 0..count {
        file.write_all(b"<testcase/>")?;
    }
    file.write_all(b"</testsuite>")?;
    Ok(file)
}

async fn foreign_host(scene: &Scene) -> anyhow::Result<()> {
    for (headers, expected) in [
        ([("Host", "localhost:8081")].as_slice(), 200),
        (&[("Host", "evil.example")], 421),
        (&[("Host", "127.0.0.1.evil.example:8081")], 421),
        (&[("Origin", "http://evil.example")], 403),
    ] {
        let (status, _) = scene.request_status(headers).await?;
        ensure!(status == expected, "unexpected status {status} for {headers:?}");
    }
    Ok(())
}

/// Sends a long error report for every node of the noisy plugin.
async fn long_reasons(scene: &Scene) -> anyhow::Result<()> {
    let client = scene.client(NOISY)?;
    let body = serde_json::json!({"error": "x".repeat(64_000)}).to_string();
    for url in scene.urls(NOISY) {
        let request = client
            .put(url)
            .header(routes::ERROR_HEADER, "1")
            .header("Content-Type", "application/json");
        let status = request.body(body.clone()).send().await?.status();
        ensure!(status.is_success(), "an error report was rejected with {status}");
    }
    Ok(())
}

/// Checks workers with FIFOs: a FIFO as done file must not block the exit after SIGTERM, and a FIFO in a results directory must
/// not block the upload of the other files.
async fn fifos(scene: &Scene, aggregator: &Path) -> anyhow::Result<()> {
    let program = aggregator.with_file_name("sono-worker");
    ensure!(program.exists(), "{} does not exist", program.display());
    let folder = tempfile::tempdir()?;
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    for directory in [&first, &second.join("results")] {
        fs_err::create_dir_all(directory)?;
    }
    let mode = Mode::from_raw_mode(0o600);
    let fifo = |path: &Path| mknodat(CWD, path, FileType::Fifo, mode, 0);
    fifo(&first.join(constants::DONE_FILE))?;
    fifo(&second.join("results/fifo"))?;
    fs_err::write(second.join("results/small"), "small")?;
    fs_err::write(
        second.join(constants::DONE_FILE),
        second.join("results").display().to_string(),
    )?;
    let mut blocked = scene.worker(&program, 1, &first)?;
    let mut other = scene.worker(&program, OTHER_WORKER, &second)?;
    // Let the worker reach its done file.
    sleep(LEAD).await;
    let id = blocked.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(id) = id {
        kill_process(id, Signal::TERM)?;
    }
    timeout(WORKER_STOP_LIMIT, scene.wait_for_result(NOISY, OTHER_WORKER))
        .await
        .context("a FIFO in a results directory blocks the worker")??;
    // The worker runs until the archive is packed.
    other.kill().await?;
    timeout(WORKER_STOP_LIMIT, blocked.wait())
        .await
        .context("a worker with a FIFO as done file does not exit after SIGTERM")??;
    Ok(())
}
