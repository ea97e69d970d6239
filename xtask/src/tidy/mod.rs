//! `cargo xtask tidy`: checks the architecture's invariants. One module per rule, each a plain function over text or values;
//! `workspace` reads those.

mod clippy;
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
mod words;
mod workspace;

use std::{collections::BTreeMap, process::ExitCode};

use sono_testbed::{repository, say};

use self::{
    violation::Violation,
    workspace::{MemberFiles, Workspace},
};
use crate::rust_source::Source;

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
    let mut hits = Vec::new();
    let mut functions = BTreeMap::new();
    for files in &workspace.members {
        violations.extend(manifest::check(&files.member.path, &files.member.manifest));
        let (sources, broken) = parse(files);
        violations.extend(broken);
        violations.extend(check_sources(files, &sources));
        hits.extend(sources.iter().flat_map(|(path, source)| words::in_source(path, source)));
        functions.insert(files.member.name.as_str(), evidence::functions(sources.values()));
        if edges::PURE.contains(&files.member.name.as_str()) {
            violations.extend(check_pure(files, workspace));
        } else if files.clippy.is_some() {
            violations.extend(check_clippy(files, workspace));
        }
    }
    for (path, text) in &workspace.pages {
        hits.extend(words::in_page(path, text));
        if evidence::PAGES.contains(&path.as_str()) {
            violations.extend(evidence::check(path, text, &functions));
        }
    }
    violations.extend(words::judge(&hits));
    violations.sort();
    violations
}

fn parse(files: &MemberFiles) -> (BTreeMap<&str, Source>, Vec<Violation>) {
    let mut broken = Vec::new();
    let mut sources = BTreeMap::new();
    for (path, text) in &files.sources {
        match Source::parse(text) {
            Ok(source) => {
                sources.insert(path.as_str(), source);
            }
            Err(error) => broken.push(Violation::at(path, error.span().start().line, error.to_string())),
        }
    }
    (sources, broken)
}

fn check_sources(files: &MemberFiles, sources: &BTreeMap<&str, Source>) -> Vec<Violation> {
    let by_path = sources.iter().map(|(path, source)| (*path, source)).collect();
    let orphans = modules::orphans(&by_path, &files.roots);
    let mut violations: Vec<Violation> = orphans
        .into_iter()
        .map(|path| Violation::at(path, None, "no `mod` declares this file: declare it or delete it"))
        .collect();
    violations.extend(folders::check(&format!("{}/src", files.directory), &by_path));
    for (path, text) in &files.sources {
        violations.extend(length::check(path, text));
    }
    violations.extend(sources.iter().flat_map(|(path, source)| names::check(path, source)));
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
