//! Faults of the machine that the aggregator runs on.

use serde::Serialize;

use super::{ApiFault, ApiTrouble, Shape, answers_before_last};
use crate::random::Random;

/// A fault of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MachineFault {
    /// Number of final responses before the fault.
    pub answered: usize,
    /// Kind of the fault.
    pub what: MachineTrouble,
}

/// A kind of fault of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum MachineTrouble {
    /// The volume is full for a while.
    DiskFull { ms: u64 },
    /// The clock is off by this many seconds from now on, for later processes as well.
    Clock { seconds: i64 },
}

/// Maximum clock offset in seconds: well below the default plugin timeout of six hours.
const MAX_CLOCK_OFFSET: i64 = 9000;

fn answered(random: &mut Random, shape: Shape) -> usize {
    usize::try_from(random.below(answers_before_last(shape))).unwrap_or_default()
}

/// Faults in chronological order. They use their own random sequence, so that the rest of a seed's schedule is stable.
pub(super) fn machine(seed: u64, shape: Shape) -> Vec<MachineFault> {
    let mut random = Random::new(seed, 4 << 32);
    let mut faults = Vec::new();
    while faults.len() < 4 && random.chance(45) {
        let what = if random.chance(50) {
            MachineTrouble::DiskFull {
                ms: 50 + random.below(1500),
            }
        } else {
            let offset = i64::try_from(random.below(MAX_CLOCK_OFFSET.unsigned_abs() * 2)).unwrap_or_default();
            MachineTrouble::Clock {
                seconds: offset - MAX_CLOCK_OFFSET,
            }
        };
        faults.push(MachineFault {
            answered: answered(&mut random, shape),
            what,
        });
    }
    faults.sort_by_key(|fault| fault.answered);
    faults
}

/// A request without a response. At most one, and rarely, since each delays the client by half a minute.
pub(super) fn hanging(seed: u64, shape: Shape) -> Option<ApiFault> {
    let mut random = Random::new(seed, 5 << 32);
    random.chance(8).then(|| ApiFault {
        answered: answered(&mut random, shape),
        what: ApiTrouble::Hang { times: 1 },
    })
}
