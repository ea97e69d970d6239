//! `cargo xtask tidy`: checks the architecture's invariants. One module per rule, each a plain function over text or values;
//! `workspace` reads those.

mod clippy;
mod code;
mod edges;
mod enabled;
mod evidence;
mod folders;
mod graph;
mod length;
mod manifest;
mod modules;
mod names;
mod violation;
mod workspace;

use std::{collections::BTreeMap, process::ExitCode};

use self::{
    violation::Violation,
    workspace::{MemberFiles, Workspace},
};
use crate::{repository, say};

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let workspace = workspace::gather(&repository::root())?;
    let violations = check(&workspace);
    for violation in &violations {
        say::data(violation);
    }
    let files: usize = workspace.members.iter().map(|files| files.sources.len()).sum();
    say::progress(format_args!(
        "tidy: checked {} members, {files} source files, {} packages; violations: {}",
        workspace.members.len(),
        workspace.enabled.len(),
        violations.len(),
    ));
    Ok(if violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// All violations, sorted by path and line.
fn check(workspace: &Workspace) -> Vec<Violation> {
    let mut violations = edges::check(workspace.members.iter().map(|files| &files.member));
    let built = enabled::check(&workspace.enabled);
    violations.extend(
        built
            .into_iter()
            .map(|message| Violation::at("Cargo.lock", None, message)),
    );
    for files in &workspace.members {
        violations.extend(manifest::check(&files.member.path, &files.member.manifest));
        violations.extend(check_sources(files));
        if edges::PURE.contains(&files.member.name.as_str()) {
            violations.extend(check_pure(files, workspace));
        } else if files.clippy.is_some() {
            violations.extend(check_clippy(files, workspace));
        }
    }
    violations.extend(check_pages(workspace));
    violations.sort();
    violations
}

fn check_pages(workspace: &Workspace) -> Vec<Violation> {
    let functions = workspace.members.iter().map(|files| {
        let texts = files.sources.values().map(String::as_str);
        (files.member.name.as_str(), evidence::functions(texts))
    });
    let functions = functions.collect();
    let pages = workspace.pages.iter();
    pages
        .flat_map(|(path, text)| evidence::check(path, text, &functions))
        .collect()
}

fn check_sources(files: &MemberFiles) -> Vec<Violation> {
    let texts: BTreeMap<&str, &str> = files
        .sources
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let orphans = modules::orphans(&texts, &files.roots);
    let mut violations: Vec<Violation> = orphans
        .into_iter()
        .map(|path| {
            Violation::at(
                path,
                None,
                "this file is not in any module: declare it with `mod` or delete it",
            )
        })
        .collect();
    violations.extend(folders::check(&format!("{}/src", files.directory), &texts));
    for (path, text) in texts {
        violations.extend(length::check(path, text));
        violations.extend(names::check(path, text));
    }
    violations
}

fn check_pure(files: &MemberFiles, workspace: &Workspace) -> Vec<Violation> {
    let forbidden = graph::check(&workspace.graph, &files.id, &files.member.name)
        .into_iter()
        .map(|message| Violation::at(&files.member.path, None, message));
    forbidden.chain(check_clippy(files, workspace)).collect()
}

fn check_clippy(files: &MemberFiles, workspace: &Workspace) -> Vec<Violation> {
    let copy = format!("{}/.clippy.toml", files.directory);
    let missing = clippy::missing(&workspace.clippy, files.clippy.as_deref().unwrap_or_default());
    let violation = |line| Violation::at(&copy, None, format!("a line of the root's file is missing: {line}"));
    missing.into_iter().map(violation).collect()
}
