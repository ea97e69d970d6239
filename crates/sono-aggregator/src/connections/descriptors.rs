//! The limit on open files, which connections and results share.

/// `most`, or a quarter of what the process may open where that is less.
pub(super) fn share_of(most: usize) -> usize {
    limit().map_or(most, |limit| most.min((limit / 4).max(1)))
}

#[cfg(target_os = "linux")]
fn limit() -> Option<usize> {
    use rustix::process::{Resource, getrlimit};
    usize::try_from(getrlimit(Resource::Nofile).current?).ok()
}

#[cfg(not(target_os = "linux"))]
fn limit() -> Option<usize> {
    None
}

/// Raises the soft limit of open files to the hard one, as programs written in Go do. Best effort.
#[cfg(target_os = "linux")]
pub(crate) fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

/// Other systems need no change.
#[cfg(not(target_os = "linux"))]
pub(crate) fn raise_limit() {}
