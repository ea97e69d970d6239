//! Reference of all commands and flags as Markdown, from clap's definitions. Pure.

use std::{cmp::Reverse, collections::BTreeMap, fmt::Write as _};

use clap::{Arg, Command, builder::PossibleValue};

const HEAD: &str = "\
# Commands and flags

<!-- Written by `cargo xtask gen reference`; do not edit. -->

Flags may also precede the command name. `-h` prints the common flags of a command, `--help` prints all of them.
";

/// A command with its own arguments.
struct Section<'a> {
    command: &'a Command,
    /// Names of the program, of the commands above it, and of the command.
    path: Vec<&'a str>,
    items: Vec<Item>,
}

/// An argument of a command.
struct Item {
    /// `--NAME`, or `-N` for a flag without a long name; `None` for a positional argument.
    flag: Option<String>,
    line: String,
}

/// Flags with the same line in several commands: name, line, and indices of the sections.
type Common<'a> = BTreeMap<(&'a str, &'a str), Vec<usize>>;

/// The reference page. `variables` are the names of flags with their environment variables.
pub(crate) fn markdown(mut program: Command, variables: &[(&str, &str)]) -> String {
    program.build();
    let mut text = HEAD.to_owned();
    let global: Vec<&Arg> = program.get_arguments().filter(|argument| is_shown(argument)).collect();
    let global: String = items(global, variables).into_iter().map(|item| item.line).collect();
    write(&mut text, &format!("\n## Global flags\n\n{global}"));
    let mut sections = Vec::new();
    for command in shown(&program) {
        collect(&mut sections, command, &[program.get_name()], variables);
    }
    let common = common(&sections);
    write(&mut text, &common_flags(&sections, &common));
    for section in &sections {
        describe(&mut text, section, &common);
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

/// Appends the command and all commands below it.
fn collect<'a>(sections: &mut Vec<Section<'a>>, command: &'a Command, above: &[&'a str], variables: &[(&str, &str)]) {
    let path = [above, &[command.get_name()]].concat();
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| is_shown(argument) && !argument.is_global_set())
        .collect();
    sections.push(Section {
        command,
        path: path.clone(),
        items: items(own, variables),
    });
    for below in shown(command) {
        collect(sections, below, &path, variables);
    }
}

fn common<'a>(sections: &'a [Section<'_>]) -> Common<'a> {
    let mut common = Common::new();
    for (index, section) in sections.iter().enumerate() {
        for Item { flag, line } in &section.items {
            if let Some(flag) = flag {
                common.entry((flag.as_str(), line.as_str())).or_default().push(index);
            }
        }
    }
    common.retain(|_, users| users.len() > 1);
    common
}

/// The section of the common flags, grouped by their commands; flags of most commands are first.
fn common_flags(sections: &[Section<'_>], common: &Common<'_>) -> String {
    let mut groups: BTreeMap<(Reverse<usize>, &[usize]), String> = BTreeMap::new();
    for ((_, line), users) in common {
        let group = groups.entry((Reverse(users.len()), users.as_slice())).or_default();
        group.push_str(line);
    }
    let mut text = String::new();
    if !groups.is_empty() {
        text.push_str("\n## Common flags\n\nFlags with the same meaning in several commands, after the names of these commands.\n");
    }
    for ((_, users), lines) in groups {
        let names: Vec<String> = users
            .iter()
            .filter_map(|&user| sections.get(user))
            .map(|section| format!("`{}`", section.path.get(1..).unwrap_or_default().join(" ")))
            .collect();
        write(&mut text, &format!("\n{}:\n\n{lines}", names.join(", ")));
    }
    text
}

fn describe(text: &mut String, section: &Section<'_>, common: &Common<'_>) {
    let Section { command, path, items } = section;
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
    let usage = (*command).clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let usage: Vec<&str> = usage.lines().map(str::trim).collect();
    write(text, &format!("\n```text\n{}\n```\n", usage.join("\n")));
    let mut own = String::new();
    let mut shared: Vec<String> = Vec::new();
    for Item { flag, line } in items {
        match flag {
            Some(flag) if common.contains_key(&(flag.as_str(), line.as_str())) => shared.push(format!("`{flag}`")),
            _ => own.push_str(line),
        }
    }
    if !own.is_empty() {
        write(text, &format!("\n{own}"));
    }
    if !shared.is_empty() {
        write(
            text,
            &format!("\n[Common flags](#common-flags): {}.\n", shared.join(", ")),
        );
    }
    if let Some(more) = command.get_after_help() {
        write(text, &format!("\n```text\n{}\n```\n", more.to_string().trim()));
    }
}

/// Positional arguments in their order, then flags by name.
fn items(mut arguments: Vec<&Arg>, variables: &[(&str, &str)]) -> Vec<Item> {
    arguments.sort_by_key(|argument| {
        (
            !argument.is_positional(),
            argument.get_long().filter(|_| !argument.is_positional()),
        )
    });
    let named = |argument: &Arg| {
        let long = argument.get_long().map(|name| format!("--{name}"));
        Item {
            flag: long.or_else(|| argument.get_short().map(|letter| format!("-{letter}"))),
            line: item(argument, variables),
        }
    };
    arguments.into_iter().map(named).collect()
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

    #[test]
    fn flags_of_several_commands_are_listed_once() {
        let flag =
            |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
        let program = Command::new("p")
            .subcommand(
                Command::new("a")
                    .arg(flag("own", "Own"))
                    .arg(flag("two", "Of a and b"))
                    .arg(flag("all", "Of all"))
                    .subcommand(Command::new("c").arg(flag("all", "Of all"))),
            )
            .subcommand(
                Command::new("b")
                    .arg(flag("own", "Other"))
                    .arg(flag("two", "Of a and b"))
                    .arg(flag("all", "Of all")),
            );
        assert_eq!(
            markdown(program, &[]).strip_prefix(HEAD),
            Some(
                "
## Global flags


## Common flags

Flags with the same meaning in several commands, after the names of these commands.

`a`, `a c`, `b`:

- `--all`: Of all

`a`, `b`:

- `--two`: Of a and b

## p a

```text
p a [OPTIONS] [COMMAND]
```

- `--own`: Own

[Common flags](#common-flags): `--all`, `--two`.

## p a c

```text
p a c [OPTIONS]
```

[Common flags](#common-flags): `--all`.

## p b

```text
p b [OPTIONS]
```

- `--own`: Other

[Common flags](#common-flags): `--all`, `--two`.
"
            )
        );
    }
}
