//! Termination signals: Ctrl-C, a cancelled CI job, a closed terminal.

use std::io;

use sono_types::exit;

/// Waits for a termination signal and returns its exit code: 128 plus the signal's number.
///
/// # Errors
///
/// If the signal handlers cannot be installed.
#[cfg(unix)]
pub(crate) async fn termination() -> io::Result<u8> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| exit::INTERRUPTED),
        _ = terminate.recv() => Ok(exit::TERMINATED),
        _ = hang_up.recv() => Ok(exit::HUNG_UP),
    }
}

/// Waits for Ctrl-C, the only termination signal on this platform.
///
/// # Errors
///
/// If the signal handler cannot be installed.
#[cfg(not(unix))]
pub(crate) async fn termination() -> io::Result<u8> {
    tokio::signal::ctrl_c().await.map(|()| exit::INTERRUPTED)
}
