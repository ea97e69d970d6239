//! What the shell is told to complete: answers to its scripts, and to `__complete`, the protocol that `kubectl` and scripts
//! made by Sonobuoy speak.

mod candidates;
mod values;

use std::{
    env,
    ffi::{OsStr, OsString},
    path::Path,
};

use clap_complete::{engine, env::Shells};

use crate::{args::Shell, error::CliError, output::Printer};

/// The variable by which a script asks, with the shell's name.
const ASKED: &str = "_SONO_COMPLETE";
/// The same, without descriptions.
const ASKED_PLAIN: &str = "_SONO_COMPLETE_PLAIN";

/// The name under which kubectl looks for a plugin's completion.
const KUBECTL: &str = "kubectl_complete-sono";

/// The script that makes `shell` complete the program under the name it was called by.
pub(crate) fn script(shell: Shell, is_plain: bool) -> Result<Vec<u8>, CliError> {
    let called = env::args_os().next().unwrap_or_default();
    let path = Path::new(&called);
    let name = path.file_stem().and_then(OsStr::to_str).unwrap_or("sono");
    // By a path it is not found in PATH.
    let program = if path.components().count() > 1 {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        absolute.to_string_lossy().into_owned()
    } else {
        called.to_string_lossy().into_owned()
    };
    let shells = Shells::builtins();
    let writer = shells
        .completer(shell.name())
        .ok_or_else(|| CliError::new(format!("nothing is known of the shell {}", shell.name())))?;
    let asked = if is_plain { ASKED_PLAIN } else { ASKED };
    let mut text = Vec::new();
    writer
        .write_registration(asked, name, name, &program, &mut text)
        .map_err(|error| CliError::new("cannot write the script").caused_by(&error))?;
    Ok(text)
}

/// Answers where a shell asks. `None` where nothing was asked: an ordinary call.
pub(crate) fn answer(arguments: &[OsString], printer: &Printer) -> Option<Result<(), CliError>> {
    let variable = |name: &str| env::var(name).ok().filter(|shell| !shell.is_empty());
    if let Some(shell) = variable(ASKED) {
        return Some(to_script(&shell, arguments, false, printer));
    }
    if let Some(shell) = variable(ASKED_PLAIN) {
        return Some(to_script(&shell, arguments, true, printer));
    }
    let (program, rest) = arguments.split_first()?;
    let called = Path::new(program).file_stem().unwrap_or_default();
    if called == KUBECTL {
        return Some(to_kubectl(rest, false, printer));
    }
    let (first, words) = rest.split_first()?;
    match first.to_str()? {
        "__complete" => Some(to_kubectl(words, false, printer)),
        "__completeNoDesc" => Some(to_kubectl(words, true, printer)),
        _ => None,
    }
}

/// Words after `--`, the program's name first.
fn to_script(shell: &str, arguments: &[OsString], is_plain: bool, printer: &Printer) -> Result<(), CliError> {
    let shells = Shells::builtins();
    let Some(writer) = shells.completer(shell) else {
        return Err(CliError::new(format!("nothing is known of the shell `{shell}`")));
    };
    let start = arguments
        .iter()
        .position(|argument| argument == "--")
        .map_or(arguments.len(), |at| at + 1);
    let words = arguments[start..].to_vec();
    if words.is_empty() {
        return Ok(());
    }
    let mut command = values::command(&words, is_plain);
    let directory = env::current_dir().ok();
    let mut text = Vec::new();
    // A line that cannot be understood has nothing to complete.
    if writer
        .write_complete(&mut command, words, directory.as_deref(), &mut text)
        .is_ok()
    {
        printer.verbatim(&text)?;
    }
    Ok(())
}

/// Each candidate on a line, what it means behind a tab, and at last a number: 4 forbids file names, 2 a space.
fn to_kubectl(words: &[OsString], is_plain: bool, printer: &Printer) -> Result<(), CliError> {
    let mut line = vec![OsString::from("sono")];
    line.extend_from_slice(words);
    if words.is_empty() {
        line.push(OsString::new());
    }
    let mut command = values::command(&line, is_plain);
    let at = line.len() - 1;
    let directory = env::current_dir().ok();
    // A line that cannot be understood has nothing to complete.
    let found = engine::complete(&mut command, line, at, directory.as_deref()).unwrap_or_default();
    let mut directive = 4;
    if let [one] = found.as_slice()
        && one.get_value().to_string_lossy().ends_with(['/', '='])
    {
        directive |= 2;
    }
    let mut text = String::new();
    for candidate in found {
        text.push_str(&candidate.get_value().to_string_lossy());
        if let Some(help) = candidate.get_help().filter(|_| !is_plain) {
            text.push('\t');
            text.push_str(help.to_string().lines().next().unwrap_or_default());
        }
        text.push('\n');
    }
    printer.verbatim(format!("{text}:{directive}\n").as_bytes())
}
