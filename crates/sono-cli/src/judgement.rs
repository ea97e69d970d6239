//! Exit codes of `--exit-code`.

use sono_types::{OverallStatus, RunStatus, exit, item::status};

/// Exit code for the statuses of plugins after the roll-up.
pub(crate) fn of_results<'status>(statuses: impl IntoIterator<Item = &'status str>) -> u8 {
    let mut code = None;
    for status in statuses {
        let one = of_result(status);
        // A lower code is worse.
        code = match code {
            None | Some(exit::SUCCESS) => Some(one),
            Some(before) if one == exit::SUCCESS => Some(before),
            Some(before) => Some(before.min(one)),
        };
    }
    code.unwrap_or(exit::RESULTS_UNKNOWN)
}

/// Overall status for the statuses of plugins.
pub(crate) fn overall_status<'status>(statuses: impl IntoIterator<Item = &'status str>) -> &'static str {
    match of_results(statuses) {
        exit::SUCCESS => status::PASSED,
        exit::RESULTS_FAILED => status::FAILED,
        _ => status::UNKNOWN,
    }
}

/// Exit code for one status. Older archives have counts instead: `failed: 1, passed: 2`.
fn of_result(result: &str) -> u8 {
    if result.contains(": ") {
        let names = result.split(", ").filter_map(|part| Some(part.split_once(": ")?.0));
        return of_results(names);
    }
    match result {
        status::PASSED | status::SKIPPED => exit::SUCCESS,
        status::FAILED | status::TIMEOUT => exit::RESULTS_FAILED,
        _ => exit::RESULTS_UNKNOWN,
    }
}

/// Exit code for the status of a run.
pub(crate) fn of_run(run: &RunStatus) -> u8 {
    match run.status {
        OverallStatus::Complete => of_results(run.rows().iter().map(|row| row.result_status.as_str())),
        OverallStatus::Failed => exit::RUN_FAILED,
        _ => exit::NOT_COMPLETE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_result_decides() {
        let cases = [
            (vec!["passed", "skipped"], exit::SUCCESS),
            (vec!["passed", "failed", "unknown"], exit::RESULTS_FAILED),
            (vec!["unknown", "timeout"], exit::RESULTS_FAILED),
            (vec!["passed", "unknown"], exit::RESULTS_UNKNOWN),
            (vec!["unknown", "passed"], exit::RESULTS_UNKNOWN),
            (vec!["my-own"], exit::RESULTS_UNKNOWN),
            (vec![""], exit::RESULTS_UNKNOWN),
            (vec![], exit::RESULTS_UNKNOWN),
            (vec!["failed: 1, passed: 2"], exit::RESULTS_FAILED),
            (vec!["my-own: 1, passed: 2"], exit::RESULTS_UNKNOWN),
        ];
        for (statuses, code) in cases {
            assert_eq!(of_results(statuses.iter().copied()), code, "{statuses:?}");
        }
    }

    #[test]
    fn unfinished_run_is_not_complete() {
        let run = |status: OverallStatus| RunStatus {
            status,
            ..RunStatus::default()
        };
        let code = |status| of_run(&run(status));
        assert_eq!(code(OverallStatus::Running), exit::NOT_COMPLETE);
        assert_eq!(code(OverallStatus::PostProcessing), exit::NOT_COMPLETE);
        assert_eq!(code(OverallStatus::Failed), exit::RUN_FAILED);
        assert_eq!(code(OverallStatus::Complete), exit::RESULTS_UNKNOWN);
    }
}
