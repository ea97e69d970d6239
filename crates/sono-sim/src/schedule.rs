//! What goes wrong, when, and what the workers do: a pure function of the seed.

mod machine;

pub use machine::{MachineFault, MachineTrouble};
use serde::Serialize;

use crate::{hostile::Hostile, random::Random};

/// How large a simulation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Workers, that is expected results; at least 4.
    pub workers: usize,
    /// How often the aggregator is killed and started again.
    pub rounds: usize,
}

/// Everything that is decided beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// Where it comes from.
    pub seed: u64,
    /// One plan a worker; the last worker sends only when all others have their answer, so that these may be refused and
    /// come again without the run being over.
    pub workers: Vec<WorkerPlan>,
    /// In the order in which they come.
    pub kills: Vec<Kill>,
    /// Faults of the API server, in the order in which they come.
    pub api: Vec<ApiFault>,
    /// Faults of the machine, in the order in which they come.
    pub machine: Vec<MachineFault>,
    /// Clients that are no workers.
    pub intruders: Vec<Intruder>,
}

/// What a worker does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkerPlan {
    /// Before it sends its result as it should.
    pub steps: Vec<Step>,
    /// So often it sends something else afterwards, so many milliseconds later, which must be refused.
    pub again_after_ms: Vec<u64>,
}

/// Something that a worker does, or that happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Step {
    /// It takes its time.
    Wait { ms: u64 },
    /// It tells its progress.
    Progress { completed: u32 },
    /// Its connection is cut after so much of the body.
    Truncate { percent: u8, with_length: bool },
    /// It says nothing for a while after so much of the body, then goes on.
    Stall { percent: u8, ms: u64 },
    /// It sends the whole body and goes away before the answer.
    Abandon { after_ms: u64 },
    /// It sends the same body over so many connections at once.
    AllAtOnce { times: u8 },
    /// Something hostile in place of its result, which it sends afterwards.
    Hostile(Hostile),
}

/// When something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Moment {
    /// So long after the process was started.
    Started { after_ms: u64 },
    /// So long after so many workers had their answer.
    Answered { workers: usize, then_us: u64 },
    /// So long after the last worker began to send.
    Last { after_us: u64 },
    /// When the status says that the archive is there.
    Sealed,
}

/// An end of the aggregator's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Kill {
    /// When.
    pub at: Moment,
    /// SIGTERM and not SIGKILL.
    pub gently: bool,
}

/// A fault of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ApiFault {
    /// When so many workers had their answer.
    pub answered: usize,
    /// What.
    pub what: ApiTrouble,
}

/// How the API server fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ApiTrouble {
    /// The next requests are refused with this status.
    Refuse { code: u16, times: usize },
    /// The next requests are answered late.
    Delay { ms: u64, times: usize },
    /// The next answers break off.
    Cut { times: usize },
    /// All watches end, and the next so many are too old (410 Gone).
    Gone { times: usize },
    /// Nobody is there for a while.
    Away { ms: u64 },
    /// The next requests are never answered.
    Hang { times: usize },
}

/// A client that is no honest worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Intruder {
    /// A result of a node that is not expected.
    UnknownNode,
    /// A result of another plugin than the certificate's.
    OtherPlugin,
    /// A path that leads nowhere, with dots in it.
    OddPath,
    /// No certificate.
    NoCertificate,
    /// Bytes that are no TLS.
    Garbage { bytes: u16 },
    /// Asks and never reads the answers.
    SlowReader,
    /// A request whose head never ends.
    SlowHead,
    /// A connection over which nothing comes, not even a handshake.
    Silent,
}

/// Answers after which a kill may come are fewer than all workers: the last one waits for the others.
fn before_the_last(shape: Shape) -> u64 {
    shape.workers.saturating_sub(1).max(1) as u64
}

impl Schedule {
    /// The schedule of this seed.
    pub fn new(seed: u64, shape: Shape) -> Self {
        let mut workers: Vec<WorkerPlan> = (0..shape.workers).map(|number| worker(seed, number)).collect();
        if let Some(last) = workers.last_mut() {
            // The run ends with its answer, good or bad: a good one could not follow.
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

    /// Without what needs more than an ordinary account and an ordinary machine.
    #[must_use]
    pub fn without_machine(mut self) -> Self {
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
    let again = random.below(3);
    WorkerPlan {
        steps,
        again_after_ms: (0..again).map(|_| random.below(400)).collect(),
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
            // Some are longer than the aggregator's patience, which is two seconds here.
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
                let workers = random.below(before_the_last(shape));
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
            let answered = usize::try_from(random.below(before_the_last(shape))).unwrap_or_default();
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
    fn the_schedule_is_a_function_of_the_seed() {
        for seed in 0..20 {
            assert_eq!(Schedule::new(seed, SHAPE), Schedule::new(seed, SHAPE));
            assert_ne!(Schedule::new(seed, SHAPE), Schedule::new(seed + 1, SHAPE));
        }
    }

    #[test]
    fn every_fault_comes_up_and_kills_come_in_their_order() {
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
