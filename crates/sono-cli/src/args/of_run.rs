//! `wait` takes the flags of `run`, as Sonobuoy's does: scripts give both the same ones. Those that do not say which run
//! is meant have no effect there.

use clap::{Arg, Command};

use super::Given;

/// Lets `wait` take them, out of sight.
pub(crate) fn tolerated(program: Command) -> Command {
    let Some(run) = program.find_subcommand("run") else {
        return program;
    };
    let known: Vec<Arg> = run.get_arguments().cloned().collect();
    program.mut_subcommand("wait", |wait| {
        let own: Vec<String> = wait.get_arguments().map(|own| own.get_id().to_string()).collect();
        let further = known
            .into_iter()
            .filter(|arg| !own.iter().any(|own| arg.get_id() == own.as_str()));
        wait.args(further.map(|arg| arg.hide(true).help(NO_EFFECT)))
    })
}

const NO_EFFECT: &str = "Has no effect here: it says how a run is started";

/// Those that were given to `wait`.
pub(crate) fn without_effect(given: &Given) -> impl Iterator<Item = &str> {
    given.hidden(NO_EFFECT)
}
