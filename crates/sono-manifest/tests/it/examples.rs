//! The example plugins of this repository.

use std::path::Path;

use sono_manifest::{check_set, lint};

use crate::yaml_files;

#[test]
fn examples_load_without_problems_as_one_set() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples");
    let files = yaml_files(&folder);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "gojson.yaml",
            "host-memory.yaml",
            "junit.yaml",
            "manual.yaml",
            "no-done.yaml",
            "per-node.yaml",
            "progress.yaml",
            "sidecar.yaml"
        ]
    );
    let loaded: Vec<_> = files
        .iter()
        .map(|(file, text)| {
            assert!(text.starts_with("# "), "{file} does not start with a comment");
            let (definition, problems) = lint(file, text);
            assert_eq!(problems, [], "{file}");
            (file.clone(), definition.unwrap())
        })
        .collect();
    assert_eq!(check_set(&loaded), []);
}
