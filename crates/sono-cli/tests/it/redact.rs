//! `redact` and `redact verify`.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{Finished, command, finished, sono};

/// A value of a Secret, and the same in base64.
const VALUE: &str = "Zq8wL2mPx7Rt";
const ENCODED: &str = "WnE4d0wybVB4N1J0";

const JUNIT: &str = "<testsuite name=\"s\"><testcase name=\"[sig] token: passes\"/></testsuite>\n";
const CONFIG_MAP: &str =
    "{\"items\": [{\"kind\": \"ConfigMap\", \"data\": {\"x\": \"see Zq8wL2mPx7Rt\", \"password\": \"hunter2x\"}}]}\n";

/// An archive as an old version or Sonobuoy writes it.
fn archive(directory: &Path) -> PathBuf {
    let root = directory.join("content");
    for (name, text) in [
        ("hosts/n1/healthz.json", "{\"status\": 200}\n"),
        (
            "meta/redactions.json",
            r#"{"total": 1, "redactions": [{"kind": "Pod", "path": "a", "reason": "name", "count": 1}]}"#,
        ),
        ("meta/run.log", "level=info msg=started\n"),
        (
            "plugins/p/definition.json",
            "{\"Definition\": {\"spec\": {\"args\": [\"--password=hunter2x\"]}}}\n",
        ),
        ("plugins/p/results/global/clean.xml", JUNIT),
        (
            "plugins/p/results/global/out.txt",
            "said Zq8wL2mPx7Rt and WnE4d0wybVB4N1J0\n",
        ),
        ("plugins/p/results/global/tool.bin", "\0\0\u{1}"),
        ("podlogs/ns/pod/logs/c.txt", "got Zq8wL2mPx7Rt\npassword=hunter2x\n"),
        ("resources/ns/a/core_v1_configmaps.json", CONFIG_MAP),
        (
            "resources/ns/a/core_v1_secrets.json",
            "{\"items\": [{\"data\": {\"a\": \"c2hvcnQ=\"}}], \"kind\": \"SecretList\"}\n",
        ),
    ] {
        let path = root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let path = directory.join("old.tar.gz");
    let file = fs_err::File::create(&path).unwrap();
    sono_bundle::pack_directory(&root, file, &[], 6).unwrap();
    fs_err::remove_dir_all(root).unwrap();
    path
}

fn content(archive: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    sono_bundle::Bundle::open(archive)
        .unwrap()
        .visit(&mut |name, content| {
            let mut text = String::new();
            content.read_to_string(&mut text)?;
            files.insert(name.to_owned(), text);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    files
}

fn success(stderr: &str, stdout: &str) -> Finished {
    Finished {
        code: 0,
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    }
}

const PARTLY: &str = "partly proved: none of the 1 values of Secrets that were searched (0 short, common or public ones were not) is in the searched content; not searched: content of 1 files (binary); other secrets are found by names and formats only\n";

#[test]
fn redacted_archive_has_no_known_values_and_a_report() {
    let directory = tempfile::tempdir().unwrap();
    archive(directory.path());
    fs_err::write(directory.path().join("values"), VALUE).unwrap();
    assert_eq!(
        sono(
            directory.path(),
            &["redact", "old.tar.gz", "-o", "new.tar.gz", "--known", "values"]
        ),
        success(PARTLY, "new.tar.gz\n")
    );
    let mut files = content(&directory.path().join("new.tar.gz"));
    let report: Value = serde_json::from_str(&files.remove("meta/redactions.json").unwrap()).unwrap();
    let expected = [
        ("hosts/n1/healthz.json", "{\"status\": 200}\n"),
        ("meta/run.log", "level=info msg=started\n"),
        (
            "plugins/p/definition.json",
            "{\"Definition\":{\"spec\":{\"args\":[\"--password=[redacted]\"]}}}\n",
        ),
        ("plugins/p/results/global/clean.xml", JUNIT),
        ("plugins/p/results/global/out.txt", "said [redacted] and [redacted]\n"),
        ("plugins/p/results/global/tool.bin", "\0\0\u{1}"),
        ("podlogs/ns/pod/logs/c.txt", "got [redacted]\npassword=[redacted]\n"),
        (
            "resources/ns/a/core_v1_configmaps.json",
            "{\"items\":[{\"data\":{\"password\":\"[redacted]\",\"x\":\"see [redacted]\"},\"kind\":\"ConfigMap\"}]}\n",
        ),
        (
            "resources/ns/a/core_v1_secrets.json",
            "{\"items\":[{\"data\":{\"a\":\"[redacted]\"}}],\"kind\":\"SecretList\"}\n",
        ),
    ];
    let expected: BTreeMap<String, String> = expected
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect();
    assert_eq!(files, expected);
    let rows: Vec<(&str, &Value, &Value)> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["path"].as_str().unwrap(), &row["hits"], &row["opaque"]))
        .collect();
    let hits = [
        json!({"assignment": 1}),
        json!({"known": 2}),
        json!({}),
        json!({"assignment": 1, "known": 1}),
        json!({"omission": 1}),
    ];
    assert_eq!(
        rows,
        [
            ("plugins/p/definition.json", &hits[0], &Value::Null),
            ("plugins/p/results/global/out.txt", &hits[1], &Value::Null),
            ("plugins/p/results/global/tool.bin", &hits[2], &json!({"binary": 1})),
            ("podlogs/ns/pod/logs/c.txt", &hits[3], &Value::Null),
            ("resources/ns/a/core_v1_configmaps.json", &hits[3], &Value::Null),
            ("resources/ns/a/core_v1_secrets.json", &hits[4], &Value::Null),
        ]
    );
    // One of them is from the earlier report.
    assert_eq!((&report["total"], &report["verdict"]), (&json!(9), &json!("partial")));
    // An existing file is not replaced.
    let again = sono(directory.path(), &["redact", "old.tar.gz", "-o", "new.tar.gz"]);
    let exists = "error: cannot write `new.tar.gz`\n  cause: File exists (os error 17)\n  hint:  choose another path with --output\n";
    assert_eq!(
        again,
        Finished {
            code: 1,
            stdout: String::new(),
            stderr: exists.to_owned(),
        }
    );
    let names = fs_err::read_dir(directory.path()).unwrap().count();
    assert_eq!(names, 3, "nothing else is left");
}

#[test]
fn verify_names_the_place_of_each_value_and_never_the_value() {
    let directory = tempfile::tempdir().unwrap();
    archive(directory.path());
    let secret = format!("{{\"kind\": \"Secret\", \"data\": {{\"a\": \"{ENCODED}\"}}}}");
    fs_err::write(directory.path().join("secret.json"), secret).unwrap();
    let input = fs_err::File::open(directory.path().join("secret.json")).unwrap();
    let output = command(directory.path())
        .args(["redact", "verify", "old.tar.gz", "--known", "-"])
        .stdin(input.into_parts().0)
        .output()
        .unwrap();
    assert_eq!(
        finished(&output),
        Finished {
            code: 3,
            stdout: "plugins/p/results/global/out.txt  offset 5  known\n\
                     plugins/p/results/global/out.txt  offset 22  known\n\
                     podlogs/ns/pod/logs/c.txt  offset 4  known\n\
                     resources/ns/a/core_v1_configmaps.json  offset 52  known\n"
                .to_owned(),
            stderr: "1 of 10 files have content that cannot be searched\n\
                     4 secrets found in 10 files; 1 known values and published formats were searched\n"
                .to_owned(),
        }
    );
    fs_err::write(directory.path().join("values"), "Vb5kT9nQd3Ys\n").unwrap();
    assert_eq!(
        sono(
            directory.path(),
            &["redact", "verify", "old.tar.gz", "--known", "values"]
        ),
        success(
            "1 of 10 files have content that cannot be searched\n\
             no secrets found in 10 files; 1 known values and published formats were searched\n",
            ""
        )
    );
}

#[test]
fn torn_archive_is_an_error_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = archive(directory.path());
    let bytes = fs_err::read(&path).unwrap();
    fs_err::write(&path, &bytes[..bytes.len() - 30]).unwrap();
    for arguments in [
        &["redact", "old.tar.gz", "-o", "new.tar.gz"][..],
        &["redact", "verify", "old.tar.gz"],
    ] {
        let torn = sono(directory.path(), arguments);
        assert_eq!((torn.code, torn.stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(torn.stderr.contains("truncated archive"), "{}", torn.stderr);
    }
    assert_eq!(fs_err::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn names_of_nodes_become_the_same_tokens_everywhere() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("content");
    let nodes = r#"{"items": [{"kind": "Node", "metadata": {"name": "worker-1"}, "status": {"addresses": [{"address": "10.7.0.9"}]}}]}"#;
    for (name, text) in [
        ("hosts/worker-1/healthz.json", "{\"status\": 200}\n"),
        (
            "podlogs/ns/pod/logs/c.txt",
            "worker-1 has 10.7.0.9, worker-10 does not\n",
        ),
        ("resources/cluster/core_v1_nodes.json", nodes),
    ] {
        let path = root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let file = fs_err::File::create(directory.path().join("old.tar.gz")).unwrap();
    sono_bundle::pack_directory(&root, file, &[], 6).unwrap();
    fs_err::write(directory.path().join("key"), "0123456789abcdef").unwrap();
    let redacted = |output: &str| {
        let arguments = [
            "redact",
            "old.tar.gz",
            "-o",
            output,
            "--redact",
            "names",
            "--names-key",
            "key",
        ];
        let done = sono(directory.path(), &arguments);
        assert_eq!((done.code, done.stdout), (0, format!("{output}\n")));
        content(&directory.path().join(output))
    };
    let files = redacted("one.tar.gz");
    assert_eq!(files, redacted("two.tar.gz"));
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let node = names[0].split('/').nth(1).unwrap();
    let log = &files["podlogs/ns/pod/logs/c.txt"];
    let address = log.split(' ').nth(2).unwrap().trim_end_matches(',');
    assert!(
        node.starts_with("node-") && address.starts_with("ip-"),
        "{node} {address}"
    );
    let host = format!("hosts/{node}/healthz.json");
    let expected = [
        host.as_str(),
        "meta/redactions.json",
        "podlogs/ns/pod/logs/c.txt",
        "resources/cluster/core_v1_nodes.json",
    ];
    assert_eq!(names, expected);
    assert_eq!(log, &format!("{node} has {address}, worker-10 does not\n"));
    assert_eq!(
        files["resources/cluster/core_v1_nodes.json"],
        nodes.replace("worker-1", node).replace("10.7.0.9", address)
    );
    fs_err::write(directory.path().join("key"), "short").unwrap();
    let short = sono(
        directory.path(),
        &[
            "redact",
            "old.tar.gz",
            "-o",
            "x.tar.gz",
            "--redact",
            "names",
            "--names-key",
            "key",
        ],
    );
    assert_eq!(
        (short.code, short.stderr.as_str()),
        (
            1,
            "error: cannot read the key in `key`\n  cause: it has 5 bytes, fewer than 16\n"
        )
    );
}
