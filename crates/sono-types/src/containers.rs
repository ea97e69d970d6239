//! What the containers of a plugin's pod are up to, as its worker needs to know it.

/// The containers of the pod other than the worker's, taken together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ContainersState {
    /// Nothing is known about them: a result is one only when the done file says so.
    #[default]
    Unknown,
    /// At least one may still write results.
    Running,
    /// All have ended with exit code 0: what they left behind is the result.
    Succeeded,
    /// All have ended, not all of them well. Without a result the aggregator reports that.
    Failed,
    /// The same, and none of them will be started again: what is not there now never will be.
    PermanentlyFailed,
}

/// Exit codes of one container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContainerEnds {
    /// Of the container, where it has ended.
    pub now: Option<i64>,
    /// Of the one before, where it was started again.
    pub before: Option<i64>,
}

impl ContainersState {
    const ALL: [Self; 5] = [
        Self::Unknown,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::PermanentlyFailed,
    ];

    /// Judges the containers other than the worker's. A container that was restarted counts by how it ended before: in a
    /// DaemonSet a plugin that exits 0 is started again and again. One that the kubelet has not reported yet is running,
    /// and a pod without any other container is never done (weakness W-50).
    pub fn of(others: &[ContainerEnds]) -> Self {
        let succeeded = |ends: &ContainerEnds| ends.now.or(ends.before) == Some(0);
        if others.is_empty() {
            Self::Unknown
        } else if others.iter().all(succeeded) {
            Self::Succeeded
        } else if others.iter().all(|ends| ends.now.is_some()) {
            Self::Failed
        } else {
            Self::Running
        }
    }

    /// The same in a pod that `is_final`: it starts no container again, and no side-car is left that could write a result.
    #[must_use]
    pub fn where_final(self, is_final: bool) -> Self {
        match self {
            Self::Failed if is_final => Self::PermanentlyFailed,
            state => state,
        }
    }

    /// As the aggregator sends it ([`crate::routes::CONTAINERS_HEADER`]).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::PermanentlyFailed => "permanently-failed",
        }
    }

    /// The state of that name. A name that a later program sends is [`ContainersState::Unknown`].
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
        let ends = |now, before| ContainerEnds { now, before };
        let (well, badly, runs) = (ends(Some(0), None), ends(Some(3), None), ends(None, None));
        for (others, expected) in [
            (vec![], ContainersState::Unknown),
            (vec![well, well], ContainersState::Succeeded),
            (vec![well, runs], ContainersState::Running),
            (vec![well, badly], ContainersState::Failed),
            (vec![badly, runs], ContainersState::Running),
            (vec![well, ends(None, Some(0))], ContainersState::Succeeded),
            (vec![well, ends(None, Some(1))], ContainersState::Running),
            (vec![well, ends(Some(1), Some(0))], ContainersState::Failed),
        ] {
            assert_eq!(ContainersState::of(&others), expected, "{others:?}");
        }
    }
}
