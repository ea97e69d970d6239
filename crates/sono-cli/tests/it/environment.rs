//! Environment variables for flags, and commands of the images.

use serde_json::Value;

use crate::{Finished, command, finished, healthy, sono};

/// The configuration with these variables and flags.
fn config(variables: &[(&str, &str)], flags: &[&str]) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let text = r#"{"Namespace": "of-file", "ImagePullPolicy": "Never", "Server": {"timeoutseconds": 1}}"#;
    fs_err::write(directory.path().join("c.json"), text).unwrap();
    let mut command = command(directory.path());
    command
        .envs(variables.iter().copied())
        .args(["gen", "config"])
        .args(flags);
    let Finished { code, stdout, stderr } = finished(&command.output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""));
    serde_json::from_str(&stdout).unwrap()
}

#[test]
fn flags_override_variables_and_variables_override_the_file() {
    let variables = [
        ("SONO_CONFIG", "c.json"),
        ("SONO_NAMESPACE", "of-variable"),
        ("SONO_TIMEOUT", "2"),
        ("SONO_IMAGE_PULL_POLICY", ""),
        ("SONO_LEVEL", "debug"),
    ];
    let shown = |flags: &[&str]| {
        let config = config(&variables, flags);
        let text = |key: &str| config[key].as_str().unwrap().to_owned();
        (
            text("Namespace"),
            text("ImagePullPolicy"),
            config["Server"]["timeoutseconds"].as_u64().unwrap(),
        )
    };
    let of = |namespace: &str, policy: &str, timeout| (namespace.to_owned(), policy.to_owned(), timeout);
    // An empty variable counts as unset.
    assert_eq!(shown(&[]), of("of-variable", "Never", 2));
    assert_eq!(
        shown(&["-n", "of-flag", "--image-pull-policy=always"]),
        of("of-flag", "Always", 2)
    );
    let default = config(&[], &[]);
    assert_eq!(default["Namespace"], "sonobuoy");
}

/// Variables apply to all commands; a command ignores those that it does not use.
#[test]
fn variables_apply_to_commands_and_unused_ones_are_ignored() {
    let api = healthy();
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = api.write_kubeconfig(directory.path());
    let run = |arguments: &[&str]| {
        let mut command = command(directory.path());
        command
            .env("SONO_KUBECONFIG", &kubeconfig)
            .env("SONO_NAMESPACE", "mine")
            .env("SONO_RBAC", "disable")
            .env("SONO_SKIP_PREFLIGHT", "dnscheck,versioncheck");
        finished(&command.args(arguments).output().unwrap())
    };
    assert_eq!(run(&["run"]).code, 0);
    assert!(api.get("deployments", Some("mine"), "sonobuoy").is_some());
    assert_eq!(api.all("clusterroles"), Vec::<Value>::new());
    assert_eq!(
        run(&["delete"]).stderr,
        "deleting namespace `mine` and everything in it\n"
    );
    // Unused variables are not validated.
    let help = run(&["run", "--local", "-p", "nowhere"]);
    assert!(
        help.stderr.starts_with("error: plugin `nowhere` not found"),
        "{}",
        help.stderr
    );
}

/// Existing scripts set this variable for Sonobuoy.
#[test]
fn wait_output_is_set_by_sonobuoys_variable() {
    let directory = tempfile::tempdir().unwrap();
    let default = |value: &str| {
        let mut command = command(directory.path());
        let help = finished(
            &command
                .env("SONOBUOY_WAIT_PROGRESS", value)
                .args(["wait", "-h"])
                .output()
                .unwrap(),
        );
        help.stdout
            .lines()
            .find(|line| line.contains("--wait-output"))
            .unwrap()
            .to_owned()
            + &help.stdout
    };
    assert!(default("false").contains("[default: silent]"));
    assert!(default("true").contains("[default: progress]"));
}

/// BUG 45: an unknown command is an error whose first line says so; no arguments print the help.
#[test]
fn unknown_commands_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["bogus"][..],
        &["plugin", "bogus"],
        &["worker", "bogus"],
        &["gen", "plugin", "bogus"],
    ] {
        let Finished { code, stdout, stderr } = sono(directory.path(), arguments);
        assert_eq!((code, stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(
            stderr.starts_with("error: unrecognized subcommand 'bogus'\n"),
            "{stderr}"
        );
        assert!(stderr.lines().count() < 10, "{stderr}");
    }
    let Finished { code, stdout, stderr } = sono(directory.path(), &[]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("Usage: sono"), "{stdout}");
}

/// The commands of the images are available, too (cli §18).
#[test]
fn commands_of_the_images_can_be_run_locally() {
    let directory = tempfile::tempdir().unwrap();
    fs_err::write(directory.path().join("a.tar.gz"), "archive").unwrap();
    let flags = ["splat", ".", "--file", "a.tar.gz", "--offset", "4"];
    let finished = sono(directory.path(), &flags);
    assert_eq!((finished.code, finished.stdout.as_str()), (0, "ive"));
    let worker = sono(
        directory.path(),
        &[
            "--level=trace",
            "worker",
            "single-node",
            "--sleep=-1",
            "-v=6",
            "--logtostderr",
        ],
    );
    assert_eq!(worker.code, 1);
    assert!(worker.stderr.contains("AggregatorURL not set"), "{}", worker.stderr);
    let aggregator = sono(directory.path(), &["aggregator", "--kubeconfig", "nowhere"]);
    assert_eq!(aggregator.code, 1);
    assert!(aggregator.stderr.contains("config.json"), "{}", aggregator.stderr);
}

/// An invalid value may be in a variable that the user does not think of.
#[test]
fn a_variable_with_a_wrong_value_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(directory.path());
    let finished = finished(&command.env("SONO_RBAC", "maybe").arg("run").output().unwrap());
    let mut lines = finished.stderr.lines();
    assert_eq!(
        (finished.code, lines.next(), lines.next_back()),
        (
            1,
            Some("error: invalid value 'maybe' for '--rbac <MODE>'"),
            Some("note: the value of --rbac may be set by the environment variable SONO_RBAC")
        )
    );
}

/// The proxy is unreachable, so no request leaves this machine.
#[test]
fn the_latest_version_is_looked_up() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(directory.path());
    command
        .env("HTTPS_PROXY", proxy)
        .args(["gen", "-p", "e2e", "--kubernetes-version=latest"]);
    let finished = finished(&command.output().unwrap());
    let lines: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!((finished.code, finished.stdout.as_str()), (1, ""));
    assert_eq!(
        lines[..2],
        [
            "error: cannot look up the latest Kubernetes version",
            "  https://storage.googleapis.com/k8s-release-dev/ci/latest.txt"
        ]
    );
    assert_eq!(
        lines.last(),
        Some(&"  hint:  set the version: --kubernetes-version v1.37.2")
    );
}

/// Groups make many flags easier to find; the short help has the groups of the common flags.
#[test]
fn flags_of_run_are_grouped() {
    let directory = tempfile::tempdir().unwrap();
    let groups = |flag: &str| -> Vec<String> {
        let help = sono(directory.path(), &["run", flag]).stdout;
        let headings = help
            .lines()
            .filter(|line| line.ends_with(':') && line.starts_with(|letter: char| letter.is_ascii_uppercase()));
        headings.map(str::to_owned).collect()
    };
    assert_eq!(
        groups("-h"),
        [
            "Arguments:",
            "Options:",
            "Cluster:",
            "Kubernetes tests:",
            "Waiting:",
            "Global:",
            "Examples:"
        ]
    );
    assert_eq!(
        groups("--help"),
        [
            "Arguments:",
            "Options:",
            "Cluster:",
            "Images:",
            "Aggregator and permissions:",
            "Plugins:",
            "Storage of results:",
            "Redaction:",
            "Kubernetes tests:",
            "Preflight checks:",
            "Waiting:",
            "Global:",
            "Examples:"
        ]
    );
}
