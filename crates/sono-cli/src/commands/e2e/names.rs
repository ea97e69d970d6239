//! Names of tests in the form that the suite's --focus and --skip match. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use regex::Regex;

/// Prefix of test names in reports.
const PREFIX: &str = "[It] ";

/// Entries of reports that are not tests.
static NON_TESTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\[(ReportBeforeSuite|ReportAfterSuite|SynchronizedBeforeSuite|SynchronizedAfterSuite|BeforeSuite|AfterSuite|ReportBeforeEach|ReportAfterEach|DeferCleanup \(Suite\))\]")
        .expect("it is an expression")
});

static TAG: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[.*?\]").expect("it is an expression"));

/// Removes duplicates, prefixes and entries that are not tests.
pub(super) fn clean(names: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names
        .into_iter()
        .map(|name| {
            let name = name.trim_end_matches(['\r', '\n']);
            name.strip_prefix(PREFIX).unwrap_or(name).to_owned()
        })
        .filter(|name| !name.trim().is_empty() && !NON_TESTS.is_match(name) && seen.insert(name.clone()))
        .collect()
}

/// Texts in brackets, each with its number of tests.
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

    /// BUG 32: additions of reports to names are removed.
    #[test]
    fn names_match_those_of_the_suite() {
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
