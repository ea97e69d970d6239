//! Text of others in the output of every command, on a terminal and in a pipe.
//!
//! The commands are read from the command line's definition. The test `every_command_and_form_has_a_scenario` fails for a
//! command without a scenario and for an unused output format.

mod checks;
mod pty;
mod registry;
mod scenarios;
mod world;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use clap::{Arg, Command, CommandFactory as _};
use sono_cli::args::Arguments;

use self::{
    checks::check,
    scenarios::{Scenario, scenarios},
    world::World,
};

/// Number of scenarios that run concurrently.
const CONCURRENCY: usize = 6;

/// Paths and arguments of all commands, including hidden ones.
fn commands() -> Vec<(String, Vec<Arg>)> {
    fn walk(command: &Command, path: &str, found: &mut Vec<(String, Vec<Arg>)>) {
        let within: Vec<&Command> = command
            .get_subcommands()
            .filter(|below| below.get_name() != "help")
            .collect();
        if within.is_empty() || !command.is_subcommand_required_set() {
            found.push((path.to_owned(), command.get_arguments().cloned().collect()));
        }
        for below in within {
            walk(below, format!("{path} {}", below.get_name()).trim(), found);
        }
    }
    let mut found = Vec::new();
    walk(&Arguments::command(), "", &mut found);
    found.retain(|(path, _)| !path.is_empty());
    found
}

/// Flags and values that select an output format, each of which requires a scenario.
fn forms(path: &str, arguments: &[Arg]) -> Vec<(String, String, String)> {
    let choosing = arguments.iter().filter(|argument| {
        matches!(argument.get_long(), Some("output" | "wait-output" | "json"))
            || (path == "results" && argument.get_long() == Some("mode"))
    });
    let mut forms = Vec::new();
    for argument in choosing {
        let long = argument.get_long().unwrap_or_default();
        let values = argument.get_possible_values();
        for value in values
            .iter()
            .filter(|value| !["true", "false"].contains(&value.get_name()))
        {
            forms.push((path.to_owned(), format!("--{long}"), value.get_name().to_owned()));
        }
    }
    forms
}

#[test]
fn every_command_and_form_has_a_scenario() {
    let scenarios = scenarios();
    let covered: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.command).collect();
    let commands = commands();
    let without: Vec<&String> = commands
        .iter()
        .map(|(path, _)| path)
        .filter(|path| !covered.contains(path.as_str()))
        .collect();
    assert_eq!(
        without,
        Vec::<&String>::new(),
        "commands without a scenario in terminal/scenarios.rs"
    );
    let asks = |(path, flag, value): &(String, String, String)| {
        scenarios
            .iter()
            .filter(|scenario| scenario.command == path)
            .any(|scenario| {
                scenario
                    .arguments
                    .windows(2)
                    .any(|pair| pair[0] == *flag && pair[1] == *value)
            })
    };
    let forms: Vec<_> = commands
        .iter()
        .flat_map(|(path, arguments)| forms(path, arguments))
        .collect();
    assert!(forms.len() > 20, "{forms:?}");
    let without: Vec<_> = forms.iter().filter(|form| !asks(form)).collect();
    assert_eq!(
        without,
        Vec::<&(String, String, String)>::new(),
        "forms of output without a scenario"
    );
}

fn run_all(wanted: impl Fn(&Scenario) -> bool) {
    let scenarios: Vec<Scenario> = scenarios().into_iter().filter(wanted).collect();
    assert!(!scenarios.is_empty());
    all_right(&scenarios, |scenario| check(scenario, &World::for_scenario(scenario)));
}

/// Runs scenarios concurrently, because they mostly wait.
fn all_right(scenarios: &[Scenario], check: impl Fn(&Scenario) -> Vec<String> + Sync) {
    let next = AtomicUsize::new(0);
    let some = || {
        let scenarios = std::iter::from_fn(|| scenarios.get(next.fetch_add(1, Ordering::Relaxed)));
        scenarios.flat_map(&check).collect::<Vec<String>>()
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..CONCURRENCY).map(|_| scope.spawn(some)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn foreign_text_of_archives_is_escaped() {
    run_all(|scenario| scenario.command == "results");
}

#[test]
fn foreign_text_of_clusters_is_escaped() {
    let others = ["results", "images", "plugin", "gen"];
    run_all(|scenario| !scenario.uses_registry() && !others.iter().any(|other| scenario.command.starts_with(other)));
}

#[test]
fn foreign_text_of_definitions_is_escaped() {
    run_all(|scenario| {
        scenario.command != "results"
            && !scenario.uses_registry()
            && ["images", "plugin", "gen"]
                .iter()
                .any(|other| scenario.command.starts_with(other))
    });
}

#[test]
fn foreign_text_of_registries_is_escaped() {
    run_all(Scenario::uses_registry);
}

/// Text in arguments of a user or script.
#[test]
fn foreign_text_in_wrong_usage_is_escaped() {
    let flag: &'static str = String::leak(format!("--{}", world::TEXT));
    let scenarios: Vec<Scenario> = commands()
        .into_iter()
        // This command passes its arguments on.
        .filter(|(path, _)| path != "host-check")
        .map(|(path, _)| Scenario::new(String::leak(path), &[flag]))
        .collect();
    let world = World::new();
    all_right(&scenarios, |scenario| check(scenario, &world));
}
