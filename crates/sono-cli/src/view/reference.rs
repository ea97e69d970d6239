//! Reference of all commands and flags as Markdown, from clap's definitions. Pure.

use std::fmt::Write as _;

use clap::{Arg, Command, builder::PossibleValue};

const HEAD: &str = "\
# Commands and flags

<!-- Written by `cargo xtask gen reference`; do not edit. -->

Flags may also precede the command name. `-h` prints the common flags of a command, `--help` prints all of them.
";

/// The reference page. `variables` are the names of flags with their environment variables.
pub(crate) fn markdown(mut program: Command, variables: &[(&str, &str)]) -> String {
    program.build();
    let mut text = HEAD.to_owned();
    let common: Vec<&Arg> = program.get_arguments().filter(|argument| is_shown(argument)).collect();
    write(&mut text, &format!("\n## Global flags\n\n{}", list(&common, variables)));
    for command in shown(&program) {
        describe(&mut text, command, &[program.get_name()], variables);
    }
    text
}

fn write(text: &mut String, more: &str) {
    text.write_str(more).expect("writing to a string cannot fail");
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    let commands = command.get_subcommands();
    commands.filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn is_shown(argument: &Arg) -> bool {
    !argument.is_hide_set() && argument.get_long() != Some("help")
}

fn describe(text: &mut String, command: &Command, above: &[&str], variables: &[(&str, &str)]) {
    let path = [above, &[command.get_name()]].concat();
    write(text, &format!("\n## {}\n", path.join(" ")));
    let about = command.get_long_about().or_else(|| command.get_about());
    if let Some(about) = about {
        write(
            text,
            &format!("\n{}.\n", about.to_string().trim().trim_end_matches('.')),
        );
    }
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        write(text, &format!("\nAlso: `{}`.\n", aliases.join("`, `")));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let usage: Vec<&str> = usage.lines().map(str::trim).collect();
    write(text, &format!("\n```text\n{}\n```\n", usage.join("\n")));
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| is_shown(argument) && !argument.is_global_set())
        .collect();
    if !own.is_empty() {
        write(text, &format!("\n{}", list(&own, variables)));
    }
    if let Some(more) = command.get_after_help() {
        write(text, &format!("\n```text\n{}\n```\n", more.to_string().trim()));
    }
    for command in shown(command) {
        describe(text, command, &path, variables);
    }
}

/// Positional arguments in their order, then flags by name.
fn list(arguments: &[&Arg], variables: &[(&str, &str)]) -> String {
    let mut sorted = arguments.to_vec();
    sorted.sort_by_key(|argument| {
        (
            !argument.is_positional(),
            argument.get_long().filter(|_| !argument.is_positional()),
        )
    });
    sorted.into_iter().map(|argument| item(argument, variables)).collect()
}

fn item(argument: &Arg, variables: &[(&str, &str)]) -> String {
    let mut names: Vec<String> = Vec::new();
    names.extend(argument.get_short().map(|letter| format!("-{letter}")));
    names.extend(argument.get_long().map(|name| format!("--{name}")));
    let values = values(argument);
    let mut line = match (names.is_empty(), values.is_empty()) {
        (true, _) => format!("- `{values}`"),
        (false, true) => format!("- `{}`", names.join(", ")),
        (false, false) => format!("- `{} {values}`", names.join(", ")),
    };
    let help = argument.get_long_help().or_else(|| argument.get_help());
    if let Some(help) = help {
        let help = help.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        line.push_str(": ");
        line.push_str(&escaped(help.trim_end_matches('.')));
    }
    let mut more = Vec::new();
    let possible = argument.get_possible_values();
    let possible: Vec<&str> = possible
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(PossibleValue::get_name)
        .collect();
    if argument.get_action().takes_values() && !possible.is_empty() {
        more.push(format!("one of `{}`", possible.join("`, `")));
    }
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        more.push(format!("default `{}`", defaults.join(",")));
    }
    let variable = variables.iter().find(|(flag, _)| argument.get_long() == Some(flag));
    more.extend(variable.map(|(_, variable)| format!("variable `{variable}`")));
    let aliases: Vec<String> = argument
        .get_visible_aliases()
        .unwrap_or_default()
        .into_iter()
        .map(|alias| format!("`--{alias}`"))
        .collect();
    if !aliases.is_empty() {
        more.push(format!("also {}", aliases.join(", ")));
    }
    if !more.is_empty() {
        write(&mut line, &format!(" ({})", more.join("; ")));
    }
    line.push('\n');
    line
}

/// `FILE`, `[FILE]`, `FILE…`.
fn values(argument: &Arg) -> String {
    if !argument.get_action().takes_values() {
        return String::new();
    }
    let own = [argument.get_id().as_str().to_uppercase()];
    let names: Vec<String> = match argument.get_value_names() {
        Some(names) => names.iter().map(ToString::to_string).collect(),
        None => own.to_vec(),
    };
    let names = names.join(" ");
    let range = argument.get_num_args();
    let is_optional =
        range.is_some_and(|range| range.min_values() == 0) || argument.is_positional() && !argument.is_required_set();
    let dots = if argument.is_positional() && range.is_some_and(|range| range.max_values() > 1) {
        "…"
    } else {
        ""
    };
    if is_optional {
        format!("[{names}]{dots}")
    } else {
        format!("{names}{dots}")
    }
}

/// Escapes Markdown's special characters outside code spans.
fn escaped(text: &str) -> String {
    let mut is_code = false;
    let mut escaped = String::new();
    for letter in text.chars() {
        if letter == '`' {
            is_code = !is_code;
        }
        if !is_code && matches!(letter, '<' | '*' | '_') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use clap::ArgAction;

    use super::*;

    #[test]
    fn a_program_is_described() {
        let program = Command::new("p")
            .arg(Arg::new("level").long("level").global(true).help("How much"))
            .subcommand(Command::new("hidden").hide(true))
            .subcommand(
                Command::new("do")
                    .about("Do it")
                    .visible_alias("make")
                    .arg(Arg::new("file").required(true).value_name("FILE"))
                    .arg(
                        Arg::new("wait")
                            .short('w')
                            .long("wait")
                            .num_args(0..=1)
                            .value_name("TIME")
                            .default_value("1"),
                    )
                    .arg(
                        Arg::new("all")
                            .long("all")
                            .action(ArgAction::SetTrue)
                            .help("Every *one* of `*`"),
                    )
                    .subcommand(Command::new("more").about("Do more.")),
            );
        assert_eq!(
            markdown(program, &[("wait", "P_WAIT")]).strip_prefix(HEAD),
            Some(
                "
## Global flags

- `--level LEVEL`: How much

## p do

Do it.

Also: `make`.

```text
p do [OPTIONS] <FILE> [COMMAND]
```

- `FILE`
- `--all`: Every \\*one\\* of `*`
- `-w, --wait [TIME]` (default `1`; variable `P_WAIT`)

## p do more

Do more.

```text
p do <FILE> more [OPTIONS]
```
"
            )
        );
    }
}
