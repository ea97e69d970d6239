//! Waiting for a state with a limit.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

const INTERVAL: Duration = Duration::from_millis(50);

/// Asks `check` every 50 ms until it answers `Some`. An error ends the wait at once.
pub(crate) fn until<T>(
    what: &str,
    limit: Duration,
    mut check: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = check()? {
            return Ok(value);
        }
        if start.elapsed() >= limit {
            bail!("{what}: not after {} s", limit.as_secs());
        }
        thread::sleep(INTERVAL);
    }
}
