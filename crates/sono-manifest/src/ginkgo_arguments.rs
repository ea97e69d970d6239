//! Ginkgo's arguments in the variables of the Kubernetes test image. Arguments of the user are preserved.

use serde_json::{Value, json};

use crate::containers;

/// Variable with additional arguments for Ginkgo.
pub(crate) const VARIABLE: &str = "E2E_EXTRA_GINKGO_ARGS";
/// Variable with the separator of the arguments, by default a space.
const SEPARATOR: &str = "E2E_EXTRA_ARGS_SEP";
/// Ginkgo's arguments for the verbosity, without dashes.
const VERBOSITY_ARGUMENTS: [&str; 3] = ["v", "vv", "succinct"];

/// The value of the variable; the last entry with this name is effective.
pub(crate) fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let named = containers::each(container, "env").filter(|entry| containers::name(entry) == name);
    named.last()?.get("value")?.as_str()
}

/// Whether the arguments come from another object, so that they are unknown and cannot be changed.
pub(crate) fn is_indirect(container: &Value) -> bool {
    containers::each(container, "env")
        .find(|entry| containers::name(entry) == VARIABLE)
        .is_some_and(|entry| entry.get("valueFrom").is_some_and(|from| !from.is_null()))
}

/// The first argument with one of these names: `-v`, `--v`, `--procs=4`.
pub(crate) fn find<'a>(container: &'a Value, names: &[&str]) -> Option<&'a str> {
    let arguments = variable(container, VARIABLE).unwrap_or_default();
    arguments.split(separator(container)).find(|argument| {
        let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'));
        name.is_some_and(|name| names.contains(&name.split_once('=').map_or(name, |(name, _)| name)))
    })
}

/// Adds an argument after those of the user.
pub(crate) fn add(container: &mut Value, argument: &str) {
    let separator = separator(container);
    let own = variable(container, VARIABLE).unwrap_or_default();
    // Ginkgo would read an empty argument as a package name.
    let own = own.strip_suffix(separator).unwrap_or(own);
    let merged = if own.trim().is_empty() {
        argument.to_owned()
    } else {
        format!("{own}{separator}{argument}")
    };
    set(container, &merged);
}

/// Makes Ginkgo write name, time and duration of each test, unless the user chose a verbosity.
pub(crate) fn make_verbose(container: &mut Value) {
    if !is_indirect(container) && find(container, &VERBOSITY_ARGUMENTS).is_none() {
        add(container, "-v");
    }
}

fn separator(container: &Value) -> &str {
    variable(container, SEPARATOR)
        .filter(|separator| !separator.is_empty())
        .unwrap_or(" ")
}

fn set(container: &mut Value, value: &str) {
    let Some(list) = containers::list_mut(container, "env") else {
        return;
    };
    let variable = json!({ "name": VARIABLE, "value": value });
    match list.iter_mut().rev().find(|entry| containers::name(entry) == VARIABLE) {
        Some(entry) => *entry = variable,
        None => list.push(variable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_is_added_unless_the_user_chose_one() {
        for (own, expected) in [
            (json!([]), Some("-v")),
            (json!([{"name": VARIABLE, "value": ""}]), Some("-v")),
            (json!([{"name": VARIABLE, "value": "--procs=4"}]), Some("--procs=4 -v")),
            (json!([{"name": VARIABLE, "value": "--procs=4 "}]), Some("--procs=4 -v")),
            (json!([{"name": VARIABLE, "value": "-vv"}]), Some("-vv")),
            (json!([{"name": VARIABLE, "value": "--v=false"}]), Some("--v=false")),
            (
                json!([{"name": VARIABLE, "value": "--succinct --p"}]),
                Some("--succinct --p"),
            ),
            (
                json!([{"name": VARIABLE, "value": "--a=x -v"}, {"name": SEPARATOR, "value": ","}]),
                Some("--a=x -v,-v"),
            ),
            (json!([{"name": VARIABLE, "valueFrom": {"fieldRef": {}}}]), None),
        ] {
            let mut container = json!({ "env": own });
            make_verbose(&mut container);
            assert_eq!(variable(&container, VARIABLE), expected, "{own}");
            let again = container.clone();
            make_verbose(&mut container);
            assert_eq!(container, again, "make_verbose is idempotent");
        }
    }
}
