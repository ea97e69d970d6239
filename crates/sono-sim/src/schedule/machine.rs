//! Faults of the machine that the aggregator runs on.

use serde::Serialize;

use super::{ApiFault, ApiTrouble, Shape, before_the_last};
use crate::random::Random;

/// A fault of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MachineFault {
    /// When so many workers had their answer.
    pub answered: usize,
    /// What.
    pub what: MachineTrouble,
}

/// What goes wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum MachineTrouble {
    /// For a while there is no room left on the volume.
    DiskFull { ms: u64 },
    /// From now on the clock is that many seconds off. Processes that are started later begin with it.
    Clock { seconds: i64 },
}

/// The furthest that a clock is off: a plugin may take six hours by default, and what is waited for must not run into that.
const FURTHEST: i64 = 9000;

fn answered(random: &mut Random, shape: Shape) -> usize {
    usize::try_from(random.below(before_the_last(shape))).unwrap_or_default()
}

/// In the order in which they come. A sequence of its own: what else a seed decides stays as it was.
pub(super) fn machine(seed: u64, shape: Shape) -> Vec<MachineFault> {
    let mut random = Random::new(seed, 4 << 32);
    let mut faults = Vec::new();
    while faults.len() < 4 && random.chance(45) {
        let what = if random.chance(50) {
            MachineTrouble::DiskFull {
                ms: 50 + random.below(1500),
            }
        } else {
            let away = i64::try_from(random.below(FURTHEST.unsigned_abs() * 2)).unwrap_or_default();
            MachineTrouble::Clock {
                seconds: away - FURTHEST,
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

/// A request that is never answered. One, and seldom: whoever asked waits for half a minute.
pub(super) fn hanging(seed: u64, shape: Shape) -> Option<ApiFault> {
    let mut random = Random::new(seed, 5 << 32);
    random.chance(8).then(|| ApiFault {
        answered: answered(&mut random, shape),
        what: ApiTrouble::Hang { times: 1 },
    })
}
