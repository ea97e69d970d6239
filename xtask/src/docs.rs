//! `cargo xtask docs --check`: checks the pages. It runs their commands and compares the output, checks links, references to the
//! contract and the index, and requires a line for every message with a hint.
//!
//! [`blocks`] defines the markup of blocks; `docs/README.md` repeats it for authors.

mod blocks;
mod compare;
mod execute;
mod links;
mod messages;
mod references;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use clap::Args;
use fs_err as fs;
use sono_testbed::{command, repository, say, step::step};

use self::blocks::Block;

/// The front page, the folder of the other pages with commands, their index, and the page with all messages.
const FRONT: &str = "README.md";
const FOLDER: &str = "docs/";
const INDEX: &str = "docs/README.md";
const TROUBLESHOOTING: &str = "docs/troubleshooting.md";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Accepted for symmetry with `gen`: this task always checks
    #[arg(long)]
    check: bool,
    /// Run only the commands of these pages, without the other checks
    #[arg(value_name = "PAGE")]
    pages: Vec<PathBuf>,
}

/// An incorrect statement of a page.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    page: String,
    line: usize,
    message: String,
}

impl Problem {
    fn new(page: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            page: page.to_owned(),
            line,
            message: message.into(),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Arguments { check: _, pages } = arguments;
    let all = read_all("*.md")?;
    let mut problems = Vec::new();
    if pages.is_empty() {
        let found = step("checked links, references, index and messages", || check_texts(&all))?;
        problems.extend(found);
    }
    let program = program()?;
    let mut executed = 0;
    for (name, text) in &all {
        let is_chosen = pages.is_empty() || pages.iter().any(|page| page == Path::new(name));
        if !is_chosen || !has_commands(name) {
            continue;
        }
        let (blocks, found) = blocks::blocks(name, text);
        problems.extend(found);
        if blocks.iter().any(Block::is_executed) {
            executed += 1;
            let found = step(&format!("ran the commands of {name}"), || {
                execute::execute(name, &blocks, &program)
            })?;
            problems.extend(found);
        }
    }
    ensure!(executed > 0 || pages.is_empty(), "these pages have no commands");
    for Problem { page, line, message } in &problems {
        say::progress(format_args!("{page}:{line}: {message}"));
    }
    ensure!(problems.is_empty(), "{} problems in the pages", problems.len());
    Ok(ExitCode::SUCCESS)
}

fn has_commands(page: &str) -> bool {
    page == FRONT || page.strip_prefix(FOLDER).is_some_and(|rest| !rest.contains('/'))
}

/// Runs the checks that do not need the program.
fn check_texts(pages: &BTreeMap<String, String>) -> anyhow::Result<Vec<Problem>> {
    let root = repository::root();
    let exists = |path: &Path| root.join(path).exists();
    let mut problems = links::check(pages, &exists);
    let in_index = pages.get(INDEX).map(String::as_str).unwrap_or_default();
    problems.extend(links::missing(
        INDEX,
        in_index,
        pages.keys().filter(|page| *page != FRONT && has_commands(page)),
    ));
    let sources = read_all("*.rs")?;
    let definitions = pages.iter().filter(|(path, _)| references::has_sections(path));
    let sections: BTreeSet<String> = definitions.flat_map(|(_, text)| references::sections(text)).collect();
    for (path, text) in pages.iter().chain(&sources) {
        problems.extend(references::check(path, text, &sections));
    }
    let troubleshooting = pages.get(TROUBLESHOOTING).map(String::as_str).unwrap_or_default();
    for source in messages::SOURCES {
        for file in files_below(&root.join(source.path))? {
            let text = fs::read_to_string(&file)?;
            let found = messages::of_file(source, &text).with_context(|| format!("cannot parse {}", file.display()))?;
            for message in found {
                if !messages::has(troubleshooting, &message) {
                    let message = format!(
                        "missing line for `{message}` of {}",
                        file.strip_prefix(&root)?.display()
                    );
                    problems.push(Problem::new(TROUBLESHOOTING, 1, message));
                }
            }
        }
    }
    Ok(problems)
}

/// The file itself, or all Rust sources below a folder except for tests.
fn files_below(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let (mut files, mut pending) = (Vec::new(), vec![path.to_path_buf()]);
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// All files of the repository that match a pattern, by path with `/`.
fn read_all(pattern: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut list = command::new(
        "git",
        ["ls-files", "-z", "--cached", "--others", "--exclude-standard", pattern],
    );
    let listed = command::output(list.current_dir(repository::root()))?;
    let mut files = BTreeMap::new();
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let path = repository::root().join(name);
        // Git also lists deleted files that are not yet committed.
        if path.exists() {
            files.insert(name.to_owned(), fs::read_to_string(path)?.replace("\r\n", "\n"));
        }
    }
    Ok(files)
}

/// Builds the program of this tree and returns its path.
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
    let output = step("built the program", || {
        command::output(build.current_dir(repository::root()))
    })?;
    let executable = |line: &str| -> Option<PathBuf> {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_ours = message.pointer("/target/name")? == "sono";
        is_ours.then(|| message.get("executable")?.as_str().map(PathBuf::from))?
    };
    output
        .lines()
        .find_map(executable)
        .context("cargo did not report an executable `sono`")
}
