//! `cargo xtask docs --check`: the pages are true. Their commands are typed and what stands there compared with what is
//! printed, their links lead somewhere, the index has every page, and every message with a hint has its line.
//!
//! How a page says what is to be done with a block is told by [`blocks`]; `docs/README.md` repeats it for authors.

mod blocks;
mod compare;
mod links;
mod messages;
mod play;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use clap::Args;
use fs_err as fs;

use self::blocks::Block;
use crate::{command, repository, say, step::step};

/// Pages whose commands are typed, and the folder of those that the index has.
const FRONT: &str = "README.md";
const FOLDER: &str = "docs/";
const INDEX: &str = "docs/README.md";
const TROUBLE: &str = "docs/troubleshooting.md";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Accepted for symmetry with `gen`: checking is all that this does
    #[arg(long)]
    check: bool,
    /// Type the commands of these pages only, and look at nothing else
    #[arg(value_name = "PAGE")]
    pages: Vec<PathBuf>,
}

/// Something that is not as a page says, and where.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    page: String,
    line: usize,
    what: String,
}

impl Problem {
    fn new(page: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            page: page.to_owned(),
            line,
            what: what.into(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { check: _, pages } = arguments;
    let all = read_pages()?;
    let mut problems = Vec::new();
    if pages.is_empty() {
        let found = step("links, index and messages are looked at", || look(&all))?;
        problems.extend(found);
    }
    let program = program()?;
    let mut typed = 0;
    for (name, text) in &all {
        let wanted = pages.is_empty() || pages.iter().any(|page| page == Path::new(name));
        if !wanted || !is_typed(name) {
            continue;
        }
        let (blocks, found) = blocks::blocks(name, text);
        problems.extend(found);
        if blocks.iter().any(Block::is_typed) {
            typed += 1;
            let found = step(&format!("the commands of {name} are typed"), || {
                play::play(name, &blocks, &program)
            })?;
            problems.extend(found);
        }
    }
    ensure!(typed > 0 || pages.is_empty(), "none of these is a page with commands");
    for Problem { page, line, what } in &problems {
        say::progress(format_args!("{page}:{line}: {what}"));
    }
    ensure!(
        problems.is_empty(),
        "{} of the pages' claims do not hold",
        problems.len()
    );
    Ok(ExitCode::SUCCESS)
}

fn is_typed(page: &str) -> bool {
    page == FRONT || page.strip_prefix(FOLDER).is_some_and(|rest| !rest.contains('/'))
}

/// Everything that needs no program.
fn look(pages: &BTreeMap<String, String>) -> anyhow::Result<Vec<Problem>> {
    let root = repository::root();
    let is_there = |path: &Path| root.join(path).exists();
    let mut problems = links::check(pages, &is_there);
    let in_index = pages.get(INDEX).map(String::as_str).unwrap_or_default();
    problems.extend(links::missing(
        INDEX,
        in_index,
        pages.keys().filter(|page| *page != FRONT && is_typed(page)),
    ));
    let trouble = pages.get(TROUBLE).map(String::as_str).unwrap_or_default();
    for source in messages::SOURCES {
        for file in files_below(&root.join(source.path))? {
            let text = fs::read_to_string(&file)?;
            for message in (source.messages)(&text) {
                if !messages::has(trouble, &message) {
                    let what = format!("no line for `{message}` of {}", file.strip_prefix(&root)?.display());
                    problems.push(Problem::new(TROUBLE, 1, what));
                }
            }
        }
    }
    Ok(problems)
}

/// A file itself, or all Rust sources below a folder, without those of tests.
fn files_below(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let (mut files, mut open) = (Vec::new(), vec![path.to_path_buf()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// All pages of the repository, by their paths with `/`.
fn read_pages() -> anyhow::Result<BTreeMap<String, String>> {
    let mut list = command::new(
        "git",
        ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
    );
    let listed = command::output(list.current_dir(repository::root()))?;
    let mut pages = BTreeMap::new();
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let path = repository::root().join(name);
        // Git still lists what was removed a moment ago.
        if path.exists() {
            pages.insert(name.to_owned(), fs::read_to_string(path)?.replace("\r\n", "\n"));
        }
    }
    Ok(pages)
}

/// The program of this tree, built if need be.
fn program() -> anyhow::Result<PathBuf> {
    let mut build = command::new(
        command::cargo(),
        [
            "build",
            "--quiet",
            "--locked",
            "--package",
            "sono-cli",
            "--message-format",
            "json-render-diagnostics",
        ],
    );
    let said = step("the program is built", || {
        command::output(build.current_dir(repository::root()))
    })?;
    let executable = |line: &str| -> Option<PathBuf> {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_ours = message.pointer("/target/name")? == "sono";
        is_ours.then(|| message.get("executable")?.as_str().map(PathBuf::from))?
    };
    said.lines()
        .find_map(executable)
        .context("cargo names no executable `sono`")
}
