use sono_manifest::load;

use super::*;

fn definition(format: &str) -> Definition {
    let text = format!(
        "sonobuoy-config: {{driver: Job, plugin-name: p, result-format: {format}}}\nspec: {{name: c, command: [sh]}}\n"
    );
    load("p.yaml", &text).0.unwrap()
}

fn item(name: &str, status: &str, items: Vec<Item>) -> Item {
    Item {
        name: name.to_owned(),
        status: status.to_owned(),
        items,
        ..Item::default()
    }
}

fn summary(items: Vec<Item>) -> Item {
    let mut root = item("p", "passed", items);
    root.meta.insert("type".to_owned(), "summary".to_owned());
    root
}

fn good(definition: &Definition) -> Evidence<'_> {
    Evidence {
        definition,
        programs: vec![("c".to_owned(), Some(ended("exit status: 0", true)))],
        posts: Vec::new(),
        done: Some(Done {
            names: "j.xml".to_owned(),
            is_inside: true,
            bytes: Some(10),
            ..Done::default()
        }),
        links: Vec::new(),
        failure: None,
        tree: Some(summary(vec![item("t", "passed", Vec::new())])),
        max_bytes: 100,
    }
}

fn ended(text: &str, is_success: bool) -> Exit {
    Exit {
        is_success,
        text: text.to_owned(),
    }
}

/// Points with a problem.
fn faults(evidence: &Evidence<'_>) -> Vec<(&'static str, &'static str, String)> {
    judge(evidence)
        .into_iter()
        .filter(|point| point.outcome != Outcome::Good)
        .map(|point| (point.name, point.outcome.word(), point.detail))
        .collect()
}

fn fault(name: &'static str, word: &'static str, detail: &str) -> Vec<(&'static str, &'static str, String)> {
    vec![(name, word, detail.to_owned())]
}

#[test]
fn a_good_plugin_has_no_faults() {
    let definition = definition("junit");
    assert_eq!(faults(&good(&definition)), []);
    assert_eq!(verdict(&judge(&good(&definition))), "passed");
}

#[test]
fn done_file_must_be_written_last() {
    let definition = definition("junit");
    let mut evidence = good(&definition);
    if let Some(done) = &mut evidence.done {
        done.later = vec!["j.xml".to_owned()];
    }
    let expected = fault(
        "done file",
        "fail",
        "written before the result was complete: j.xml changed later",
    );
    assert_eq!(faults(&evidence), expected);
    assert_eq!(verdict(&judge(&evidence)), "failed");
}

#[test]
fn missing_result_is_explained_once() {
    let definition = definition("junit");
    let evidence = Evidence {
        done: None,
        failure: Some("it ended".to_owned()),
        programs: vec![("c".to_owned(), Some(ended("exit status: 3", false)))],
        ..good(&definition)
    };
    let words: Vec<(&str, &str)> = faults(&evidence)
        .into_iter()
        .map(|(name, word, _)| (name, word))
        .collect();
    let expected = [
        ("done file", "fail"),
        ("names", "warn"),
        ("size", "warn"),
        ("format", "warn"),
        ("exit", "fail"),
    ];
    assert_eq!(words, expected);
}

#[test]
fn hostile_names_fail_and_lost_names_warn() {
    let definition = definition("junit");
    let with = |change: fn(&mut Done)| {
        let mut evidence = good(&definition);
        evidence.done.iter_mut().for_each(change);
        faults(&evidence)
    };
    assert_eq!(
        with(|done| {
            done.is_inside = false;
            done.names = "/etc/passwd".to_owned();
        }),
        fault(
            "names",
            "fail",
            "/etc/passwd is outside the results directory, where the worker cannot read it"
        )
    );
    assert_eq!(
        with(|done| done.refused = Some("archive entry \"../x\" leads out".to_owned())),
        fault(
            "names",
            "fail",
            "the archive is rejected: archive entry \"../x\" leads out"
        )
    );
    assert_eq!(
        with(|done| done.left_out = vec!["a (link)".to_owned()]),
        fault("names", "warn", "only files and directories are stored; lost: a (link)")
    );
    assert_eq!(
        with(|done| done.bytes = Some(101)),
        fault("size", "fail", "101 B exceeds the limit of 100 B")
    );
}

#[test]
fn result_of_another_format_fails() {
    let definition = definition("gojson");
    let empty = Evidence {
        tree: Some(summary(Vec::new())),
        ..good(&definition)
    };
    assert_eq!(
        faults(&empty),
        fault("format", "fail", "no gojson file in the result (*.json)")
    );
    let mut broken = item("j.json", "unknown", Vec::new());
    broken.meta.insert("error".to_owned(), "EOF".to_owned());
    let unreadable = Evidence {
        tree: Some(summary(vec![broken])),
        ..good(&definition)
    };
    assert_eq!(
        faults(&unreadable),
        fault("format", "fail", "cannot read as gojson: j.json: EOF")
    );
}

#[test]
fn progress_must_be_valid() {
    let definition = definition("junit");
    let with = |body: &'static str, status: u16| {
        let posts = vec![ProgressPost {
            body: body.into(),
            status,
        }];
        faults(&Evidence {
            posts,
            ..good(&definition)
        })
    };
    assert_eq!(with("{\"total\":2,\"completed\":1}", 200), []);
    assert_eq!(with("{", 400), fault("progress", "fail", "rejected with 400: {"));
    assert_eq!(
        with("{\"total\":2,\"completed\":3}", 200),
        fault(
            "progress",
            "warn",
            "completed exceeds total: {\"total\":2,\"completed\":3}"
        )
    );
}

#[test]
fn containers_of_a_daemon_set_must_not_end() {
    let mut definition = definition("junit");
    definition.driver = DriverKind::DaemonSet;
    assert_eq!(
        faults(&good(&definition)),
        fault(
            "exit",
            "warn",
            "c ended; containers of a DaemonSet are restarted, so they should sleep instead"
        )
    );
}

#[test]
fn hard_coded_path_warns() {
    let mut definition = definition("junit");
    definition.spec["args"] = json!(["echo > /tmp/sonobuoy/results/x"]);
    assert_eq!(
        faults(&good(&definition)),
        fault(
            "environment",
            "warn",
            "/tmp/sonobuoy/results is hard-coded; use SONOBUOY_RESULTS_DIR and SONOBUOY_CONFIG_DIR instead"
        )
    );
    definition.spec["args"] = json!([]);
    definition.spec["volumeMounts"] = json!([{ "name": "results", "mountPath": "/tmp/sonobuoy/results" }]);
    assert_eq!(faults(&good(&definition)), []);
}
