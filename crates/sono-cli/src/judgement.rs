//! What results mean for the exit code, when `--exit-code` asks for it.

use sono_types::{OverallStatus, RunStatus, exit, item::status};

/// The code for results with these statuses, as plugins have them after the roll-up.
pub(crate) fn of_results<'status>(statuses: impl IntoIterator<Item = &'status str>) -> u8 {
    let mut code = None;
    for status in statuses {
        let one = of_result(status);
        // The codes grow from bad to unsure.
        code = match code {
            None | Some(exit::SUCCESS) => Some(one),
            Some(before) if one == exit::SUCCESS => Some(before),
            Some(before) => Some(before.min(one)),
        };
    }
    code.unwrap_or(exit::RESULTS_UNKNOWN)
}

/// The same in a word.
pub(crate) fn word_for_results<'status>(statuses: impl IntoIterator<Item = &'status str>) -> &'static str {
    match of_results(statuses) {
        exit::SUCCESS => status::PASSED,
        exit::RESULTS_FAILED => status::FAILED,
        _ => status::UNKNOWN,
    }
}

/// Older archives have counts in place of a status: `failed: 1, passed: 2`.
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

/// The code for a run as its status shows it.
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
    fn a_run_that_goes_on_is_not_complete() {
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
