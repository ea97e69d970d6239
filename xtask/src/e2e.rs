//! `cargo xtask e2e`: runs the tests on a real cluster, on the test cluster or on the one in `KUBECONFIG`.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context;
use clap::Args;
use sono_testbed::{cluster, command, repository, say, step::long_step};

use crate::{images, test};

/// The module of the tests that must not run in parallel with others.
const ALONE: &str = "::alone::";

/// Kubernetes' default client limits of controllers.
const DEFAULT_LIMITS: [&str; 4] = ["--kube-api-qps", "20", "--kube-api-burst", "30"];
/// Number of nodes of the cluster of `--scale`; one of them has a machine.
const SCALE: u16 = 1001;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Number of nodes of the test cluster (default: 2; with --scale: 1001, one of them with a machine)
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    nodes: Option<u16>,
    /// Kubernetes version of the test cluster; deletes a cluster of another version
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<String>,
    /// Also run the tests that take long
    #[arg(long)]
    long: bool,
    /// Run only the test with 1001 or --nodes nodes, on a new cluster with Kubernetes' default client limits
    #[arg(long, conflicts_with = "long")]
    scale: bool,
    /// Run only the tests with the real Kubernetes suite; builds its images first
    #[arg(long, conflicts_with_all = ["long", "scale"])]
    conformance: bool,
    /// Run only the test that loses twenty aggregators during their runs, on three nodes
    #[arg(long, conflicts_with_all = ["long", "scale", "conformance", "registry"])]
    kills: bool,
    /// Run only the image tests with a real registry, which need no cluster and are also part of the default tests
    #[arg(long, conflicts_with_all = ["long", "scale", "conformance", "down"])]
    registry: bool,
    /// Stop the cluster after the tests
    #[arg(long)]
    down: bool,
    /// Cargo profile of the images' binaries
    #[arg(long, default_value = "image-dev")]
    profile: String,
    /// Further arguments for the test program: names of tests, `--test-threads`, …
    #[arg(last = true)]
    tests: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.registry {
        registry_tests(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    let is_special = arguments.scale || arguments.conformance || arguments.kills;
    if !is_special && arguments.tests.is_empty() {
        registry_tests(arguments)?;
    }
    let nodes = arguments.nodes.unwrap_or(2).to_string();
    let fake = arguments.nodes.unwrap_or(SCALE).saturating_sub(1).to_string();
    long_step("starting a cluster", "started the cluster", || {
        let mut up = vec!["cluster", "up", "--nodes", &nodes];
        if arguments.scale {
            up = vec!["cluster", "up", "--recreate", "--fake-nodes", &fake];
            up.extend(DEFAULT_LIMITS);
        }
        if arguments.kills {
            up = vec!["cluster", "up", "--recreate", "--nodes", "3"];
        }
        if let Some(version) = &arguments.kubernetes {
            up.extend(["--recreate", "--kubernetes", version]);
        }
        xtask(&up)
    })?;
    long_step("building and loading images", "loaded the images", || {
        xtask(&["images", "--load", "--profile", &arguments.profile])?;
        if arguments.conformance {
            xtask(&["images", "--load", "--conformance"])?;
        }
        Ok(())
    })?;
    let kubeconfig = cluster::kubeconfig_path();
    let kubectl = cluster::kubectl()?;
    let registry = if is_special { None } else { Some(Registry::built()?) };
    let run_tests = |more: &[&str]| {
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
    if !is_special && arguments.tests.is_empty() {
        compare_kubeconfigs(&kubectl)?;
    }
    let tested = long_step("testing", "ran the tests", || {
        if arguments.scale {
            return run_tests(&["--include-ignored", "scale::"]);
        }
        if arguments.conformance {
            return run_tests(&["--include-ignored", "--test-threads=1", "suite::"]);
        }
        if arguments.kills {
            return run_tests(&["--include-ignored", "--nocapture", "kills::"]);
        }
        if !arguments.tests.is_empty() {
            return run_tests(&["--test-threads=1"]);
        }
        // Some tests change shared state of the cluster.
        run_tests(&[
            "--skip", ALONE, "--skip", "scale::", "--skip", "suite::", "--skip", "kills::",
        ])?;
        run_tests(&["--test-threads=1", ALONE])?;
        if test::vectors().is_dir() {
            return run_tests(&["--include-ignored", "vectors::"]);
        }
        say::progress("IGNORED: the tests `vectors::`, which require the test vectors");
        Ok(())
    });
    if arguments.down {
        long_step("stopping the cluster", "stopped the cluster", || {
            xtask(&["cluster", "down"])
        })?;
    } else {
        say::progress("the cluster is still running; stop it with `cargo xtask cluster down`");
    }
    tested?;
    Ok(ExitCode::SUCCESS)
}

fn compare_kubeconfigs(kubectl: &Path) -> anyhow::Result<()> {
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
    long_step(
        "comparing kubeconfigs with kubectl",
        "sono connects as kubectl does",
        || {
            let mut test = command::new(command::cargo(), arguments);
            command::run_visibly(test.current_dir(repository::root()).env("SONO_KUBECTL", kubectl))
        },
    )
}

/// Environment of image tests: the registry program, this program, and the folder of archives.
struct Registry {
    program: PathBuf,
    xtask: PathBuf,
}

impl Registry {
    fn built() -> anyhow::Result<Self> {
        Ok(Self {
            program: cluster::registry()?,
            xtask: env::current_exe().context("cannot find the path of this program")?,
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

/// Runs the image tests, which need a release's images and no cluster.
fn registry_tests(arguments: &Arguments) -> anyhow::Result<()> {
    let registry = Registry::built()?;
    long_step("building a release's images", "built the images", || {
        xtask(
            &[
                &["images", "--profile", &arguments.profile][..],
                &images::RELEASE_IMAGE_ARGUMENTS,
            ]
            .concat(),
        )
    })?;
    long_step("testing with a registry", "ran the tests with a registry", || {
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

/// Runs another task in its own process.
fn xtask(arguments: &[&str]) -> anyhow::Result<()> {
    let program = env::current_exe().context("cannot find the path of this program")?;
    command::run_visibly(Command::new(program).args(arguments))
}
