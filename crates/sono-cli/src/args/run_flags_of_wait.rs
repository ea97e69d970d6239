//! Flags of `run` that `wait` accepts and ignores, as in Sonobuoy: scripts pass the same flags to both.

use clap::{Arg, Command};

use super::GivenFlags;

/// Adds the flags of `run` to `wait`, hidden.
pub(crate) fn accept_run_flags(program: Command) -> Command {
    let Some(run) = program.find_subcommand("run") else {
        return program;
    };
    let known: Vec<Arg> = run.get_arguments().cloned().collect();
    program.mut_subcommand("wait", |wait| {
        let own: Vec<String> = wait.get_arguments().map(|own| own.get_id().to_string()).collect();
        let further = known
            .into_iter()
            .filter(|arg| !arg.is_positional())
            .filter(|arg| !own.iter().any(|own| arg.get_id() == own.as_str()));
        wait.args(further.map(|arg| arg.hide(true).help(NO_EFFECT)))
    })
}

const NO_EFFECT: &str = "Has no effect here: it configures the start of a run";

/// Ignored flags that were given to `wait`.
pub(crate) fn ignored(given: &GivenFlags) -> impl Iterator<Item = &str> {
    given.hidden(NO_EFFECT)
}
