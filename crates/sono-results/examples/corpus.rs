//! `cargo xtask corpus DIR`: compares the readers of this crate with the independent reader of the test kit on all result
//! files of a directory, and prints differing verdicts and counts.
#![expect(clippy::print_stdout, reason = "a tool of this repository that prints what it finds")]

use std::{
    env, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use sono_results::{Compatibility, aggregate, read_result_file};
use sono_testkit::corpus::{self, Counts, Form};
use sono_types::{Item, ResultFormat};

fn main() -> io::Result<ExitCode> {
    let Some(folder) = env::args_os().nth(1) else {
        println!("usage: corpus DIR");
        return Ok(ExitCode::FAILURE);
    };
    let mut files = Vec::new();
    collect(Path::new(&folder), &mut files)?;
    files.sort();
    let (mut same, mut refused, mut different) = (0, 0, 0);
    for (form, file) in &files {
        let bytes = fs_err::read(file)?;
        let (status, counts) = ours(*form, &bytes);
        let file = file.display();
        match corpus::read(*form, &bytes) {
            Ok(other) if other.verdict == status && (other.counts == counts || other.counts.is_empty()) => same += 1,
            Ok(other) => {
                different += 1;
                println!(
                    "{file}: {status} {counts:?}; the independent reader: {} {:?}",
                    other.verdict, other.counts
                );
            }
            Err(reason) if matches!(status.as_str(), "failed" | "unknown") => {
                refused += 1;
                println!("{file}: {status} {counts:?}; not well-formed: {reason}");
            }
            Err(reason) => {
                different += 1;
                println!("{file}: {status} {counts:?}, although it is not well-formed: {reason}");
            }
        }
    }
    println!(
        "{} files: {same} the same, {refused} not well-formed, {different} different",
        files.len()
    );
    Ok(if different == 0 && !files.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn collect(folder: &Path, files: &mut Vec<(Form, PathBuf)>) -> io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(&path, files)?;
        } else if let Some(form) = path.extension().and_then(|end| Form::of_extension(end.to_str()?)) {
            files.push((form, path));
        }
    }
    Ok(())
}

fn ours(form: Form, bytes: &[u8]) -> (String, Counts) {
    let format = match form {
        Form::Junit => ResultFormat::Junit,
        Form::Go => ResultFormat::GoJson,
        Form::Manual => ResultFormat::Manual,
    };
    let (mut item, _): (Item, _) = read_result_file(format, "file", bytes, Compatibility::default());
    aggregate(&mut item, Compatibility::default());
    let mut counts = Counts::new();
    for leaf in item.leaves() {
        *counts.entry(leaf.status.clone()).or_default() += 1;
    }
    (item.status, counts)
}
