//! The JSON file of a result tree: used if it was written together with the YAML file, and ignored otherwise.

use std::path::Path;

use sono_results::YamlDigest;

use crate::{Finished, sono};

const YAML: &str =
    "name: p\nstatus: failed\nitems:\n- name: n1\n  status: failed\n  items:\n  - name: one\n    status: failed\n";
/// A tree that differs from the YAML.
const TREE: &str = r#"{"name":"p","status":"passed","items":[{"name":"n1","status":"passed","items":[{"name":"one","status":"passed"},{"name":"two","status":"passed"}]}]}"#;

fn json(tree: &str, yaml: &str) -> String {
    let digest = YamlDigest::of(&mut yaml.as_bytes()).unwrap();
    let digest = serde_json::to_string(&digest).unwrap();
    format!(r#"{{"format":1,"tree":{tree},"yaml":{digest}}}"#)
}

fn results(yaml: Option<&str>, json: Option<&str>, arguments: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    let plugin = directory.path().join("run/plugins/p");
    fs_err::create_dir_all(&plugin).unwrap();
    fs_err::create_dir_all(directory.path().join("run/meta")).unwrap();
    fs_err::write(directory.path().join("run/meta/info.json"), r#"{"plugins":["p"]}"#).unwrap();
    let write = |name: &str, text: Option<&str>| {
        if let Some(text) = text {
            fs_err::write(plugin.join(name), text).unwrap();
        }
    };
    write("sonobuoy_results.yaml", yaml);
    write("sonobuoy_results.json", json);
    packed(directory.path());
    let from = |archive: &str| {
        sono(
            directory.path(),
            &[&["results", archive, "-p", "p"], arguments].concat(),
        )
    };
    let (extracted, archive) = (from("run"), from("run.tar.gz"));
    assert_eq!((extracted.code, &extracted.stdout), (archive.code, &archive.stdout));
    extracted
}

fn packed(directory: &Path) {
    let file = fs_err::File::create(directory.join("run.tar.gz")).unwrap();
    sono_bundle::pack_directory(&directory.join("run"), file, &[], 6).unwrap();
}

/// Commands that read a tree leaf by leaf, and as a whole.
const WAYS: [&[&str]; 2] = [&["-o", "json"], &["--node", "n1", "-o", "json"]];

#[test]
fn json_written_with_the_yaml_is_used() {
    for way in WAYS {
        let finished = results(Some(YAML), Some(&json(TREE, YAML)), way);
        assert!(finished.stdout.contains("two"), "{way:?} {}", finished.stdout);
    }
    // The dump is always the YAML.
    let finished = results(Some(YAML), Some(&json(TREE, YAML)), &["--mode", "dump"]);
    assert!(
        finished.stdout.contains("status: failed") && !finished.stdout.contains("two"),
        "{}",
        finished.stdout
    );
}

/// JSON with any other content is ignored.
#[test]
fn json_that_does_not_match_the_yaml_is_ignored() {
    let nested = format!("{}{}{}", r#"{"items":["#.repeat(30), "{}", "]}".repeat(30));
    let good = json(TREE, YAML);
    let hostile = [
        json(TREE, "name: p\nstatus: passed\n"),
        json(TREE, &format!("{YAML}#\n")),
        good.replace("\"size\":", "\"size\":1"),
        good.replace("\"format\":1", "\"format\":2"),
        good[..good.len() - 1].to_owned(),
        format!("{good}{good}"),
        json(&nested, YAML),
        json(
            &format!(
                r#"{{"name":"p","status":"passed","details":{{"k":{}{}}}}}"#,
                "[".repeat(60),
                "]".repeat(60)
            ),
            YAML,
        ),
        json("{\"name\":\"p\",\"items\":[{\"name\":[]}]}", YAML),
        String::new(),
        "\0".repeat(1 << 20),
    ];
    for way in WAYS {
        let expected = results(Some(YAML), None, way);
        for json in &hostile {
            let finished = results(Some(YAML), Some(json), way);
            assert_eq!(
                (finished.code, &finished.stdout, &finished.stderr),
                (expected.code, &expected.stdout, &expected.stderr),
                "{json}"
            );
        }
    }
}

/// JSON without a YAML file is not a result.
#[test]
fn json_without_its_yaml_is_not_read() {
    for way in WAYS {
        let expected = results(None, None, way);
        let finished = results(None, Some(&json(TREE, YAML)), way);
        assert_eq!(
            (finished.code, &finished.stdout, &finished.stderr),
            (expected.code, &expected.stdout, &expected.stderr)
        );
        let expected = results(Some("items: ["), None, way);
        let finished = results(Some("items: ["), Some(&json(TREE, YAML)), way);
        assert_eq!(
            (finished.code, &finished.stdout, &finished.stderr),
            (expected.code, &expected.stdout, &expected.stderr)
        );
        assert!(!finished.stdout.contains("two"), "{}", finished.stdout);
    }
}
