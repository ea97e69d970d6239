//! Help of all commands. The texts are in docs/reference.md, which `cargo xtask gen --check` compares.

use std::path::Path;

use crate::{command, finished, sono};

/// Subcommands listed in a command's help.
fn commands(page: &str) -> Vec<String> {
    let lines = page.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| line.starts_with("  "))
        // Lines with more indentation continue a description.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn check(directory: &Path, path: &[&str], seen: &mut Vec<String>) {
    let page = |arguments: &[&str]| {
        let finished = sono(directory, arguments);
        assert_eq!((finished.code, finished.stderr.as_str()), (0, ""), "{arguments:?}");
        finished.stdout
    };
    let long = page(&[path, &["--help"]].concat());
    let short = page(&[path, &["-h"]].concat());
    assert_eq!(page(&[&["help"], path].concat()), long, "{path:?}");
    let name = ["sono", &path.join(" ")].join(" ");
    for text in [&long, &short] {
        let mut paragraphs = text.split("\n\n");
        let about = paragraphs.next().unwrap_or_default();
        assert!(!about.is_empty() && !about.starts_with("Usage:"), "{name}: {text}");
        assert!(
            text.contains(&format!("\nUsage: {}", name.trim_end())),
            "{name}: {text}"
        );
        let untidy: Vec<&str> = text
            .lines()
            .filter(|line| line.chars().count() > 120 || line.ends_with(' ') && !line.trim().is_empty())
            .collect();
        assert_eq!(untidy, [""; 0], "{name}");
    }
    let within = commands(&short);
    assert_eq!(commands(&long), within, "{name}");
    seen.push(name.trim_end().to_owned());
    for command in within {
        check(directory, &[path, &[command.as_str()]].concat(), seen);
    }
}

/// Lines of a screen.
const SCREEN: usize = 50;

/// `-h` fits one screen of 80 columns.
#[test]
fn short_help_fits_a_screen() {
    let directory = tempfile::tempdir().unwrap();
    let mut commands = Vec::new();
    check(directory.path(), &[], &mut commands);
    let mut long = Vec::new();
    for name in commands {
        let words: Vec<&str> = name.split(' ').skip(1).chain(["-h"]).collect();
        let output = command(directory.path())
            .env("COLUMNS", "80")
            .args(&words)
            .output()
            .unwrap();
        let page = finished(&output).stdout;
        let widest = page.lines().map(|line| line.chars().count()).max();
        if page.lines().count() > SCREEN || widest > Some(80) {
            long.push(format!("{name}: {} lines, {widest:?} columns", page.lines().count()));
        }
        if name == "sono run" {
            let examples = page.lines().filter(|line| line.starts_with("  sono run ")).count();
            assert_eq!(examples, 4, "{page}");
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn every_command_has_help() {
    let directory = tempfile::tempdir().unwrap();
    let mut seen = Vec::new();
    check(directory.path(), &[], &mut seen);
    let reference = fs_err::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md")).unwrap();
    let documented: Vec<&str> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .filter(|title| title.starts_with("sono "))
        .collect();
    seen.retain(|name| name != "sono");
    assert_eq!(seen, documented);
}
