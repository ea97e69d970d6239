//! Being asked to stop: by Ctrl-C, by a CI system that cancels its job, by a terminal that is closed.

use std::io;

use sono_types::exit;

/// Waits for such a signal. The exit code that says which it was: 128 and the signal's number.
///
/// # Errors
///
/// Where signals cannot be waited for.
#[cfg(unix)]
pub(crate) async fn asked_to_stop() -> io::Result<u8> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| exit::INTERRUPTED),
        _ = terminate.recv() => Ok(exit::TERMINATED),
        _ = hang_up.recv() => Ok(exit::HUNG_UP),
    }
}

/// Waits for Ctrl-C, the only one there is here.
///
/// # Errors
///
/// Where it cannot be waited for.
#[cfg(not(unix))]
pub(crate) async fn asked_to_stop() -> io::Result<u8> {
    tokio::signal::ctrl_c().await.map(|()| exit::INTERRUPTED)
}
