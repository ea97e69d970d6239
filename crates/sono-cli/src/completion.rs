//! Shell completion: answers to our scripts, and to `__complete`, the protocol of kubectl and of Sonobuoy's scripts.

mod candidates;
mod values;

use std::{
    env,
    ffi::{OsStr, OsString},
    path::Path,
};

use clap_complete::{engine, env::Shells};

use crate::{args::Shell, error::CliError, output::Printer};

/// Environment variable of a completion request; its value is the shell's name.
const SHELL_VARIABLE: &str = "_SONO_COMPLETE";
/// The same, without descriptions.
const PLAIN_SHELL_VARIABLE: &str = "_SONO_COMPLETE_PLAIN";

/// Program name that kubectl calls for completion of its plugin.
const KUBECTL: &str = "kubectl_complete-sono";

/// Completion script of `shell` for the program, by the name it was called.
pub(crate) fn script(shell: Shell, is_plain: bool) -> Result<Vec<u8>, CliError> {
    let called = env::args_os().next().unwrap_or_default();
    let path = Path::new(&called);
    let name = path.file_stem().and_then(OsStr::to_str).unwrap_or("sono");
    // A program called by its path may be missing in PATH.
    let program = if path.components().count() > 1 {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        absolute.to_string_lossy().into_owned()
    } else {
        called.to_string_lossy().into_owned()
    };
    let shells = Shells::builtins();
    let writer = shells
        .completer(shell.name())
        .ok_or_else(|| CliError::new(format!("unsupported shell {}", shell.name())))?;
    let asked = if is_plain { PLAIN_SHELL_VARIABLE } else { SHELL_VARIABLE };
    let mut text = Vec::new();
    writer
        .write_registration(asked, name, name, &program, &mut text)
        .map_err(|error| CliError::new("cannot write the completion script").caused_by(&error))?;
    Ok(text)
}

/// Answers a completion request. `None` for an ordinary call.
pub(crate) fn answer(arguments: &[OsString], printer: &Printer) -> Option<Result<(), CliError>> {
    let variable = |name: &str| env::var(name).ok().filter(|shell| !shell.is_empty());
    if let Some(shell) = variable(SHELL_VARIABLE) {
        return Some(to_script(&shell, arguments, false, printer));
    }
    if let Some(shell) = variable(PLAIN_SHELL_VARIABLE) {
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

/// Answers our own script. The words follow `--`, the program's name first.
fn to_script(shell: &str, arguments: &[OsString], is_plain: bool, printer: &Printer) -> Result<(), CliError> {
    let shells = Shells::builtins();
    let Some(writer) = shells.completer(shell) else {
        return Err(CliError::new(format!("unsupported shell `{shell}`")));
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
    // An invalid line has no candidates.
    if writer
        .write_complete(&mut command, words, directory.as_deref(), &mut text)
        .is_ok()
    {
        printer.verbatim(&text)?;
    }
    Ok(())
}

/// Answers kubectl: one candidate per line, its description after a tab, then a directive: 4 disables file names, 2 a space.
fn to_kubectl(words: &[OsString], is_plain: bool, printer: &Printer) -> Result<(), CliError> {
    let mut line = vec![OsString::from("sono")];
    line.extend_from_slice(words);
    if words.is_empty() {
        line.push(OsString::new());
    }
    let mut command = values::command(&line, is_plain);
    let at = line.len() - 1;
    let directory = env::current_dir().ok();
    // An invalid line has no candidates.
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
