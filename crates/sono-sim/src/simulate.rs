//! One simulation: world, workers, faults and the final checks.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;
use sono_testkit::Trouble;
use sono_types::UploadLimits;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    check::{self, Collected},
    content::{self, CLUSTER, LAST, NODES},
    hostile, intruder, machine,
    random::Random,
    schedule::{ApiFault, ApiTrouble, Schedule},
    status,
    supervisor::{self, STEP_LIMIT, Supervised, WorkerProgress},
    worker::{Report, Violations, Worker},
    world::{Environments, Plugin, World, WorldParameters},
};

/// Options of a simulation.
#[derive(Debug, Clone)]
pub struct Options {
    /// Path of the aggregator program.
    pub aggregator: PathBuf,
    /// Memory limit of the aggregator, in bytes.
    pub max_memory: u64,
    /// Whether kills drop unsynced writes, as in a power loss. Requires root and loop devices.
    pub power_loss: bool,
}

/// Outcome of a simulation.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Seed of the schedule.
    pub seed: u64,
    /// Violated invariants; empty on success.
    pub violations: Vec<String>,
    /// Number of kills and SIGTERMs.
    pub kills: usize,
    /// Number of exits that were not requested.
    pub own_ends: usize,
    /// Number of uploads.
    pub tries: usize,
    /// Number of failed and retried uploads.
    pub failed: usize,
    /// Number of results with a 200 response.
    pub acknowledged: usize,
    /// Number of status writes.
    pub statuses: usize,
    /// Peak memory of all aggregator processes, in bytes.
    pub memory: u64,
    /// Number of worker connections that were still open after the run.
    pub connections: usize,
    /// Number of log messages about a full volume.
    #[serde(rename = "shortages")]
    pub disk_full_messages: usize,
    /// Times from a kill to the next process's first response, in milliseconds.
    pub recoveries_ms: Vec<u64>,
    /// Duration in milliseconds.
    pub took_ms: u64,
    /// Folder of the simulation's files, on failure.
    pub files: Option<PathBuf>,
    #[serde(skip)]
    pub(crate) collected: Collected,
}

/// Low upload limits, so that oversized bodies are created and stalled uploads are rejected quickly.
pub(crate) fn limits() -> UploadLimits {
    UploadLimits {
        max_body_bytes: hostile::MAX_BODY,
        max_unpacked_bytes: hostile::MAX_UNPACKED,
        max_entries: hostile::MAX_ENTRIES,
        max_ratio: 1000,
        ratio_floor_bytes: 8 << 20,
        idle_timeout: Duration::from_secs(2),
        handshake_timeout: Duration::from_secs(2),
        connection_idle: Duration::from_secs(10),
        // A full volume must not lose a result here, however often workers retry.
        max_store_tries: 10_000,
        ..UploadLimits::default()
    }
}

/// Runs the schedule and checks the outcome. `reference` is an undisturbed run of the same size.
pub async fn simulate(schedule: &Schedule, options: &Options, reference: Option<&Outcome>) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let workers = schedule.workers.len();
    let plugin = |name, driver, order| Plugin {
        name,
        driver,
        order,
        result_format: "raw",
    };
    let plan = WorldParameters {
        nodes: (0..content::nodes(workers)).map(content::node).collect(),
        plugins: vec![
            plugin(NODES, "DaemonSet", 0),
            plugin(CLUSTER, "Job", 0),
            plugin(LAST, "Job", 1),
        ],
        limits: limits(),
        pods: true,
    };
    let world = World::new(plan)?;
    if options.power_loss {
        world
            .use_disk()
            .await
            .context("cannot create a disk for power losses")?;
    }
    machine::prepare(&schedule.machine, &world).await?;
    let before = check::around(&world)?;
    let violations = Violations::default();
    let ran = timeout(STEP_LIMIT * 2, run(schedule, options, &world, &violations)).await;
    let ran = ran
        .map_err(|_| anyhow::anyhow!("the simulation did not end within {:?}", STEP_LIMIT * 2))
        .flatten();
    let mut outcome = Outcome {
        seed: schedule.seed,
        violations: Vec::new(),
        kills: 0,
        own_ends: 0,
        tries: 0,
        failed: 0,
        acknowledged: 0,
        statuses: 0,
        memory: 0,
        connections: 0,
        disk_full_messages: 0,
        recoveries_ms: Vec::new(),
        took_ms: 0,
        files: None,
        collected: Collected::default(),
    };
    outcome.violations = std::mem::take(&mut violations.lock().unwrap_or_else(PoisonError::into_inner));
    match ran {
        Err(error) => outcome.violations.push(format!("{error:#}")),
        Ok((supervised, reports)) => {
            outcome.record(supervised, &reports, options);
            if let Err(error) = outcome.check(schedule, &world, reference, &before) {
                outcome.violations.push(format!("{error:#}"));
            }
        }
    }
    outcome.took_ms = milliseconds(began.elapsed());
    if !outcome.violations.is_empty() {
        outcome.files = Some(world.persist());
    }
    Ok(outcome)
}

impl Outcome {
    fn record(&mut self, supervised: Supervised, reports: &[Report], options: &Options) {
        self.kills = supervised.kills;
        self.own_ends = supervised.own_ends;
        self.memory = supervised.memory;
        self.connections = supervised.connections;
        self.disk_full_messages = supervised.disk_full_messages;
        self.recoveries_ms = supervised.recoveries.iter().copied().map(milliseconds).collect();
        self.violations.extend(supervised.violations);
        for report in reports {
            self.tries += report.tries;
            self.failed += report.failed;
            self.acknowledged += usize::from(report.acknowledged);
        }
        if self.memory > options.max_memory {
            self.violations.push(format!(
                "the aggregator used {} MiB, more than {} MiB",
                self.memory >> 20,
                options.max_memory >> 20
            ));
        }
        if self.connections > 0 {
            self.violations
                .push(format!("{} connections are open after the run", self.connections));
        }
    }

    fn check(
        &mut self,
        schedule: &Schedule,
        world: &World,
        reference: Option<&Self>,
        before: &std::collections::BTreeSet<PathBuf>,
    ) -> anyhow::Result<()> {
        let workers = schedule.workers.len();
        self.collected = check::collected(world).context("cannot read the archive")?;
        self.violations
            .extend(check::results(schedule.seed, workers, &self.collected)?);
        if let Some(reference) = reference {
            self.violations
                .extend(check::differences(&reference.collected, &self.collected));
        }
        self.violations.extend(check::stray_files(world, before)?);
        let statuses = status::written(world)?;
        self.statuses = statuses.len();
        self.violations
            .extend(status::regressions(statuses.iter().map(|(status, _)| status)));
        // Created once and deleted: one DaemonSet, two pods of Jobs, a secret each.
        let own_pods = 1 + content::nodes(workers);
        for (plural, expected) in [("daemonsets", 1), ("secrets", 3), ("pods", own_pods + 2)] {
            let found = world.api.created_count(plural);
            if found != expected {
                self.violations
                    .push(format!("{found} {plural} were created instead of {expected}"));
            }
        }
        for plural in ["daemonsets", "secrets"] {
            let remaining = world.api.all(plural).len();
            if remaining > 0 {
                self.violations.push(format!("{remaining} {plural} were not deleted"));
            }
        }
        Ok(())
    }
}

/// Runs the aggregator, the workers and all faults concurrently.
async fn run(
    schedule: &Schedule,
    options: &Options,
    world: &World,
    violations: &Violations,
) -> anyhow::Result<(Supervised, Vec<Report>)> {
    let environments = watch::Sender::new(Environments::new());
    let answered = Arc::new(watch::Sender::new(0_usize));
    let last = watch::Sender::new(false);
    let ready = watch::Sender::new(false);
    let progress = WorkerProgress {
        answered: answered.subscribe(),
        last: last.subscribe(),
    };
    let supervise = supervisor::supervise(
        &options.aggregator,
        world,
        &schedule.kills,
        &progress,
        ready.subscribe(),
    );
    let control = world.control(&environments);
    let trouble = api_troubles(&schedule.api, world, answered.subscribe());
    let machine = machine::troubles(&schedule.machine, world, answered.subscribe());
    let work = async {
        let reports = workers(schedule, world, &environments, &answered, &last, violations).await;
        ready.send_replace(true);
        reports
    };
    let (supervised, (), (), (), reports) = tokio::try_join!(supervise, control, trouble, machine, work)?;
    Ok((supervised, reports))
}

/// Runs all workers and intruders; the last worker starts after the final responses of all others.
async fn workers(
    schedule: &Schedule,
    world: &World,
    environments: &watch::Sender<Environments>,
    answered: &Arc<watch::Sender<usize>>,
    last: &watch::Sender<bool>,
    violations: &Violations,
) -> anyhow::Result<Vec<Report>> {
    let seed = schedule.seed;
    let count = schedule.workers.len();
    let may_be_full = machine::fills_the_disk(&schedule.machine);
    let start = async |number: usize| {
        let worker = Worker {
            key: content::key(number, count),
            plan: schedule.workers[number].clone(),
            result: content::worker_result(seed, number, count)?,
            random: Random::new(seed, number as u64 | 1 << 41),
            may_be_full,
            violations: Arc::clone(violations),
        };
        let name = worker.key.plugin.to_string();
        let mut known = environments.subscribe();
        let environment = known.wait_for(|known| known.contains_key(&name)).await?[&name].clone();
        let answered = Arc::clone(answered);
        anyhow::Ok(async move {
            worker
                .work(&environment, || answered.send_modify(|answered| *answered += 1))
                .await
        })
    };
    let mut tasks = JoinSet::new();
    for number in 0..count - 1 {
        tasks.spawn(start(number).await?);
    }
    let mut intruders = JoinSet::new();
    for intruder in &schedule.intruders {
        let environment = environments.borrow()[NODES].clone();
        intruders.spawn(intruder::intrude(*intruder, environment, world.address));
    }
    let mut reports = Vec::new();
    while let Some(report) = tasks.join_next().await {
        reports.push(report??);
    }
    let final_worker = start(count - 1).await?;
    last.send_replace(true);
    // After the run the plugin's pod is deleted, so that the worker may miss its response.
    let over = async {
        while status::last(world)?.is_none_or(|status| status.archive().is_none()) {
            sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        report = final_worker => reports.push(report?),
        over = over => over?,
    }
    while let Some(found) = intruders.join_next().await {
        let found = found??;
        violations.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
    }
    Ok(reports)
}

/// Applies each fault of the API server at its scheduled time.
async fn api_troubles(faults: &[ApiFault], world: &World, mut answered: watch::Receiver<usize>) -> anyhow::Result<()> {
    for fault in faults {
        // The workers have ended, and with them the run.
        if answered.wait_for(|answered| *answered >= fault.answered).await.is_err() {
            break;
        }
        match fault.what {
            ApiTrouble::Refuse { code, times } => world.api.trouble(Trouble::Answer(refusal(code)), times),
            ApiTrouble::Delay { ms, times } => world.api.trouble(Trouble::Delay(Duration::from_millis(ms)), times),
            ApiTrouble::Cut { times } => world.api.trouble(Trouble::Cut, times),
            ApiTrouble::Hang { times } => world.api.trouble(Trouble::Hang, times),
            ApiTrouble::Gone { times } => world.api.end_watches(times),
            ApiTrouble::Away { ms } => {
                world.api.disconnect();
                sleep(Duration::from_millis(ms)).await;
                world.api.reconnect();
            }
        }
    }
    Ok(())
}

fn refusal(code: u16) -> serde_json::Value {
    let reason = match code {
        429 => "TooManyRequests",
        409 => "Conflict",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "reason": reason, "code": code, "message": format!("simulated {reason}")});
    if code == 429 {
        status["details"] = json!({"retryAfterSeconds": 1});
    }
    status
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
