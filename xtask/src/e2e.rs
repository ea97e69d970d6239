//! `cargo xtask e2e`: the tests that need a real cluster, on one that it starts or on the one `KUBECONFIG` names.

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::Context;
use clap::Args;

use crate::{cluster, command, images, repository, say, step::long_step};

/// The module of the tests that no other may run beside.
const ALONE: &str = "::alone::";

/// The controllers' own client limits.
const USUAL_LIMITS: [&str; 4] = ["--kube-api-qps", "20", "--kube-api-burst", "30"];
/// Nodes of the cluster of `--scale`, one of them with a machine.
const SCALE: u16 = 1001;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Nodes of the cluster, where this starts it; 2, with --scale 1001, of which one has a machine
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    nodes: Option<u16>,
    /// Version of Kubernetes of the cluster, where this starts it; a cluster of another one is thrown away
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<String>,
    /// Also what takes long
    #[arg(long)]
    long: bool,
    /// Instead: the test of a thousand nodes or as many as --nodes says, on a cluster of its own whose controllers have their usual client limits
    #[arg(long, conflicts_with = "long")]
    scale: bool,
    /// Instead: the tests that run the real Kubernetes suite, whose images are built first
    #[arg(long, conflicts_with_all = ["long", "scale"])]
    conformance: bool,
    /// Instead: twenty aggregators that are lost in the middle of a run, on three nodes
    #[arg(long, conflicts_with_all = ["long", "scale", "conformance", "registry"])]
    kills: bool,
    /// Instead: the tests of images with a real registry, which need no cluster; they are part of the others otherwise
    #[arg(long, conflicts_with_all = ["long", "scale", "conformance", "down"])]
    registry: bool,
    /// Stop the cluster afterwards
    #[arg(long)]
    down: bool,
    /// Cargo profile of the images' binaries
    #[arg(long, default_value = "image-dev")]
    profile: String,
    /// Passed on to the test program: names of tests, `--test-threads`, …
    #[arg(last = true)]
    tests: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.registry {
        registry_tests(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    let instead = arguments.scale || arguments.conformance || arguments.kills;
    if !instead && arguments.tests.is_empty() {
        registry_tests(arguments)?;
    }
    let nodes = arguments.nodes.unwrap_or(2).to_string();
    let fake = arguments.nodes.unwrap_or(SCALE).saturating_sub(1).to_string();
    long_step("starting a cluster", "the cluster is there", || {
        let mut up = vec!["cluster", "up", "--nodes", &nodes];
        if arguments.scale {
            up = vec!["cluster", "up", "--recreate", "--fake-nodes", &fake];
            up.extend(USUAL_LIMITS);
        }
        if arguments.kills {
            up = vec!["cluster", "up", "--recreate", "--nodes", "3"];
        }
        if let Some(version) = &arguments.kubernetes {
            up.extend(["--recreate", "--kubernetes", version]);
        }
        own(&up)
    })?;
    long_step("building and loading images", "the images are loaded", || {
        own(&["images", "--load", "--profile", &arguments.profile])?;
        if arguments.conformance {
            own(&["images", "--load", "--conformance"])?;
        }
        Ok(())
    })?;
    let kubeconfig = cluster::kubeconfig_path();
    let kubectl = cluster::kubectl()?;
    let registry = if instead { None } else { Some(Registry::built()?) };
    let test = |more: &[&str]| {
        let mut test = command::new(
            command::cargo(),
            ["test", "--locked", "--package", "sono-cli", "--test", "e2e", "--"],
        );
        test.current_dir(repository::root())
            .env("KUBECONFIG", &kubeconfig)
            .env("SONO_KUBECTL", &kubectl)
            .envs(registry.iter().flat_map(Registry::variables))
            .args(more)
            .args(&arguments.tests);
        if arguments.long {
            test.arg("--include-ignored");
        }
        command::run_visibly(&mut test)
    };
    if !instead && arguments.tests.is_empty() {
        long_step(
            "comparing kubeconfigs with kubectl",
            "sono connects as kubectl does",
            || {
                let arguments = [
                    "test",
                    "--locked",
                    "--package",
                    "sono-kube",
                    "--test",
                    "it",
                    "--",
                    "--ignored",
                    "kubeconfigs::",
                ];
                let mut test = command::new(command::cargo(), arguments);
                command::run_visibly(test.current_dir(repository::root()).env("SONO_KUBECTL", &kubectl))
            },
        )?;
    }
    let tested = long_step("testing", "the tests ran", || {
        if arguments.scale {
            return test(&["--include-ignored", "scale::"]);
        }
        if arguments.conformance {
            return test(&["--include-ignored", "--test-threads=1", "suite::"]);
        }
        if arguments.kills {
            return test(&["--include-ignored", "--nocapture", "kills::"]);
        }
        if !arguments.tests.is_empty() {
            return test(&["--test-threads=1"]);
        }
        // Some change what all others use.
        test(&[
            "--skip", ALONE, "--skip", "scale::", "--skip", "suite::", "--skip", "kills::",
        ])?;
        test(&["--test-threads=1", ALONE])
    });
    if arguments.down {
        long_step("stopping the cluster", "the cluster is gone", || {
            own(&["cluster", "down"])
        })?;
    } else {
        say::progress("the cluster stays up; `cargo xtask cluster down` stops it");
    }
    tested?;
    Ok(ExitCode::SUCCESS)
}

/// What tests of images are given: the registry's program, this one, and where it puts archives.
struct Registry {
    program: PathBuf,
    xtask: PathBuf,
}

impl Registry {
    fn built() -> anyhow::Result<Self> {
        Ok(Self {
            program: cluster::registry()?,
            xtask: env::current_exe().context("find this program")?,
        })
    }

    fn variables(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("SONO_TEST_REGISTRY", self.program.clone()),
            ("SONO_TEST_XTASK", self.xtask.clone()),
            ("SONO_TEST_IMAGES", images::default_directory()),
        ]
    }
}

/// They need the images of a release, and no cluster.
fn registry_tests(arguments: &Arguments) -> anyhow::Result<()> {
    let registry = Registry::built()?;
    long_step("building a release's images", "the images are built", || {
        own(&[
            &["images", "--profile", &arguments.profile][..],
            &images::RELEASE_IMAGE_ARGUMENTS,
        ]
        .concat())
    })?;
    long_step("testing with a registry", "the tests with a registry ran", || {
        let mut test = command::new(
            command::cargo(),
            ["test", "--locked", "--package", "sono-cli", "--test", "registry", "--"],
        );
        test.current_dir(repository::root())
            .envs(registry.variables())
            .args(&arguments.tests);
        command::run_visibly(&mut test)
    })
}

/// One of our own tasks, as a person would start it.
fn own(arguments: &[&str]) -> anyhow::Result<()> {
    let program = env::current_exe().context("find this program")?;
    command::run_visibly(Command::new(program).args(arguments))
}
