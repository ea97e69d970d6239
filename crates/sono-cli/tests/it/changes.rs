//! Flags that change plugins, tested with the output of `gen`.

use std::path::Path;

use serde_json::{Value, json};

use super::{Finished, failure, sono};

/// The documents of a manifest.
fn documents(manifest: &str) -> Vec<Value> {
    sono_types::yaml::all_documents(manifest).unwrap()
}

/// The definition of `plugin` that `gen` stores with these flags.
pub(crate) fn definition(flags: &[&str], plugin: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let version: &[&str] = if flags.contains(&"--kube-conformance-image") {
        &["gen"]
    } else {
        &["gen", "--kubernetes-version", "v1.37.2"]
    };
    let Finished { code, stdout, stderr } = sono(directory.path(), &[version, flags].concat());
    assert_eq!((code, stderr.as_str()), (0, ""));
    let documents = documents(&stdout);
    let plugins = documents
        .iter()
        .find(|document| document["metadata"]["name"] == "sonobuoy-plugins-cm");
    let stored = plugins.unwrap()["data"].as_object().unwrap().values();
    let mut definitions = stored.map(|text| sono_types::yaml::first_document::<Value>(text.as_str().unwrap()).unwrap());
    definitions
        .find(|definition| definition["sonobuoy-config"]["plugin-name"] == plugin)
        .unwrap()
}

pub(crate) fn variable(definition: &Value, name: &str) -> Option<String> {
    let list = definition["spec"]["env"].as_array()?;
    let variable = list.iter().find(|variable| variable["name"] == name)?;
    variable["value"].as_str().map(ToOwned::to_owned)
}

#[test]
fn the_mode_chooses_the_tests() {
    let e2e = definition(&["--mode", "Quick"], "e2e");
    let variables = ["E2E_FOCUS", "E2E_SKIP", "E2E_PARALLEL"].map(|name| variable(&e2e, name));
    assert_eq!(
        variables,
        [
            Some("Pods should be submitted and removed".to_owned()),
            None,
            Some("false".to_owned())
        ]
    );
    let e2e = definition(&["--mode=quick", "--e2e-focus=a|b", "--e2e-skip", "c"], "e2e");
    let variables = ["E2E_FOCUS", "E2E_SKIP"].map(|name| variable(&e2e, name));
    assert_eq!(variables, [Some("a|b".to_owned()), Some("c".to_owned())]);
}

/// BUG 59: a documented flag sets the number of parallel tests.
#[test]
fn number_of_parallel_tests_is_a_flag() {
    let parallel = |flags: &[&str]| variable(&definition(flags, "e2e"), "E2E_PARALLEL").unwrap();
    assert_eq!(parallel(&["--e2e-parallel", "4"]), "4");
    assert_eq!(
        parallel(&["--mode", "conformance-lite", "--e2e-parallel=false"]),
        "false"
    );
    let directory = tempfile::tempdir().unwrap();
    assert!(
        sono(directory.path(), &["run", "--help"])
            .stdout
            .contains("--e2e-parallel <VALUE>")
    );
}

#[test]
fn images_and_variables() {
    let flags = [
        "-p",
        "e2e",
        "--kube-conformance-image",
        "mine.example/conformance:1",
        "--plugin-env",
        "e2e.A=b=c",
        "--plugin-env",
        "e2e.E2E_USE_GO_RUNNER",
        "--plugin-env",
        "sonobuoy.LOUD=yes",
    ];
    let e2e = definition(&flags, "e2e");
    assert_eq!(e2e["spec"]["image"], "mine.example/conformance:1");
    assert_eq!(variable(&e2e, "A").as_deref(), Some("b=c"));
    assert_eq!(variable(&e2e, "E2E_USE_GO_RUNNER"), None);

    let directory = tempfile::tempdir().unwrap();
    let finished = sono(
        directory.path(),
        &[&["gen", "--kubernetes-version", "v1.37.2"], &flags[..]].concat(),
    );
    assert_eq!(
        finished.stderr,
        "warning: --kubernetes-version does not affect the image of e2e, because --kube-conformance-image sets it\n"
    );
    let aggregator = documents(&finished.stdout)
        .into_iter()
        .find(|document| document["kind"] == "Deployment")
        .unwrap();
    let variables = aggregator["spec"]["template"]["spec"]["containers"][0]["env"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(variables.last(), Some(&json!({"name": "LOUD", "value": "yes"})));
}

#[test]
fn flags_without_effect_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let finished = |flags: &[&str]| {
        sono(
            directory.path(),
            &[&["gen", "--kubernetes-version", "v1.37.2"], flags].concat(),
        )
    };
    assert_eq!(
        finished(&["--mode", "slow"]),
        failure(
            "error: unknown mode `slow`\n  hint:  expected one of certified-conformance, conformance-lite, \
             non-disruptive-conformance, quick; for details: sono modes\n"
        )
    );
    assert_eq!(
        finished(&["-p", "host-check", "--plugin-env", "other.A=b"]),
        failure(
            "error: a flag applies to a plugin that is not part of the run\n  cause: unknown plugin `other`; plugins of this run: host-check\n  hint:  add the plugin with -p other, or omit the flag\n"
        )
    );
    let expression = finished(&["--e2e-focus", "("]);
    assert!(
        expression
            .stderr
            .starts_with("error: --e2e-focus is not a valid regular expression\n"),
        "{}",
        expression.stderr
    );
}

/// BUG 37: a flag that names a built-in plugin that does not run is an error. Flags that only imply one are common in
/// scripts, so each of them is a warning. Variables apply to all commands and are ignored.
#[test]
fn flags_for_a_built_in_plugin_that_does_not_run_are_named() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("key"), "key").unwrap();
    let gen_with = |flags: &[&str]| sono(directory.path(), &[&["gen"], flags].concat());
    for flag in [["--plugin-env", "e2e.a=b"], ["--plugin-image", "e2e:x"]] {
        assert_eq!(
            gen_with(&[&["-p", "systemd-logs"], &flag[..]].concat()),
            failure(
                "error: a flag applies to a plugin that is not part of the run\n  cause: unknown plugin `e2e`; plugins of this run: systemd-logs\n  hint:  add the plugin with -p e2e, or omit the flag\n"
            )
        );
    }
    let (name, key) = ("systemd-logs", "key");
    for (plugin, flag, value, meant) in [
        (name, "--mode", "quick", "e2e"),
        (name, "--ssh-key", key, "e2e"),
        (name, "--ssh-user", "me", "e2e"),
        (name, "--e2e-repo", "r.io", "e2e"),
        (name, "--e2e-repo-config", key, "e2e"),
        (name, "--e2e-skip", "foo", "e2e"),
        (name, "--e2e-parallel", "2", "e2e"),
        (name, "--kube-conformance-image", "x", "e2e"),
        ("host-check", "--systemd-logs-image", "x:y", "systemd-logs"),
    ] {
        let finished = gen_with(&["-p", plugin, flag, value]);
        assert_eq!(
            (finished.code, finished.stderr),
            (
                0,
                format!("warning: {flag} has no effect: plugin {meant} is not part of this run\n")
            )
        );
    }
    let mut command = crate::command(directory.path());
    command
        .env("SONO_SSH_USER", "me")
        .env("SONO_SYSTEMD_LOGS_IMAGE", "x")
        .args(["gen", "-p", "host-check"]);
    let finished = crate::finished(&command.output().unwrap());
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
}

/// BUG 37: a flag for a variable that the run sets itself has no effect, and a warning says so.
#[test]
fn variables_that_a_run_sets_cannot_be_changed() {
    let directory = tempfile::tempdir().unwrap();
    for variable in [
        "SONOBUOY",
        "SONOBUOY_K8S_VERSION",
        "SONOBUOY_RESULTS_DIR",
        "RESULTS_DIR",
        "SONOBUOY_PROGRESS_PORT",
        "SONOBUOY_CONFIG_DIR",
    ] {
        let given = format!("host-check.{variable}=mine");
        let finished = sono(directory.path(), &["gen", "-p", "host-check", "--plugin-env", &given]);
        assert_eq!(
            (finished.code, finished.stderr),
            (
                0,
                format!(
                    "warning: --plugin-env host-check.{variable} has no effect: the run sets {variable} for every plugin\n"
                )
            )
        );
        assert!(!finished.stdout.contains("mine"));
    }
}

/// The tests read Go regular expressions, so syntax that only Go supports is valid.
#[test]
fn go_expressions_are_valid() {
    for expression in [r"\Q[sig-node]\E", "[[]sig-node[]]", "a{b", "{,3}"] {
        let e2e = definition(&["--e2e-focus", expression, "--e2e-skip", ""], "e2e");
        assert_eq!(variable(&e2e, "E2E_FOCUS").as_deref(), Some(expression));
    }
}

/// BUG 50: a note says that the mode still skips tests if only a focus is given.
#[test]
fn a_focus_alone_still_skips_tests_of_the_mode() {
    let directory = tempfile::tempdir().unwrap();
    let finished = |flags: &[&str]| {
        let flags = [&["gen", "--kubernetes-version", "v1.37.2", "--e2e-focus", "x"], flags].concat();
        sono(directory.path(), &flags).stderr
    };
    assert_eq!(
        finished(&[]),
        "note: tests that match \\[Disruptive\\]|NoExecuteTaintManager are skipped, as in mode non-disruptive-conformance; to skip none: --e2e-skip=\n"
    );
    assert_eq!(
        (finished(&["--e2e-skip="]), finished(&["--mode", "quick"])),
        (String::new(), String::new())
    );
}

#[test]
fn modes_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let Finished { code, stdout, stderr } = sono(directory.path(), &["modes"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.starts_with("Mode: certified-conformance\nDescription: "),
        "{stdout}"
    );
    assert!(
        stdout.contains("\nE2E_FOCUS: \\[Conformance\\]\nE2E_SKIP: \nE2E_PARALLEL: false\n\nMode: conformance-lite\n")
    );
    assert!(
        stdout.contains("EndpointSlice sho... (truncated) ...\nE2E_PARALLEL: true\n"),
        "{stdout}"
    );
    let whole = sono(directory.path(), &["modes", "--verbose"]).stdout;
    assert!(whole.len() > stdout.len() && !whole.contains("truncated"));
}

/// An archive in which the plugin e2e has one result: a suite of these failed tests.
fn archive_of_failures(directory: &Path, names: impl Iterator<Item = String>) {
    let leaf = |name: String| format!("  - {{name: '{name}', status: failed}}\n");
    let suite = "- name: Kubernetes e2e suite\n  status: failed\n  items:\n";
    let leaves: String = names.map(leaf).collect();
    let tree = format!("name: e2e\nstatus: failed\nmeta: {{type: summary}}\nitems:\n{suite}{leaves}");
    for (file, text) in [
        ("meta/info.json", r#"{"plugins":["e2e"]}"#),
        ("plugins/e2e/sonobuoy_results.yaml", &tree),
    ] {
        let path = directory.join(file);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
}

#[test]
fn rerun_of_failures_selects_their_whole_names() {
    let directory = tempfile::tempdir().unwrap();
    let name = "[It] [sig-x] Pods should start";
    archive_of_failures(directory.path(), [name.to_owned()].into_iter());
    let e2e = definition(&["--rerun-failed", directory.path().to_str().unwrap()], "e2e");
    assert_eq!(
        variable(&e2e, "E2E_FOCUS").as_deref(),
        Some(r"^(?:Kubernetes e2e suite )?(?:\[Top Level\] )?(?:\[sig-x\] Pods should start)$")
    );
}

#[test]
fn rerun_of_too_many_failures_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let name = |at| format!("[It] [sig-x] {at:04} {}", "x".repeat(130));
    archive_of_failures(directory.path(), (0..1000).map(name));
    let path = directory.path().to_str().unwrap();
    let finished = sono(
        directory.path(),
        &["gen", "--kubernetes-version", "v1.37.2", "--rerun-failed", path],
    );
    assert_eq!(
        finished,
        failure(&format!(
            "error: cannot rerun the failed tests of `{path}`\n  \
             the names of 1000 failed tests are 146050 bytes long, and Linux passes at most 131072 in one variable\n  \
             hint:  fix their common cause first, or run only some of the tests: --e2e-focus '\\[sig-network\\]'\n"
        ))
    );
    let long = "x".repeat(131_070);
    let finished = sono(
        directory.path(),
        &[
            "gen",
            "-p",
            "host-check",
            "--plugin-env",
            &format!("host-check.AB={}", &long[..131_000]),
        ],
    );
    assert_eq!(finished.code, 0, "{}", finished.stderr);
}

/// The test image supports only `true`; a number is passed to Ginkgo together with the user's arguments.
#[test]
fn number_of_parallel_tests_is_passed_to_ginkgo() {
    let arguments = |flags: &[&str]| variable(&definition(flags, "e2e"), "E2E_EXTRA_GINKGO_ARGS");
    for (flags, expected) in [
        (&["--e2e-parallel", "4"][..], Some("--procs=4")),
        (&["--e2e-parallel=auto"], Some("--p")),
        (&["--e2e-parallel=false"], None),
        (&["--plugin-env", "e2e.E2E_PARALLEL=3"], Some("--procs=3")),
        (
            &[
                "--e2e-parallel=4",
                "--plugin-env",
                "e2e.E2E_EXTRA_GINKGO_ARGS=--flake-attempts=2",
            ],
            Some("--flake-attempts=2 --procs=4"),
        ),
        (&["--mode", "certified-conformance"], Some("-v")),
        (&["--mode", "certified-conformance", "--e2e-focus", "x"], Some("-v")),
        (&["--mode", "quick"], None),
        (
            &[
                "--mode=certified-conformance",
                "--e2e-parallel=4",
                "--plugin-env",
                "e2e.E2E_EXTRA_GINKGO_ARGS=--a=1",
            ],
            Some("--a=1 -v --procs=4"),
        ),
    ] {
        assert_eq!(arguments(flags).as_deref(), expected, "{flags:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let finished = |version: &str, flags: &[&str]| {
        let Finished { code, stderr, .. } = sono(
            directory.path(),
            &[&["gen", "--kubernetes-version", version], flags].concat(),
        );
        (code, stderr)
    };
    assert_eq!(
        finished(
            "v1.37.2",
            &["--mode", "certified-conformance", "--e2e-parallel", "true"]
        ),
        (
            0,
            "note: E2E_PARALLEL=true with an empty E2E_SKIP skips tests that match \\[Serial\\]; \
             --e2e-parallel auto also runs them, one at a time at the end\n"
                .to_owned()
        )
    );
    assert_eq!(finished("v1.37.2", &["--mode", "conformance-lite"]), (0, String::new()));
    assert_eq!(
        finished(
            "v1.37.2",
            &[
                "--e2e-parallel",
                "4",
                "--plugin-env",
                "e2e.E2E_EXTRA_GINKGO_ARGS=--procs=8"
            ]
        ),
        (
            0,
            "note: `--procs=8` in E2E_EXTRA_GINKGO_ARGS takes precedence over E2E_PARALLEL=4\n".to_owned()
        )
    );
    assert_eq!(
        finished("v1.28.3", &["--e2e-parallel", "4"]),
        (
            1,
            "error: cannot run the tests of plugin e2e in parallel\n  cause: the selection may contain serial tests, which \
             Kubernetes v1.28.3 runs in parallel with others; 1.29 and later run them one at a time\n  hint:  skip serial tests \
             with --e2e-skip '\\[Serial\\]', or use --e2e-parallel false\n"
                .to_owned()
        )
    );
    assert_eq!(
        finished("v1.28.3", &["--e2e-parallel", "4", "--e2e-skip", "Serial"]).0,
        0
    );
    let wrong = finished("v1.37.2", &["--e2e-parallel", "four"]);
    assert!(
        wrong
            .1
            .contains("expected true, false, auto or a number from 1 to 65535"),
        "{}",
        wrong.1
    );
}

/// A run that survives its pod requires an identity in its manifest, because the aggregator cannot generate one.
#[test]
fn gen_sets_the_run_id_if_the_aggregator_is_a_deployment() {
    let directory = tempfile::tempdir().unwrap();
    let uuid = |flags: &[&str]| {
        let finished = sono(directory.path(), &[&["gen", "-p", "host-check"], flags].concat());
        assert_eq!(finished.code, 0, "{}", finished.stderr);
        let documents = documents(&finished.stdout);
        let is_config = |document: &&Value| document["metadata"]["name"] == "sonobuoy-config-cm";
        let text = documents.iter().find(is_config).unwrap()["data"]["config.json"].clone();
        let config: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        config["UUID"].as_str().unwrap().to_owned()
    };
    for flags in [
        &["--aggregator-workload", "deployment"][..],
        &["--results-volume", "1Gi"],
        &[],
    ] {
        let (one, other) = (uuid(flags), uuid(flags));
        assert_eq!((one.len(), other.len()), (36, 36), "{flags:?}");
        assert_ne!(one, other, "{flags:?}");
    }
    assert_eq!(uuid(&["--aggregator-workload", "pod"]), "");
    fs_err::write(directory.path().join("c.json"), r#"{"UUID": "mine"}"#).unwrap();
    assert_eq!(uuid(&["--config", "c.json"]), "mine");
}
