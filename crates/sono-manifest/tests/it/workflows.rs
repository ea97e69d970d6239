//! Checks of this repository's GitHub workflows and action.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sono_types::yaml;

/// `action.yml` and all YAML files in `.github`.
fn files() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = vec![root.join("action.yml")];
    for folder in [".github", ".github/workflows", ".github/ISSUE_TEMPLATE"] {
        let entries = fs_err::read_dir(root.join(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        files.extend(paths.filter(|path| path.extension().is_some_and(|ending| ending == "yml")));
    }
    files
}

#[test]
fn workflows_are_valid_yaml() {
    let files = files();
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let text = fs_err::read_to_string(&file).unwrap();
        let document: Result<Value, _> = yaml::first_document(&text);
        assert!(
            document.as_ref().is_ok_and(Value::is_object),
            "{}: {document:?}",
            file.display()
        );
    }
}

/// A tag can be moved to other code, a commit cannot.
#[test]
fn actions_are_pinned_by_commit() {
    let mut found = 0;
    for file in files() {
        let text = fs_err::read_to_string(&file).unwrap();
        for line in text.lines() {
            let Some((_, used)) = line.split_once("uses: ") else {
                continue;
            };
            let pin = used.split_once('@').and_then(|(_, pin)| pin.split_once(" # v"));
            let is_commit = |commit: &str| commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(
                pin.is_some_and(|(commit, _)| is_commit(commit)),
                "{}: {line}",
                file.display()
            );
            found += 1;
        }
    }
    assert!(found > 5, "{found}");
}
