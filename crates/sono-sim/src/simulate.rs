//! One simulation: world, workers, faults, and at the end what must hold.

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
    hostile, intruder,
    keeper::{self, Kept, PATIENCE, Signs},
    machine,
    random::Random,
    schedule::{ApiFault, ApiTrouble, Schedule},
    status,
    worker::{Complaints, Report, Worker},
    world::{Environments, Plan, Plugin, World},
};

/// What to simulate with.
#[derive(Debug, Clone)]
pub struct Options {
    /// The aggregator's program.
    pub aggregator: PathBuf,
    /// The most memory that it may hold, in bytes.
    pub max_memory: u64,
    /// Every kill takes along what was not synced, as a power loss would. Needs root and loop devices.
    pub power_loss: bool,
}

/// What came of a simulation.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Where it came from.
    pub seed: u64,
    /// What did not hold; empty is good.
    pub violations: Vec<String>,
    /// How often the aggregator was killed, or asked to end.
    pub kills: usize,
    /// How often it ended by itself.
    pub own_ends: usize,
    /// Requests for results that workers made.
    pub tries: usize,
    /// Those that were made again.
    pub failed: usize,
    /// Results that were acknowledged with 200.
    pub acknowledged: usize,
    /// Statuses that were written.
    pub statuses: usize,
    /// The most memory of any process of the aggregator, in bytes.
    pub memory: u64,
    /// Connections of workers that it held after the run.
    pub connections: usize,
    /// How often a process had to wait for room on the volume.
    pub shortages: usize,
    /// From each kill to the first connection that the next process deals with, in milliseconds.
    pub recoveries_ms: Vec<u64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Where its files are, if it failed.
    pub files: Option<PathBuf>,
    #[serde(skip)]
    pub(crate) collected: Collected,
}

/// What results may be, so that what is too large is quickly made, and who stalls is quickly given up.
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
        // A volume that is full for a while costs no result here, however quickly workers come again.
        max_store_tries: 10_000,
        ..UploadLimits::default()
    }
}

/// Does what the schedule says and looks at what came of it. `reference` is an undisturbed run of the same size.
pub async fn simulate(schedule: &Schedule, options: &Options, reference: Option<&Outcome>) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let workers = schedule.workers.len();
    let plugin = |name, driver, order| Plugin {
        name,
        driver,
        order,
        result_format: "raw",
    };
    let plan = Plan {
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
        world.use_disk().await.context("making a disk to lose")?;
    }
    machine::prepare(&schedule.machine, &world).await?;
    let before = check::around(&world)?;
    let complaints = Complaints::default();
    let ran = timeout(PATIENCE * 2, run(schedule, options, &world, &complaints)).await;
    let ran = ran
        .map_err(|_| anyhow::anyhow!("it did not end within {:?}", PATIENCE * 2))
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
        shortages: 0,
        recoveries_ms: Vec::new(),
        took_ms: 0,
        files: None,
        collected: Collected::default(),
    };
    outcome.violations = std::mem::take(&mut complaints.lock().unwrap_or_else(PoisonError::into_inner));
    match ran {
        Err(error) => outcome.violations.push(format!("{error:#}")),
        Ok((kept, reports)) => {
            outcome.note(kept, &reports, options);
            if let Err(error) = outcome.check(schedule, &world, reference, &before) {
                outcome.violations.push(format!("{error:#}"));
            }
        }
    }
    outcome.took_ms = milliseconds(began.elapsed());
    if !outcome.violations.is_empty() {
        outcome.files = Some(world.keep());
    }
    Ok(outcome)
}

impl Outcome {
    fn note(&mut self, kept: Kept, reports: &[Report], options: &Options) {
        self.kills = kept.kills;
        self.own_ends = kept.own_ends;
        self.memory = kept.memory;
        self.connections = kept.connections;
        self.shortages = kept.shortages;
        self.recoveries_ms = kept.recoveries.iter().copied().map(milliseconds).collect();
        self.violations.extend(kept.violations);
        for report in reports {
            self.tries += report.tries;
            self.failed += report.failed;
            self.acknowledged += usize::from(report.acknowledged);
        }
        if self.memory > options.max_memory {
            self.violations.push(format!(
                "the aggregator held {} MiB, more than {} MiB",
                self.memory >> 20,
                options.max_memory >> 20
            ));
        }
        if self.connections > 0 {
            self.violations
                .push(format!("{} connections are left after the run", self.connections));
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
        self.collected = check::collected(world).context("reading the archive")?;
        self.violations
            .extend(check::results(schedule.seed, workers, &self.collected)?);
        if let Some(reference) = reference {
            self.violations
                .extend(check::differences(&reference.collected, &self.collected));
        }
        self.violations.extend(check::strays(world, before)?);
        let statuses = status::written(world)?;
        self.statuses = statuses.len();
        self.violations
            .extend(status::steps_back(statuses.iter().map(|(status, _)| status)));
        // Neither started twice nor left behind: one DaemonSet, two pods of Jobs, a secret each.
        let own_pods = 1 + content::nodes(workers);
        for (plural, made) in [("daemonsets", 1), ("secrets", 3), ("pods", own_pods + 2)] {
            let found = world.api.created_count(plural);
            if found != made {
                self.violations
                    .push(format!("{found} {plural} were made instead of {made}"));
            }
        }
        for plural in ["daemonsets", "secrets"] {
            let left = world.api.all(plural).len();
            if left > 0 {
                self.violations.push(format!("{left} {plural} are left"));
            }
        }
        Ok(())
    }
}

/// Everything that goes on at the same time.
async fn run(
    schedule: &Schedule,
    options: &Options,
    world: &World,
    complaints: &Complaints,
) -> anyhow::Result<(Kept, Vec<Report>)> {
    let environments = watch::Sender::new(Environments::new());
    let answered = Arc::new(watch::Sender::new(0_usize));
    let last = watch::Sender::new(false);
    let ready = watch::Sender::new(false);
    let signs = Signs {
        answered: answered.subscribe(),
        last: last.subscribe(),
    };
    let keep = keeper::keep(&options.aggregator, world, &schedule.kills, &signs, ready.subscribe());
    let control = world.control(&environments);
    let trouble = api_troubles(&schedule.api, world, answered.subscribe());
    let machine = machine::troubles(&schedule.machine, world, answered.subscribe());
    let work = async {
        let reports = workers(schedule, world, &environments, &answered, &last, complaints).await;
        ready.send_replace(true);
        reports
    };
    let (kept, (), (), (), reports) = tokio::try_join!(keep, control, trouble, machine, work)?;
    Ok((kept, reports))
}

/// All workers and intruders; the last worker when all others have their answers.
async fn workers(
    schedule: &Schedule,
    world: &World,
    environments: &watch::Sender<Environments>,
    answered: &Arc<watch::Sender<usize>>,
    last: &watch::Sender<bool>,
    complaints: &Complaints,
) -> anyhow::Result<Vec<Report>> {
    let seed = schedule.seed;
    let count = schedule.workers.len();
    let may_be_full = machine::fills_the_disk(&schedule.machine);
    let start = async |number: usize| {
        let worker = Worker {
            key: content::key(number, count),
            plan: schedule.workers[number].clone(),
            fate: content::fate(seed, number, count)?,
            random: Random::new(seed, number as u64 | 1 << 41),
            may_be_full,
            complaints: Arc::clone(complaints),
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
    // When the run is over, and with it the plugin's pod, nobody waits for an answer any more.
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
        complaints.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
    }
    Ok(reports)
}

/// Faults of the API server, each when its time has come.
async fn api_troubles(faults: &[ApiFault], world: &World, mut answered: watch::Receiver<usize>) -> anyhow::Result<()> {
    for fault in faults {
        // The workers being gone means that the run is over.
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
