use super::*;
use crate::{Product, Summary};

fn files(entries: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    entries
        .iter()
        .map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec()))
        .collect()
}

const NODES: &str = r#"{"items":[{"metadata":{"name":"b"},"status":{"nodeInfo":{"kubeletVersion":"v1.37.2","osImage":"Debian | 12","kernelVersion":"6.1","containerRuntimeVersion":"containerd://2","architecture":"amd64"}}},
    {"metadata":{"name":"a"},"status":{"nodeInfo":{"kubeletVersion":"v1.37.1"}}}]}"#;
const PODS: &str = r#"{"items":[{"metadata":{"name":"sonobuoy-e2e-job-1"},"status":{"containerStatuses":[{"name":"e2e","imageID":"sha256:1"},{"name":"sonobuoy-worker","imageID":"sha256:2"}]}}]}"#;

fn run(environment: &str, more: &[(&str, &str)]) -> Run {
    let definition = format!(
        r#"{{"Definition":{{"spec":{{"name":"e2e","image":"registry.k8s.io/conformance:v1.37.2","env":[{environment}]}}}}}}"#
    );
    let mut entries = vec![
        (
            "meta/config.json",
            r#"{"Namespace":"certify","Version":"v0.57.5","WorkerImage":"sonobuoy/sonobuoy:v0.57.5"}"#,
        ),
        ("meta/run.log", "{\"time\":\"2026-11-22T19:19:34Z\"}\n{}"),
        (
            "serverversion.json",
            r#"{"gitVersion":"v1.37.2","platform":"linux/amd64"}"#,
        ),
        ("plugins/e2e/definition.json", definition.as_str()),
        ("resources/cluster/core_v1_nodes.json", NODES),
        ("resources/ns/certify/core_v1_pods.json", PODS),
    ];
    entries.extend(more);
    Run::read(
        "e2e",
        &files(&entries),
        &["plugins/e2e/results/global/junit_01.xml".to_owned()],
    )
}

const WHOLE: &str = r#"{"name":"E2E_FOCUS","value":"\\[Conformance\\]"}"#;
const LOG: &[u8] = b"Ran 1 of 2 Specs in 3 seconds\nSUCCESS! -- 1 Passed | 0 Failed | 0 Pending | 1 Skipped\n";
const JUNIT: &[u8] = b"<testsuites><testsuite><testcase name='[It] a [Conformance]'/></testsuite></testsuites>";

fn required() -> RequiredTests {
    let text = "- codename: a [Conformance]\n  release: v1.9\n";
    RequiredTests::default().with_yaml(text, Minor::of(37)).unwrap()
}

fn names(run: &Run, junit: Option<&[u8]>, log: Option<&[u8]>) -> Vec<&'static str> {
    let refusals = run.refusals(junit, log, &required(), "2026-09-01T00:00:00Z");
    refusals.into_iter().map(|refusal| refusal.name).collect()
}

fn good() -> Run {
    let mut run = run(WHOLE, &[]);
    run.nodes.retain(|node| node.name == "b");
    run
}

#[test]
fn whole_run_is_not_refused() {
    assert_eq!(names(&good(), Some(JUNIT), Some(LOG)), Vec::<&str>::new());
}

#[test]
fn each_reason_is_named() {
    let with = |change: fn(&mut Run)| {
        let mut run = good();
        change(&mut run);
        names(&run, Some(JUNIT), Some(LOG))
    };
    assert_eq!(with(|run| run.redacted = true), ["redacted"]);
    assert_eq!(with(|run| run.start = "2026-08-31T23:59:59Z".to_owned()), ["too-old"]);
    assert_eq!(with(|run| run.start = String::new()), ["too-old"]);
    assert_eq!(
        with(|run| drop(run.environment.insert("E2E_FOCUS".into(), "a".into()))),
        ["filtered"]
    );
    assert_eq!(
        with(|run| drop(run.environment.insert("E2E_SKIP".into(), "a".into()))),
        ["skipped"]
    );
    assert_eq!(
        with(|run| drop(run.environment.insert("E2E_DRYRUN".into(), "true".into()))),
        ["dry-run"]
    );
    assert_eq!(
        with(|run| drop(
            run.environment
                .insert("E2E_EXTRA_GINKGO_ARGS".into(), "--flake-attempts=2".into())
        )),
        ["retried"]
    );
    assert_eq!(
        with(|run| run.image = "registry.k8s.io/conformance:v1.36.3".to_owned()),
        ["version"]
    );
    assert_eq!(with(|run| run.server = String::new()), ["version"]);
    assert_eq!(
        with(|run| run.server = "v1.38.0".to_owned()),
        ["version", "version", "missing"]
    );
    assert_eq!(
        with(|run| run.junit_files.push("plugins/e2e/results/global/junit_02.xml".into())),
        ["results"]
    );
}

#[test]
fn results_are_refused_for_their_content() {
    let of = |junit: &str, log: &str| names(&good(), Some(junit.as_bytes()), Some(log.as_bytes()));
    let log = std::str::from_utf8(LOG).unwrap();
    assert_eq!(names(&good(), None, None), ["results", "log"]);
    assert_eq!(of("<testsuite/>", log), ["results"]);
    assert_eq!(of("<testsuites/>", log), ["missing"]);
    assert_eq!(
        of(
            "<testsuites><testsuite><testcase name='a [Conformance]'><failure/></testcase></testsuite></testsuites>",
            log
        ),
        ["failed"]
    );
    assert_eq!(
        of(
            "<testsuites><testsuite><testcase name='a [Conformance]'/><testcase name='a [Conformance]'/></testsuite></testsuites>",
            log
        ),
        ["retried"]
    );
    let junit = std::str::from_utf8(JUNIT).unwrap();
    assert_eq!(of(junit, "cut"), ["log"]);
    assert_eq!(
        of(junit, &log.replace("0 Failed |", "0 Failed | 1 Flaked |")),
        ["retried"]
    );
    assert_eq!(
        of(junit, &format!("kube-apiserver version: v1.36.1\n{log}")),
        ["version"]
    );
}

#[test]
fn archive_without_description_is_refused() {
    let run = Run::read("e2e", &BTreeMap::new(), &[]);
    assert_eq!(names(&run, Some(JUNIT), Some(LOG)), ["filtered", "too-old", "version"]);
}

#[test]
fn description_is_that_of_the_archive() {
    let redactions = r#"{"files":[{"path":"plugins/e2e/results/global/e2e.log","hits":{"token":1}}]}"#;
    let run = run(WHOLE, &[("meta/redactions.json", redactions)]);
    assert_eq!(
        run.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!((run.image_id.as_str(), run.redacted), ("sha256:1", true));
    assert_eq!(names(&run, Some(JUNIT), Some(LOG)), ["redacted"]);
}

#[test]
fn readme_has_commands_versions_and_nodes() {
    let product = Product::of(
        [("vendor", "ACME"), ("name", "A*K"), ("version", "1.37")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let log = LogFacts {
        ran: Some(1),
        summary: Some(Summary {
            success: true,
            passed: 1,
            ..Summary::default()
        }),
        ..LogFacts::default()
    };
    let mut run = good();
    run.environment
        .insert("E2E_EXTRA_GINKGO_ARGS".into(), "--procs=4 -v".into());
    let refusals = [Refusal {
        name: "filtered",
        reason: "a\nb".to_owned(),
    }];
    let expected = "\
# A\\*K

> **Draft:** these results are not a submission.
>
> - filtered: a b

Conformance results of ACME A\\*K 1.37 for Kubernetes v1.37.

Install it.

## Reproduce the results

Run the suite, and retrieve the archive:

```sh
sono run --plugin e2e --mode certified-conformance --kube-conformance-image registry.k8s.io/conformance:v1.37.2 \\
  --plugin-env 'e2e.E2E_EXTRA_GINKGO_ARGS=--procs=4 -v' --wait
sono retrieve
```

## Versions

| | |
|---|---|
| Kubernetes | `v1.37.2` |
| platform | `linux/amd64` |
| image of the suite | `registry.k8s.io/conformance:v1.37.2` |
| digest of that image | `sha256:1` |
| tool | `v0.57.5` |
| image of the tool | `sonobuoy/sonobuoy:v0.57.5` |
| start of the run | `2026-11-22T19:19:34Z` |
| tests | 1 ran, 1 passed, 0 failed |

## Nodes

| node | kubelet | system | kernel | runtime | architecture |
|---|---|---|---|---|---|
| `b` | `v1.37.2` | `Debian  12` | `6.1` | `containerd://2` | `amd64` |
";
    let text = render_readme(&run, &product, Minor::of(37), &log, Some("Install it.\n"), &refusals);
    assert_eq!(text, expected);
}
