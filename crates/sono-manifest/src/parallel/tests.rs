use serde_json::json;

use super::*;
use crate::{exactly, ginkgo_arguments::VARIABLE as GINKGO_ARGS};

const SEPARATOR: &str = "E2E_EXTRA_ARGS_SEP";

/// The plugin e2e with this image and these variables.
fn definition(image: &str, variables: &[(&str, &str)]) -> Definition {
    let mut definition = crate::builtin("e2e", &crate::Images::default()).unwrap();
    let list: Vec<Value> = variables
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    definition.spec = json!({ "name": "e2e", "image": image, "env": list });
    definition
}

/// Simplified matching: expressions are plain texts.
fn matches(expression: &str, text: &str) -> bool {
    expression
        .split('|')
        .map(|word| word.replace('\\', ""))
        .any(|word| !word.is_empty() && text.contains(&word))
}

fn run(image: &str, variables: &[(&str, &str)]) -> Result<(Option<String>, Option<ParallelNotice>), ParallelError> {
    let mut definition = definition(image, variables);
    let notice = parallelize(&mut definition, "v1.37.2", &matches)?;
    let again = definition.clone();
    parallelize(&mut definition, "v1.37.2", &matches)?;
    assert_eq!(definition, again, "parallelize is idempotent");
    Ok((variable(&definition.spec, GINKGO_ARGS).map(str::to_owned), notice))
}

const NEW: &str = "registry.k8s.io/conformance:v1.37.2";

#[test]
fn parallel_values_are_parsed() {
    for (text, expected) in [
        ("true", Some("true")),
        ("TRUE", Some("true")),
        ("y", Some("true")),
        ("Y", Some("true")),
        ("yes", Some("true")),
        ("false", Some("false")),
        ("n", Some("false")),
        ("", Some("false")),
        ("auto", Some("auto")),
        ("Auto", Some("auto")),
        ("1", Some("1")),
        ("4", Some("4")),
        (" 4 ", Some("4")),
        ("04", Some("4")),
        ("0", None),
        ("-1", None),
        ("4.5", None),
        ("70000", None),
        ("four", None),
    ] {
        let parsed = text.parse::<Parallel>().map(|parallel| parallel.to_string());
        assert_eq!(parsed.ok().as_deref(), expected, "{text:?}");
    }
}

#[test]
fn number_of_processes_is_added_to_the_users_arguments() {
    for (variables, expected) in [
        (&[(PARALLEL, "4")][..], Some("--procs=4")),
        (&[(PARALLEL, "1")], Some("--procs=1")),
        (&[(PARALLEL, "auto")], Some("--p")),
        (&[(PARALLEL, "true"), ("E2E_SKIP", "x")], None),
        (&[(PARALLEL, "false")], None),
        (&[(PARALLEL, "whatever")], None),
        (&[], None),
        (
            &[(PARALLEL, "4"), (GINKGO_ARGS, "--flake-attempts=2")],
            Some("--flake-attempts=2 --procs=4"),
        ),
        (&[(PARALLEL, "4"), (GINKGO_ARGS, "-v ")], Some("-v --procs=4")),
        (&[(PARALLEL, "4"), (GINKGO_ARGS, "")], Some("--procs=4")),
        (
            &[(PARALLEL, "4"), (GINKGO_ARGS, "--a=1,--b=x y"), (SEPARATOR, ",")],
            Some("--a=1,--b=x y,--procs=4"),
        ),
        (&[(PARALLEL, "4"), (GINKGO_ARGS, "--procs=4")], Some("--procs=4")),
        (
            &[(PARALLEL, "4"), (GINKGO_ARGS, "--poll-progress-after=60s")],
            Some("--poll-progress-after=60s --procs=4"),
        ),
    ] {
        assert_eq!(
            run(NEW, variables),
            Ok((expected.map(str::to_owned), None)),
            "{variables:?}"
        );
    }
}

#[test]
fn users_number_of_processes_takes_precedence() {
    for argument in ["--procs=8", "-procs=8", "--nodes=8", "-p", "--p", "--procs"] {
        let own = if argument == "--procs" { "--procs 8" } else { argument };
        let variables = [(PARALLEL, "4"), (GINKGO_ARGS, own)];
        let notice = ParallelNotice::Overridden {
            requested: "4".parse().unwrap(),
            argument: argument.to_owned(),
        };
        assert_eq!(run(NEW, &variables), Ok((Some(own.to_owned()), Some(notice))), "{own}");
    }
}

#[test]
fn true_with_skipped_serial_tests_is_noticed() {
    let notice = |image: &str, skip: &str| run(image, &[(PARALLEL, "true"), ("E2E_SKIP", skip)]).unwrap().1;
    assert_eq!(notice(NEW, ""), Some(ParallelNotice::SerialSkipped));
    assert_eq!(notice(NEW, "Slow"), None);
    assert_eq!(notice(NEW, "Serial|Slow"), None);
    assert_eq!(
        notice("registry.k8s.io/conformance:v1.28.3", "Slow"),
        Some(ParallelNotice::SerialInParallel {
            version: "v1.28.3".to_owned()
        })
    );
    assert_eq!(notice("registry.k8s.io/conformance:v1.28.3", "Serial"), None);
}

#[test]
fn old_images_with_serial_tests_are_rejected() {
    let old = "registry.example:5000/conformance:v1.28.3-eks.1@sha256:00";
    let version = "v1.28.3-eks.1".to_owned();
    let rejected = Err(ParallelError::SerialInParallel { version });
    assert_eq!(run(old, &[(PARALLEL, "4")]), rejected);
    assert_eq!(run(old, &[(PARALLEL, "auto"), ("E2E_SKIP", "Slow")]), rejected);
    let procs = |number: &str| Ok((Some(format!("--procs={number}")), None));
    assert_eq!(run(old, &[(PARALLEL, "1")]), procs("1"));
    assert_eq!(
        run(old, &[(PARALLEL, "4"), ("E2E_SKIP", "\\[Serial\\]|Slow")]),
        procs("4")
    );
    let names = exactly(["Kubernetes e2e suite"], ["[sig-x] Pods (a|b) run. \\d"]);
    assert_eq!(run(old, &[(PARALLEL, "4"), ("E2E_FOCUS", &names)]), procs("4"));
    let serial = exactly(["Kubernetes e2e suite"], ["[sig-x] Pods [Serial] run"]);
    assert_eq!(run(old, &[(PARALLEL, "4"), ("E2E_FOCUS", &serial)]), rejected);
    for focus in ["^a|b$", "^.*$", "^(a|b).+$", "Pods", "^\\w$", "^a[b]$"] {
        assert_eq!(run(old, &[(PARALLEL, "4"), ("E2E_FOCUS", focus)]), rejected, "{focus}");
    }
    assert_eq!(
        run("registry.k8s.io/conformance:v1.29.0", &[(PARALLEL, "4")]),
        procs("4")
    );
    assert_eq!(run("mine:latest", &[(PARALLEL, "4")]), procs("4"));
    assert_eq!(
        run("x:v1.24.1", &[(PARALLEL, "4"), ("E2E_SKIP", "Serial")]),
        Err(ParallelError::NoProcs {
            version: "v1.24.1".to_owned()
        })
    );
    let mut unknown = definition("mine:latest", &[(PARALLEL, "4")]);
    assert!(parallelize(&mut unknown, "v1.28.0", &matches).is_err());
    let mut unknown = definition("mine:latest", &[(PARALLEL, "4")]);
    assert_eq!(parallelize(&mut unknown, "ignore", &matches), Ok(None));
}

#[test]
fn arguments_from_another_object_are_rejected() {
    let mut definition = definition(NEW, &[(PARALLEL, "4")]);
    definition.spec["env"].as_array_mut().unwrap().push(json!({
        "name": GINKGO_ARGS, "valueFrom": { "configMapKeyRef": { "name": "c", "key": "k" } } }));
    assert_eq!(
        parallelize(&mut definition, "v1.37.2", &matches),
        Err(ParallelError::Indirect)
    );
}
