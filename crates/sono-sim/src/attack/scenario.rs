//! The scenarios: what is sent, and what must not come of it.

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
    scene::{BYSTANDER, NOISY, Scene, place},
    varied,
};

/// A way in which the results of others were once lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// A done file that blocks whoever opens it, and a results directory with one: mostly waiting, so it is first
    FifoDoneFile,
    /// Progress updates a byte at a time over as many connections as are served
    ProgressDrip,
    /// As many connections with a certificate that send nothing
    IdleAuthenticated,
    /// Silent connections without a certificate
    #[value(name = "silent-300")]
    Silent300,
    #[value(name = "silent-1500")]
    Silent1500,
    /// All workers of a large cluster at the same moment
    WorkersAtOnce,
    /// A small JUnit file with millions of cases
    TinyCases,
    /// Large progress updates for every node
    ProgressFlood,
    /// An honest result that compresses well
    CompressibleResult,
    /// Requests of a web page to the loopback address
    ForeignHost,
    /// Long reasons and many refused requests
    LongTexts,
}

#[derive(Debug, Args)]
pub(crate) struct SceneArguments {
    scenario: Scenario,
    #[arg(long, value_name = "FILE")]
    aggregator: PathBuf,
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// This process has a network of its own
    #[arg(long)]
    own_network: bool,
}

/// How many nodes a run has, that is results of the bystander.
const NODES: usize = 20;
/// Between two of them.
const PACE: Duration = Duration::from_millis(300);
/// How long one attempt may take: far above what it takes on a quiet machine.
const ATTEMPT: Duration = Duration::from_secs(5);
/// When all of them must be in.
const WITHIN: Duration = Duration::from_secs(30);
/// How long an attack has been going on when the first arrives.
const LEAD: Duration = Duration::from_secs(2);
/// The most memory that the aggregator may hold, in MiB: generous, since programs are not optimized.
const MOST_MEMORY: u64 = 256;
/// The most that its journal and the run's log may take in `long-texts`, in bytes.
const MOST_JOURNAL: u64 = 1 << 20;
const MOST_LOG: u64 = 256 << 10;
/// Node of the worker with a FIFO in its results directory.
const OTHER_WORKER: usize = 2;
/// How long a worker may live after SIGTERM.
const WORKER_END: Duration = constants::GRACEFUL_SHUTDOWN.saturating_add(Duration::from_secs(15));

impl Scenario {
    /// Whether attackers that know an address and a certificate can play it.
    pub(super) fn is_for_clusters(self) -> bool {
        self.attackers().is_some()
    }

    /// Whether it cannot be played on the host's network, where a port may be another program's.
    pub(super) fn needs_own_network(self) -> bool {
        self == Self::ForeignHost
    }

    /// Kind, count and number of attackers, where that is all there is to it.
    pub(super) fn attackers(self) -> Option<(Kind, usize, usize)> {
        match self {
            Self::ProgressDrip => Some((Kind::Drip, 256, 4)),
            Self::IdleAuthenticated => Some((Kind::Idle, 400, 4)),
            Self::Silent300 => Some((Kind::Silent, 300, 1)),
            Self::Silent1500 => Some((Kind::Silent, 1500, 12)),
            Self::ProgressFlood => Some((Kind::Flood, 1, 1)),
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
            Self::CompressibleResult => "results directory with 80 MB of zeros".to_owned(),
            Self::ForeignHost => "requests with a foreign Host, or an Origin".to_owned(),
            Self::LongTexts => format!("{count} reasons of 64 KB, 2,000 refused requests"),
        }
    }
}

/// Plays one scenario.
pub(super) async fn play(arguments: &SceneArguments) -> anyhow::Result<Outcome> {
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
    let (mut count, mut most_memory) = (nodes, MOST_MEMORY);
    if let Some((kind, usual, attackers)) = scenario.attackers() {
        count = varied(usual, seed);
        scene.attack(kind, count, attackers).await?;
        sleep(LEAD).await;
    }
    let mut fault = |what: anyhow::Result<()>| outcome.faults.extend(what.err().map(|error| format!("{error:#}")));
    let (mut pace, mut attempt) = (PACE, ATTEMPT);
    match scenario {
        // Each waits for its turn, as Sonobuoy's workers do.
        Scenario::WorkersAtOnce => (pace, attempt) = (Duration::ZERO, WITHIN),
        Scenario::TinyCases => {
            count = varied(4_000_000, seed);
            most_memory *= 2;
            fault(upload(&scene, "junit_tiny.xml", &tiny_cases(count)?).await);
        }
        // 237 to 272 MiB were seen with programs that are not optimized; what holds it has not been measured.
        Scenario::ProgressFlood => most_memory *= 2,
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
    let mut went = bystander::work(&client, scene.urls(BYSTANDER), "passed", pace, attempt, WITHIN).await;
    outcome.load = scenario.load(count);
    outcome.attempts = went.attempts;
    outcome.successes = went.successes;
    outcome.p99_ms = went.p99_ms();
    match scene.end().await {
        Err(error) => outcome.faults.push(format!("{error:#}")),
        Ok(bundle) if scenario == Scenario::LongTexts => {
            let log = bundle.read(layout::RUN_LOG)?.map_or(0, |log| log.len() as u64);
            let texts = scene.journal_bytes()?;
            if texts > MOST_JOURNAL || log > MOST_LOG {
                outcome
                    .faults
                    .push(format!("journal {} KiB, run log {} KiB", texts >> 10, log >> 10));
            }
        }
        Ok(bundle) if scenario == Scenario::FifoDoneFile => {
            let small = place(NOISY, OTHER_WORKER, "small")?;
            if bundle.read(&small)?.as_deref() != Some(b"small") {
                outcome.faults.push(format!("{small} is not in the archive"));
            }
        }
        Ok(_) => {}
    }
    scene.aggregator.look();
    outcome.memory_mib = scene.aggregator.memory >> 20;
    if outcome.memory_mib > most_memory {
        outcome.faults.push(format!("more than {most_memory} MiB of memory"));
    }
    // It may have ended, which is said above then.
    scene.aggregator.kill().await.ok();
    Ok(outcome)
}

/// Sends an archive with one file, and a small one beside it, as the noisy plugin's first result.
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
        "the result was answered with {status}: {}",
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
        let (status, _) = scene.ask_locally(headers).await?;
        ensure!(status == expected, "{headers:?} was answered with {status}");
    }
    Ok(())
}

/// Says of every node but one that there is no result, at great length.
async fn long_reasons(scene: &Scene) -> anyhow::Result<()> {
    let client = scene.client(NOISY)?;
    let body = serde_json::json!({"error": "x".repeat(64_000)}).to_string();
    for url in scene.urls(NOISY) {
        let request = client
            .put(url)
            .header(routes::ERROR_HEADER, "1")
            .header("Content-Type", "application/json");
        let status = request.body(body.clone()).send().await?.status();
        ensure!(status.is_success(), "an error report was answered with {status}");
    }
    Ok(())
}

/// A worker whose done file is a FIFO ends after SIGTERM; one whose results directory has a FIFO sends the rest.
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
    // Time to look for its done file.
    sleep(LEAD).await;
    let id = blocked.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    if let Some(id) = id {
        kill_process(id, Signal::TERM)?;
    }
    timeout(WORKER_END, scene.complete(NOISY, OTHER_WORKER))
        .await
        .context("a FIFO in a results directory blocks the worker")??;
    // It keeps its result until the archive is made.
    other.kill().await?;
    timeout(WORKER_END, blocked.wait())
        .await
        .context("a worker whose done file is a FIFO does not end after SIGTERM")??;
    Ok(())
}
