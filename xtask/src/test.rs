//! `cargo xtask test`: runs all tests that need no cluster.

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

use clap::Args;
use sono_testbed::{command, debian, repository, say, step::long_step};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Further arguments for `cargo test`: `-p sono-worker`, `-- name`, …
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let test = |more: &[OsString]| {
        let mut test = command::new(command::cargo(), ["test", "--workspace", "--locked"]);
        test.current_dir(repository::root())
            .args(&arguments.arguments)
            .args(more);
        command::run_visibly(&mut test)
    };
    long_step("running the tests without a cluster", "the tests passed", || test(&[]))?;
    // The arguments after `--` select tests, including ignored ones.
    if arguments.arguments.iter().any(|argument| argument == "--") {
        return Ok(ExitCode::SUCCESS);
    }
    let mut filters = vec![OsString::from("--"), "--ignored".into()];
    for (filter, requirement, is_met) in requirements() {
        if is_met {
            filters.push(filter.into());
        } else {
            say::progress(format_args!(
                "IGNORED: the tests `{filter}`, which require {requirement}"
            ));
        }
    }
    if filters.len() > 2 {
        long_step(
            "running tests with requirements",
            "the tests with requirements passed",
            || test(&filters),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Modules of ignored tests, with their requirement, and whether this machine meets it.
fn requirements() -> [(&'static str, String, bool); 4] {
    let vectors = vectors();
    let succeeds = |program, arguments: &[&str]| command::succeeds(&mut command::new(program, arguments));
    let can_mount = succeeds("unshare", &["--mount", "true"]);
    let can_unshare = can_mount || succeeds("unshare", &["--mount", "--map-root-user", "true"]);
    [
        (
            "vectors::",
            format!("the test vectors in {}", vectors.display()),
            vectors.is_dir(),
        ),
        ("mount_namespaces::", "mount namespaces".to_owned(), can_unshare),
        (
            "loop_devices::",
            "root and loop devices".to_owned(),
            can_mount && succeeds("losetup", &["--find"]),
        ),
        (
            "faketime::",
            "mount namespaces and Debian's package faketime".to_owned(),
            can_unshare && debian::FAKETIME.is_installed(),
        ),
    ]
}

/// Directory of the test vectors, outside of the repository.
pub(crate) fn vectors() -> PathBuf {
    env::var_os("SONO_VECTORS").map_or_else(|| repository::root().join("../shared/vectors"), PathBuf::from)
}
