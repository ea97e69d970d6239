//! The schedule of faults and of the workers' actions: a pure function of the seed.

mod machine;

pub use machine::{MachineFault, MachineTrouble};
use serde::Serialize;

use crate::{hostile::Hostile, random::Random};

/// Size of a simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Number of workers and of expected results; at least 4.
    pub workers: usize,
    /// Number of kills and restarts of the aggregator.
    pub rounds: usize,
}

/// The complete schedule of a simulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// Seed of the schedule.
    pub seed: u64,
    /// One plan per worker. The last worker starts after the final responses of all others, so that they can retry
    /// before the run ends.
    pub workers: Vec<WorkerPlan>,
    /// Kills in chronological order.
    pub kills: Vec<Kill>,
    /// Faults of the API server in chronological order.
    pub api: Vec<ApiFault>,
    /// Faults of the machine in chronological order.
    pub machine: Vec<MachineFault>,
    /// Clients that are not workers.
    pub intruders: Vec<Intruder>,
}

/// Actions of a worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkerPlan {
    /// Steps before the regular upload of its result.
    pub steps: Vec<Step>,
    /// Pauses in milliseconds; after each one the worker uploads a different result, which must be rejected.
    pub again_after_ms: Vec<u64>,
}

/// An action or fault of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Step {
    /// The worker waits.
    Wait { ms: u64 },
    /// The worker sends a progress update.
    Progress { completed: u32 },
    /// The connection breaks after this share of the body.
    Truncate { percent: u8, with_length: bool },
    /// The worker pauses after this share of the body, then continues.
    Stall { percent: u8, ms: u64 },
    /// The worker sends the whole body and disconnects before the response.
    Abandon { after_ms: u64 },
    /// The worker sends the same body over several connections in parallel.
    AllAtOnce { times: u8 },
    /// The worker sends a hostile body before its result.
    Hostile(Hostile),
}

/// Time of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Moment {
    /// This long after the start of the process.
    Started { after_ms: u64 },
    /// This long after the final response of that many workers.
    Answered { workers: usize, then_us: u64 },
    /// This long after the last worker started its upload.
    Last { after_us: u64 },
    /// When the status is complete.
    Sealed,
}

/// A kill of the aggregator's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Kill {
    /// Time of the kill.
    pub at: Moment,
    /// SIGTERM instead of SIGKILL.
    pub gently: bool,
}

/// A fault of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ApiFault {
    /// Number of final responses before the fault.
    pub answered: usize,
    /// Kind of the fault.
    pub what: ApiTrouble,
}

/// A kind of fault of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ApiTrouble {
    /// The next requests fail with this status.
    Refuse { code: u16, times: usize },
    /// The next responses are delayed.
    Delay { ms: u64, times: usize },
    /// The next responses break in the middle.
    Cut { times: usize },
    /// All watches end, and the next `times` watches fail with 410 Gone.
    Gone { times: usize },
    /// The server is down for a while.
    Away { ms: u64 },
    /// The next requests get no response.
    Hang { times: usize },
}

/// A hostile client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Intruder {
    /// A result of a node that is not expected.
    UnknownNode,
    /// A result of another plugin than the certificate's.
    OtherPlugin,
    /// An invalid path with dots.
    OddPath,
    /// No certificate.
    NoCertificate,
    /// Bytes that are not TLS.
    Garbage { bytes: u16 },
    /// Sends requests and reads responses slowly.
    SlowReader,
    /// Sends an incomplete request head.
    SlowHead,
    /// Opens a connection without sending a byte.
    Silent,
}

/// Upper bound of the response count for a kill: the last worker waits for all others.
fn answers_before_last(shape: Shape) -> u64 {
    shape.workers.saturating_sub(1).max(1) as u64
}

impl Schedule {
    /// The schedule of this seed.
    pub fn new(seed: u64, shape: Shape) -> Self {
        let mut workers: Vec<WorkerPlan> = (0..shape.workers).map(|number| worker(seed, number)).collect();
        if let Some(last) = workers.last_mut() {
            // The run ends with its first final response, so that a result could not follow a hostile body.
            last.steps.retain(|step| !matches!(step, Step::Hostile(_)));
        }
        let mut random = Random::new(seed, 1 << 32);
        let intruders = (0..2 + shape.workers / 10).map(|_| intruder(&mut random)).collect();
        Self {
            seed,
            workers,
            kills: kills(seed, shape),
            api: api(seed, shape),
            machine: machine::machine(seed, shape),
            intruders,
        }
    }

    /// Removes the machine faults, which require privileges and extra packages.
    #[must_use]
    pub fn without_machine_faults(mut self) -> Self {
        self.machine.clear();
        self
    }

    /// The same results without any fault.
    pub fn undisturbed(seed: u64, shape: Shape) -> Self {
        Self {
            seed,
            workers: vec![WorkerPlan::default(); shape.workers],
            kills: Vec::new(),
            api: Vec::new(),
            machine: Vec::new(),
            intruders: Vec::new(),
        }
    }
}

fn worker(seed: u64, number: usize) -> WorkerPlan {
    let mut random = Random::new(seed, number as u64);
    let mut steps = vec![Step::Wait { ms: random.below(1500) }];
    while random.chance(55) && steps.len() < 6 {
        steps.push(step(&mut random));
    }
    let repetitions = random.below(3);
    WorkerPlan {
        steps,
        again_after_ms: (0..repetitions).map(|_| random.below(400)).collect(),
    }
}

fn step(random: &mut Random) -> Step {
    let percent = u8::try_from(random.below(101)).unwrap_or(100);
    match random.below(8) {
        0 => Step::Wait { ms: random.below(300) },
        1 | 2 => Step::Progress {
            completed: u32::try_from(random.below(1000)).unwrap_or_default(),
        },
        3 => Step::Truncate {
            percent: percent.min(99),
            with_length: random.chance(50),
        },
        4 => Step::Stall {
            percent,
            // Some are longer than the idle timeout, which is two seconds here.
            ms: if random.chance(15) { 2500 } else { random.below(500) },
        },
        5 => Step::Abandon {
            after_ms: random.below(20),
        },
        6 => Step::AllAtOnce {
            times: u8::try_from(2 + random.below(4)).unwrap_or(2),
        },
        _ => Step::Hostile(Hostile::pick(random.number())),
    }
}

fn kills(seed: u64, shape: Shape) -> Vec<Kill> {
    let mut random = Random::new(seed, 2 << 32);
    let mut moments: Vec<(u64, Moment)> = (0..shape.rounds)
        .map(|_| match random.below(10) {
            0 => (
                0,
                Moment::Started {
                    after_ms: random.below(400),
                },
            ),
            1 | 2 => (
                u64::MAX - 1,
                Moment::Last {
                    after_us: random.below(600_000),
                },
            ),
            3 => (u64::MAX, Moment::Sealed),
            _ => {
                let workers = random.below(answers_before_last(shape));
                let at = Moment::Answered {
                    workers: usize::try_from(workers).unwrap_or_default(),
                    then_us: random.below(30_000),
                };
                (workers, at)
            }
        })
        .collect();
    moments.sort_by_key(|(order, _)| *order);
    let mut kills = Vec::new();
    for (_, at) in moments {
        kills.push(Kill {
            at,
            gently: random.chance(20),
        });
    }
    kills
}

fn api(seed: u64, shape: Shape) -> Vec<ApiFault> {
    let mut random = Random::new(seed, 3 << 32);
    let mut faults: Vec<ApiFault> = (0..shape.rounds.max(1))
        .map(|_| {
            let answered = usize::try_from(random.below(answers_before_last(shape))).unwrap_or_default();
            let times = usize::try_from(1 + random.below(4)).unwrap_or(1);
            let what = match random.below(7) {
                0 | 1 => ApiTrouble::Refuse {
                    code: [429, 500, 503, 409, 504][usize::try_from(random.below(5)).unwrap_or_default()],
                    times,
                },
                2 => ApiTrouble::Delay {
                    ms: random.below(2000),
                    times,
                },
                3 => ApiTrouble::Cut { times },
                4 | 5 => ApiTrouble::Gone { times },
                _ => ApiTrouble::Away { ms: random.below(3000) },
            };
            ApiFault { answered, what }
        })
        .collect();
    faults.extend(machine::hanging(seed, shape));
    faults.sort_by_key(|fault| fault.answered);
    faults
}

fn intruder(random: &mut Random) -> Intruder {
    match random.below(8) {
        0 => Intruder::UnknownNode,
        1 => Intruder::OtherPlugin,
        2 => Intruder::OddPath,
        3 => Intruder::NoCertificate,
        4 => Intruder::Garbage {
            bytes: u16::try_from(random.below(5000)).unwrap_or_default(),
        },
        5 => Intruder::SlowReader,
        6 => Intruder::SlowHead,
        _ => Intruder::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        workers: 50,
        rounds: 20,
    };

    #[test]
    fn schedule_depends_only_on_seed() {
        for seed in 0..20 {
            assert_eq!(Schedule::new(seed, SHAPE), Schedule::new(seed, SHAPE));
            assert_ne!(Schedule::new(seed, SHAPE), Schedule::new(seed + 1, SHAPE));
        }
    }

    #[test]
    fn schedules_cover_every_fault_with_kills_in_order() {
        let mut text = String::new();
        for seed in 0..40 {
            let schedule = Schedule::new(seed, SHAPE);
            assert_eq!(schedule.kills.len(), SHAPE.rounds);
            let answered = schedule.kills.iter().filter_map(|kill| match kill.at {
                Moment::Answered { workers, .. } => Some(workers),
                _ => None,
            });
            assert!(answered.clone().is_sorted());
            assert!(answered.max() < Some(SHAPE.workers - 1));
            text.extend(serde_json::to_string(&schedule));
        }
        for word in [
            "Wait",
            "Progress",
            "Truncate",
            "Stall",
            "Abandon",
            "AllAtOnce",
            "Hostile",
            "Started",
            "Answered",
            "Last",
            "Sealed",
            "Refuse",
            "Delay",
            "Cut",
            "Gone",
            "Away",
            "Hang",
            "DiskFull",
            "Clock",
            "UnknownNode",
            "OtherPlugin",
            "OddPath",
            "NoCertificate",
            "Garbage",
            "SlowReader",
            "SlowHead",
            "Silent",
        ] {
            assert!(text.contains(word), "{word}");
        }
    }
}
