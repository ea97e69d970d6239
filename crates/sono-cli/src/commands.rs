//! Commands.

mod archive_input;
mod attach;
mod canaries;
mod cards;
mod completion;
mod conformance;
mod create;
mod delete;
mod diff;
mod document;
mod e2e;
mod failures;
mod r#gen;
mod get;
mod history;
mod host_check;
mod images;
mod list;
mod local;
mod logs;
mod modes;
mod obstacles;
mod plugin;
mod preflight;
mod query;
mod recording;
mod redact;
mod report;
mod report_file;
mod results;
mod retrieve;
mod rules;
mod run;
mod status;
mod step_summary;
mod version;
mod wait;
mod waivers;
mod why;

use std::process::ExitCode;

use sono_local::RunLog;

use crate::{
    args::{Command, GivenFlags},
    error::CliError,
    output::Printer,
};

/// Runs a command and returns its exit code.
pub(crate) fn run_command(
    command: Command,
    given: &GivenFlags,
    level: &str,
    log: RunLog,
    printer: &Printer,
) -> Result<ExitCode, CliError> {
    let code = match command {
        Command::HostCheck(arguments) => return Ok(host_check::host_check(arguments)),
        Command::Gen(arguments) => in_runtime(r#gen::generate(*arguments, given, level, printer)),
        Command::Results(arguments) => results::results(&arguments, printer),
        Command::Why(arguments) => why::why(&arguments, printer),
        Command::Report(arguments) => report::report(&arguments, printer),
        Command::Diff(arguments) => diff::diff(&arguments, printer),
        Command::History(arguments) => history::history(&arguments, printer),
        Command::Waivers(arguments) => waivers::waivers(&arguments, printer),
        Command::Rules(arguments) => rules::rules(&arguments, printer),
        Command::Run(arguments) => in_runtime(run::run(*arguments, given, level, log, printer)),
        Command::Status(arguments) => in_runtime(status::status(arguments, given, printer)),
        Command::List(arguments) => in_runtime(list::list(arguments, printer)),
        Command::Wait(arguments) => in_runtime(wait::wait(arguments, given, printer)),
        Command::Logs(arguments) => in_runtime(logs::logs(arguments, given, printer)),
        Command::Retrieve(arguments) => in_runtime(retrieve::retrieve(arguments, printer)),
        Command::Delete(arguments) => in_runtime(delete::delete(arguments, printer)),
        Command::Query(arguments) => in_runtime(query::query(arguments, printer)),
        Command::Redact(arguments) => in_runtime(redact::redact(arguments, printer)),
        Command::Get(arguments) => in_runtime(get::get(arguments, printer)),
        Command::E2e(arguments) => e2e::e2e(arguments, printer),
        Command::Images(arguments) => in_runtime(images::images_command(*arguments, given, printer)),
        Command::Conformance(arguments) => conformance::conformance(arguments, printer),
        Command::Modes(arguments) => modes::modes(&arguments, printer),
        Command::Plugin(arguments) => in_runtime(plugin::plugin(arguments, given, printer)),
        Command::Completion(arguments) => completion::completion(&arguments, printer),
        Command::Document(arguments) => document::document(&arguments, printer),
        Command::Version(arguments) => version::version(&arguments, printer),
    }?;
    // A broken pipe is not an error: the reader has all it needs. The exit code still reports the run.
    Ok(ExitCode::from(code))
}

fn in_runtime<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::new("cannot start").caused_by(&error))?;
    let outcome = runtime.block_on(work);
    // Pending requests end with the process.
    runtime.shutdown_background();
    outcome
}
