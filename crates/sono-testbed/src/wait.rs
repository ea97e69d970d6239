//! Waits for a state with a time limit.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::bail;

const INTERVAL: Duration = Duration::from_millis(50);

/// Calls `check` every 50 ms until it returns `Some`. An error ends the wait immediately.
pub(crate) fn until<T>(
    condition: &str,
    limit: Duration,
    mut check: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = check()? {
            return Ok(value);
        }
        if start.elapsed() >= limit {
            bail!("timeout after {} s while waiting until {condition}", limit.as_secs());
        }
        thread::sleep(INTERVAL);
    }
}
