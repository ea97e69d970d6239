//! Documents that the program generates about itself.

use std::path::Path;

use crate::sono;

fn check(what: &str, file: &str) {
    let directory = tempfile::tempdir().unwrap();
    let finished = sono(directory.path(), &["__document", what]);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let found = fs_err::read_to_string(path).unwrap_or_default();
    assert!(
        found.replace("\r\n", "\n") == finished.stdout,
        "{file} is not current; make it so with: cargo xtask gen {what}"
    );
}

/// A new command or flag requires the page to be generated again.
#[test]
fn the_reference_is_current() {
    check("reference", "docs/reference.md");
}

#[test]
fn the_schema_of_definitions_is_current() {
    check("plugin-schema", "deploy/plugin.schema.json");
}

#[test]
fn each_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    let finished = sono(directory.path(), &["__document", "man", "--out", "man"]);
    assert_eq!((finished.code, finished.stderr.as_str()), (0, ""));
    for page in ["sono.1", "sono-run.1", "sono-plugin-install.1"] {
        let text = fs_err::read_to_string(directory.path().join("man").join(page)).unwrap();
        assert!(text.contains(".TH sono"), "{page}: {text}");
    }
    assert!(!directory.path().join("man/sono-host-check.1").exists());
}
