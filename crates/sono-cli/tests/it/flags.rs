//! Syntax of flags, and errors of invalid ones.

use crate::{Finished, command, failure, sono};

fn here(arguments: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    let mut finished = sono(directory.path(), arguments);
    finished.stderr = finished.stderr.replace(directory.path().to_str().unwrap(), "HOME");
    finished
}

/// Scripts append their own flag to those of others; the last one takes effect.
#[test]
fn last_occurrence_of_a_flag_takes_effect() {
    let Finished { code, stdout, stderr } = here(&[
        "-n=first",
        "gen",
        "config",
        "--timeout",
        "1",
        "-n",
        "second",
        "--timeout=2",
        "--v",
        "3",
        "-v",
        "4",
        "--level=info",
        "--level=debug",
        "--existing-service-account",
        "--existing-service-account",
        "--mode=quick",
        "--mode",
        "conformance-lite",
    ]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let config: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (
            &config["Namespace"],
            &config["Server"]["timeoutseconds"],
            &config["ExistingServiceAccount"]
        ),
        (&"second".into(), &2.into(), &true.into())
    );
}

/// Suggestions name the most similar command or flag, but no hidden ones.
#[test]
fn wrong_usage_is_reported_like_other_errors() {
    for (arguments, expected) in [
        (
            &["statsu"][..],
            "error: unrecognized subcommand 'statsu'\n  usage: sono [OPTIONS] <COMMAND>\n  hint:  did you mean status? for a list of commands: sono --help\n",
        ),
        (
            &["bogus"],
            "error: unrecognized subcommand 'bogus'\n  usage: sono [OPTIONS] <COMMAND>\n  hint:  for a list of commands: sono --help\n",
        ),
        (
            &["gen", "config", "--namspace", "x"],
            "error: unexpected argument '--namspace' found\n  usage: sono gen config [OPTIONS]\n  hint:  did you mean --namespace? for a list of flags: sono gen config --help\n",
        ),
        (
            &["gen", "--existing-service-account=maybe"],
            "error: invalid value 'maybe' for '--existing-service-account': expected true, false or no value\n  usage: sono gen [OPTIONS] [COMMAND]\n  hint:  for details: sono gen --help\n",
        ),
        (
            &["status", "more"],
            "error: unexpected argument 'more' found\n  usage: sono status [OPTIONS]\n  hint:  for a list of arguments: sono status --help\n",
        ),
        (
            &["status", "-o", "jsno"],
            "error: invalid value 'jsno' for '--output <OUTPUT>'\n  [possible values: table, json, yaml, markdown]\n  hint:  did you mean json? for details: sono status --help\n",
        ),
        (
            &["gen", "--timeout", "-5"],
            "error: invalid value '-5' for '--timeout <TIME>': expected a duration, such as 90s, 5m or 1h30m, or a number of seconds\n  hint:  for details: sono gen --help\n",
        ),
        (
            &["plugin", "show"],
            "error: the following required arguments were not provided:\n  <PLUGIN>\n  usage: sono plugin show [OPTIONS] <PLUGIN>\n  hint:  for details: sono plugin show --help\n",
        ),
        (
            &["gen", "-n", "Mine"],
            "error: invalid value 'Mine' for '--namespace <NAMESPACE>': expected at most 63 lower-case letters, digits and dashes, with a letter or digit at both ends\n  hint:  for details: sono gen --help\n",
        ),
        (
            &["gen", "--service-account-name=a_b"],
            "error: invalid value 'a_b' for '--service-account-name <NAME>': expected at most 253 lower-case letters, digits, dashes and dots, with a letter or digit at both ends\n  hint:  for details: sono gen --help\n",
        ),
    ] {
        assert_eq!(here(arguments), failure(expected), "{arguments:?}");
    }
}

/// The manifest without ids, which are different in each one.
fn without_ids(manifest: &str) -> String {
    let id = regex::Regex::new("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap();
    id.replace_all(manifest, "ID").into_owned()
}

/// A script's variable may be empty.
#[test]
fn an_empty_image_counts_as_unset() {
    let with = here(&["gen", "-p", "host-check", "--sonobuoy-image", "", "--worker-image="]);
    assert_eq!((with.code, with.stderr.as_str()), (0, ""));
    let without = here(&["gen", "-p", "host-check"]);
    assert_eq!(without_ids(&with.stdout), without_ids(&without.stdout));
}

/// Each error has a hint.
#[test]
fn connection_errors_have_hints() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = directory.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    };
    file("text", b"no archive");
    file("latin.yaml", b"name: \xe9");
    file(
        "ok.yaml",
        b"sonobuoy-config: {driver: Job, plugin-name: mine}\nspec: {image: i, name: c}\n",
    );
    file("run/plugins/a/sonobuoy_results.yaml", b"name: a\nstatus: passed\n");
    file("run/plugins/e2e/sonobuoy_results.yaml", b"name: e2e\nstatus: passed\n");
    file("run/meta/info.json", br#"{"plugins":["a","e2e"]}"#);
    let archive = fs_err::File::create(directory.path().join("run.tar.gz")).unwrap();
    sono_bundle::pack_directory(&directory.path().join("run"), archive, &[], 6).unwrap();
    let whole = fs_err::read(directory.path().join("run.tar.gz")).unwrap();
    file("short.tar.gz", &whole[..whole.len() / 2]);
    let finished = |arguments: &[&str]| sono(directory.path(), arguments);
    assert_eq!(
        finished(&["results", "short.tar.gz"]),
        failure(
            "error: cannot read short.tar.gz\n  cause: truncated archive\n  hint:  the archive is damaged; retrieve it again: sono retrieve\n"
        )
    );
    let mut piped = command(directory.path());
    piped.args(["results", "-"]).stdin(
        fs_err::File::open(directory.path().join("short.tar.gz"))
            .unwrap()
            .into_parts()
            .0,
    );
    assert_eq!(
        crate::finished(&piped.output().unwrap()),
        failure(
            "error: cannot read standard input\n  cause: truncated archive\n  hint:  the archive is damaged; retrieve it again: sono retrieve\n"
        )
    );
    let rerun =
        "--rerun-failed requires the archive of a run with failed tests of e2e; to list them: sono results ARCHIVE";
    let takes = "expected an archive from sono retrieve, or a directory with an extracted archive";
    for (arguments, hint) in [
        (
            &["results", "nofile"][..],
            "to retrieve the archive of a run: sono retrieve",
        ),
        (&["results", "text"], takes),
        (
            &["results", "short.tar.gz"],
            "the archive is damaged; retrieve it again: sono retrieve",
        ),
        (
            &["results", "run.tar.gz", "-p", "nope"],
            "plugins in the archive: a, e2e",
        ),
        (&["gen", "--rerun-failed", "text"], rerun),
        (&["gen", "--rerun-failed", "run"], rerun),
        (&["gen", "--ssh-key", "nofile"], "the flag requires the name of a file"),
        (&["gen", "--config", "nofile"], "for a template: sono gen config"),
        (&["gen", "-p", "ftp://h/p.yaml"], "download the file and pass its path"),
        (
            &["gen", "-p", "latin.yaml"],
            "a definition is YAML; for a template: sono gen plugin",
        ),
        (
            &[
                "gen",
                "--e2e-docker-config-file",
                "text",
                "--kubernetes-version",
                "v1.26.0",
            ],
            "omit the flag: older versions use only the credentials of the nodes",
        ),
        (&["gen", "--e2e-focus", "("], "put literal text between \\Q and \\E"),
        (
            &["gen", "-p", "host-check", "--plugin-env", "e2e.A=b"],
            "add the plugin with -p e2e, or omit the flag",
        ),
        (
            &["gen", "-p", "ok.yaml@Bad Name"],
            "expected a name such as my-plugin after @",
        ),
    ] {
        let finished = sono(directory.path(), arguments);
        assert_eq!((finished.code, finished.stdout.as_str()), (1, ""), "{arguments:?}");
        let last = finished.stderr.lines().last();
        assert_eq!(last, Some(format!("  hint:  {hint}").as_str()), "{arguments:?}");
    }
    let renamed = sono(directory.path(), &["gen", "-p", "ok.yaml@Bad Name"]);
    assert!(
        renamed
            .stderr
            .starts_with("error: `ok.yaml` cannot be renamed `Bad Name`\n"),
        "{}",
        renamed.stderr
    );
}

/// The suite tests a cluster, and flags for a cluster have no effect without it.
#[test]
fn a_local_run_rejects_plugins_and_flags_for_clusters() {
    assert_eq!(
        here(&["run", "--local", "-p", "e2e"]),
        failure(
            "error: plugins of this run require a cluster\n  plugin e2e requires a cluster\n  hint:  omit --local to run them in a cluster\n"
        )
    );
    for flag in [
        "--results-volume=1Gi",
        "--registry=r",
        "--namespace=x",
        "--mode=quick",
        "--e2e-focus=x",
        "--e2e-repo=x",
    ] {
        let finished = here(&["run", "--local", flag]);
        let name = flag.split('=').next().unwrap();
        assert_eq!(
            finished,
            failure(&format!(
                "error: {name} requires a cluster and conflicts with --local\n  hint:  omit the flag, or omit --local to use a cluster\n"
            ))
        );
    }
}

/// cli §15.1: scripts pass this flag to `images`, where it would change the tests' list of images.
#[test]
fn images_accepts_variables_and_warns_that_they_have_no_effect() {
    let plain = here(&["images", "--kubernetes-version", "v1.37.2"]);
    let finished = here(&["images", "--kubernetes-version", "v1.37.2", "--plugin-env", "e2e.A=b"]);
    assert_eq!(
        finished,
        Finished {
            stderr: "warning: --plugin-env has no effect on images: listing them runs no plugin\n".to_owned(),
            ..plain
        }
    );
}

/// `gen plugin` prints the warnings of `plugin lint`.
#[test]
fn generated_definition_is_linted() {
    let finished = here(&["gen", "plugin", "-n", "p", "-i", "i", "-f", "jnuit"]);
    assert_eq!(finished.code, 0);
    assert!(
        finished.stderr.starts_with("warning: ") && finished.stderr.contains("jnuit"),
        "{}",
        finished.stderr
    );
}

/// `run --wait=0` does not wait, as in Sonobuoy; then results are neither retrieved nor deleted.
#[test]
fn wait_of_zero_does_not_wait() {
    let finished = here(&["run", "--rm", "--wait=0"]);
    assert_eq!(
        finished,
        failure("error: --rm conflicts with --wait=0\n  hint:  omit --wait, or set a time limit: --wait=60m\n")
    );
}
