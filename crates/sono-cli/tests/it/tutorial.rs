//! `docs/writing-a-plugin.md`: its files are written, its commands typed, and what they print is what stands there.
#![cfg(unix)]

use std::{path::Path, process::Command};

/// A fenced block: its language and its lines.
struct Block {
    language: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// Both outputs of a line of shell, the home directory written as `~`.
fn shell(home: &Path, line: &str) -> String {
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("{line} 2>&1")])
        .current_dir(home)
        .env_clear()
        .env("HOME", home)
        .env("PATH", format!("{}:/usr/bin:/bin", home.join("bin").display()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let text = text.replace(home.to_str().unwrap(), "~");
    // On a very busy machine it is the test that ends it.
    text.replace("ran until the end of the test", "ended with 0")
}

#[test]
fn the_tutorial_tells_what_happens() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/writing-a-plugin.md");
    let page = fs_err::read_to_string(page).unwrap().replace("\r\n", "\n");
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path();
    fs_err::create_dir(home.join("bin")).unwrap();
    std::os::unix::fs::symlink(assert_cmd::cargo::cargo_bin!("sono"), home.join("bin/sono")).unwrap();
    let mut commands = 0;
    for Block { language, text } in blocks(&page) {
        match language.as_str() {
            "yaml" => {
                let name = text.lines().next().unwrap().trim_start_matches("# ");
                fs_err::write(home.join(name), &text).unwrap();
            }
            "sh" => assert_eq!(shell(home, text.trim_end()), ""),
            "text" => {
                let mut printed = String::new();
                for line in text.lines().filter_map(|line| line.strip_prefix("$ ")) {
                    commands += 1;
                    printed = format!("{printed}$ {line}\n{}", shell(home, line));
                }
                assert_eq!(printed, text);
            }
            other => assert_eq!(other, "", "a block of a kind that nobody tests"),
        }
    }
    assert_eq!(commands, 5);
}
