//! The sequences of commands, and their expected verdicts.

use std::fmt::Write as _;

use sono_types::TarInfo;

use super::{COMMANDS, Command, End, Model, Time, World};
use crate::identity;

/// Runs the commands. Each verdict must be that of the command's own run.
fn check(world: World, commands: &[Command]) {
    let mut model = Model::new(world);
    let mut log = String::new();
    for command in commands {
        let Some((run, end)) = model.command(*command) else {
            writeln!(log, "{command:?}: nothing").unwrap();
            continue;
        };
        writeln!(log, "{command:?}: run {run} {end:?}").unwrap();
        let context = || format!("{world:?} {commands:?}\n{log}");
        match end {
            End::Complete(status) => {
                let verdict = if model.runs[run] { "failed" } else { "passed" };
                assert_eq!(status.rows()[0].result_status, verdict, "{}", context());
                let archive: &TarInfo = status.archive().unwrap();
                assert_eq!(
                    identity::run_of(&archive.name),
                    Some(model.id(run).as_str()),
                    "{}",
                    context()
                );
            }
            // The single pod was killed.
            End::Deleted => assert!(
                !world.deployment && matches!(command, Command::RunKilled { .. }),
                "{}",
                context()
            ),
            // Without permission for Deployments, the command may be too early.
            End::Absent => assert!(
                !world.watches_workload && matches!(command, Command::Apply { .. }),
                "{}",
                context()
            ),
            other => panic!("{other:?}: {}", context()),
        }
    }
}

fn worlds() -> impl Iterator<Item = World> {
    (0..64).filter_map(|bits: u32| {
        let is = |bit: u32| bits & (1 << bit) != 0;
        let world = World {
            deployment: is(0),
            own_namespace: is(1),
            annotated: is(2),
            watches_workload: is(3),
            grace: if is(4) { 1_000 } else { 30_000 },
            one_id: is(5),
            by_label: false,
        };
        // Runs without an id differ only by their Deployment.
        (world.watches_workload || world.annotated).then_some(world)
    })
}

#[test]
fn three_commands_each_end_with_the_verdict_of_their_own_run() {
    for world in worlds() {
        // A passed run may be mistaken for the next one.
        let passed = COMMANDS.into_iter().filter(|command| {
            matches!(
                command,
                Command::Run { fails: false } | Command::RunRm { fails: false } | Command::Apply { fails: false }
            )
        });
        for first in passed {
            for second in COMMANDS {
                for third in COMMANDS {
                    check(world, &[first, second, third]);
                }
            }
        }
    }
}

/// With the old rule, the model finds that a failed run is reported as passed.
#[test]
#[should_panic(expected = "Run { fails: true }]")]
fn aggregator_found_only_by_label_may_belong_to_another_run() {
    let world = World {
        deployment: true,
        own_namespace: false,
        annotated: true,
        watches_workload: true,
        grace: 5_000,
        one_id: false,
        by_label: true,
    };
    let commands = [
        Command::Apply { fails: false },
        Command::Delete,
        Command::Run { fails: true },
    ];
    check(world, &commands);
}

#[test]
fn long_sequences_each_end_with_the_verdict_of_their_own_run() {
    let mut seed: u64 = 16;
    let mut next = |bound: usize| {
        // xorshift64
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % bound as u64).unwrap()
    };
    let worlds: Vec<World> = worlds().collect();
    for _ in 0..1_500 {
        let world = worlds[next(worlds.len())];
        // Grace periods of any duration.
        let world = World {
            grace: next(30_001) as Time,
            ..world
        };
        let commands: Vec<Command> = (0..10)
            .map(|_| match next(3) {
                0 => Command::Delete,
                _ => COMMANDS[next(COMMANDS.len())],
            })
            .collect();
        check(world, &commands);
    }
}
