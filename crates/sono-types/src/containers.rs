//! State of the containers of a plugin's pod, as reported to its worker.

/// Combined state of all containers of a pod except the worker's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContainersState {
    /// The state is unknown: only the done file marks a result as complete.
    #[default]
    Unknown,
    /// At least one may still write results.
    Running,
    /// All have ended with exit code 0: the files that they wrote are the result.
    Succeeded,
    /// All have ended, at least one with an error, which the aggregator reports if no result arrives.
    Failed,
    /// All have ended, at least one with an error, and none will be restarted: no further result can appear.
    PermanentlyFailed,
}

/// Exit codes of one container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContainerExits {
    /// Exit code of the current instance, if it has ended.
    pub current: Option<i64>,
    /// Exit code of the previous instance, if the container was restarted.
    pub previous: Option<i64>,
}

impl ContainersState {
    const ALL: [Self; 5] = [
        Self::Unknown,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::PermanentlyFailed,
    ];

    /// Combines the states of all containers except the worker's.
    ///
    /// A restarted container counts by its previous exit code, because a DaemonSet restarts a plugin that exits 0 again and
    /// again. A container that the kubelet has not reported yet counts as running. A pod without any other container is never
    /// done (weakness W-50).
    pub fn of(others: &[ContainerExits]) -> Self {
        let succeeded = |exits: &ContainerExits| exits.current.or(exits.previous) == Some(0);
        if others.is_empty() {
            Self::Unknown
        } else if others.iter().all(succeeded) {
            Self::Succeeded
        } else if others.iter().all(|exits| exits.current.is_some()) {
            Self::Failed
        } else {
            Self::Running
        }
    }

    /// The state of a pod that may be final (`is_final`): it restarts no container, and no sidecar can still write a result.
    #[must_use]
    pub fn where_final(self, is_final: bool) -> Self {
        match self {
            Self::Failed if is_final => Self::PermanentlyFailed,
            state => state,
        }
    }

    /// The value sent by the aggregator ([`crate::routes::CONTAINERS_HEADER`]).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::PermanentlyFailed => "permanently-failed",
        }
    }

    /// The state with this name. Names from later versions are [`ContainersState::Unknown`].
    pub fn from_name(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == name);
        found.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_are_written() {
        for state in ContainersState::ALL {
            assert_eq!(ContainersState::from_name(state.as_str()), state);
        }
        assert_eq!(ContainersState::from_name("later"), ContainersState::Unknown);
    }

    #[test]
    fn all_containers_count() {
        let exits = |current, previous| ContainerExits { current, previous };
        let (succeeded, failed, running) = (exits(Some(0), None), exits(Some(3), None), exits(None, None));
        for (others, expected) in [
            (vec![], ContainersState::Unknown),
            (vec![succeeded, succeeded], ContainersState::Succeeded),
            (vec![succeeded, running], ContainersState::Running),
            (vec![succeeded, failed], ContainersState::Failed),
            (vec![failed, running], ContainersState::Running),
            (vec![succeeded, exits(None, Some(0))], ContainersState::Succeeded),
            (vec![succeeded, exits(None, Some(1))], ContainersState::Running),
            (vec![succeeded, exits(Some(1), Some(0))], ContainersState::Failed),
        ] {
            assert_eq!(ContainersState::of(&others), expected, "{others:?}");
        }
    }
}
