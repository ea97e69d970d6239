//! Names of tests, as the suite's own --focus and --skip see them. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;

/// Put before the name of each test in reports.
const PREFIX: &str = "[It] ";

/// What reports list among the tests and nobody can choose.
static NO_TEST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\[(ReportBeforeSuite|ReportAfterSuite|SynchronizedBeforeSuite|SynchronizedAfterSuite|BeforeSuite|AfterSuite|ReportBeforeEach|ReportAfterEach|DeferCleanup \(Suite\))\]")
        .expect("it is an expression")
});

static TAG: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[.*?\]").expect("it is an expression"));

/// Each name once, as it can be focused on.
pub(super) fn clean(names: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names
        .into_iter()
        .map(|name| {
            let name = name.trim_end_matches(['\r', '\n']);
            name.strip_prefix(PREFIX).unwrap_or(name).to_owned()
        })
        .filter(|name| !name.trim().is_empty() && !NO_TEST.is_match(name) && seen.insert(name.clone()))
        .collect()
}

/// What stands in brackets, and in how many names.
pub(super) fn tags<'a>(names: &[&'a str]) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    for name in names {
        let own: BTreeSet<&str> = TAG.find_iter(name).map(|found| found.as_str()).collect();
        for tag in own {
            *counts.entry(tag).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BUG 32: what reports add to the names is taken away.
    #[test]
    fn names_are_those_that_can_be_chosen() {
        let given = [
            "[It] [sig-a] b [Slow]",
            "[ReportBeforeSuite]",
            "[SynchronizedBeforeSuite] x",
            "[sig-a] b [Slow]",
            "",
            "[sig-c] d\r",
            "[DeferCleanup (Suite)]",
        ];
        let names = clean(given.map(str::to_owned).to_vec());
        assert_eq!(names, ["[sig-a] b [Slow]", "[sig-c] d"]);
    }

    #[test]
    fn tags_are_counted_once_for_each_test() {
        let counts = tags(&["[a] x [b] [a]", "[a] y", "z"]);
        assert_eq!(counts, BTreeMap::from([("[a]", 2), ("[b]", 1)]));
    }
}
