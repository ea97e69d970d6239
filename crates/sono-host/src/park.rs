//! Blocks after the work is done until the process is terminated, since a DaemonSet restarts a container that ends.

use std::io;

/// Returns when the process is terminated. The kernel drops signals without a handler for the first process of a
/// container.
pub(crate) fn park() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(termination_signal())
}

#[cfg(unix)]
async fn termination_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn termination_signal() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
