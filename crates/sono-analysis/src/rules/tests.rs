use super::*;
use crate::examples::check_examples;

fn error(text: &str) -> String {
    Rules::only(text).map_or_else(|error| error.to_string(), |rules| rules.all().len().to_string())
}

const RULE: &str = "\
rules:
- id: a
  class: image
  any:
  - log: 'a (?P<key>\\S+)'
  sentence: The {key}.
  summary: Several.
  next: fix {key}
  produced: here
  examples: [{log: a b, key: b}]
  others: [{log: c}]
";

#[test]
fn built_in_rules_explain_their_examples() {
    // With the checks of rule files.
    let rules = Rules::only(BUILT_IN).unwrap();
    let problems: Vec<String> = check_examples(&rules).iter().map(ToString::to_string).collect();
    assert_eq!(problems, Vec::<String>::new());
    assert!(rules.all().len() >= 60, "{}", rules.all().len());
    assert_eq!(Rules::built_in().unwrap().all().len(), rules.all().len());
}

#[test]
fn wrong_rule_is_reported_with_its_position() {
    for (from, to, expected) in [
        ("", "", "1"),
        (
            "'a (?P<key>\\S+)'",
            "'a (?P<key>'",
            "line 5, column 5: invalid pattern: unclosed group",
        ),
        (
            "{key}.",
            "{kex}.",
            "line 6, column 13: no pattern captures `kex`: add a group (?P<kex>…)",
        ),
        (
            "- id: a",
            "- id: A",
            "line 2, column 7: invalid id `A`: use lower-case letters, digits and -",
        ),
        (
            "  - log:",
            "  - lag:",
            "line 5, column 5: unknown field `lag`, expected one of event, reason, state, resolved-by, pod, node, text, log, container, plugin, test, times",
        ),
        (
            "  - log:",
            "  - state: unready\n    log:",
            "line 5, column 5: reason, state and resolved-by require event",
        ),
        (
            "  - log:",
            "  - text: x\n    log:",
            "line 5, column 5: a matcher has only one of event, pod, node, text, log, container, plugin, test",
        ),
        (
            "summary: Several.",
            "summary: ''",
            "line 7, column 12: `summary` is empty",
        ),
    ] {
        let found = error(&RULE.replacen(from, to, 1));
        assert_eq!(found, expected, "{from} {to}");
    }
    assert!(error("rules: [").starts_with("line "), "{}", error("rules: ["));
}

#[test]
fn rule_of_a_file_replaces_the_one_with_its_id() {
    let count = Rules::built_in().unwrap().all().len();
    let added = Rules::with(RULE).unwrap();
    assert_eq!((added.all().len(), added.all()[0].id.as_str()), (count + 1, "a"));
    let first = Rules::built_in().unwrap().all()[0].id.clone();
    let replaced = Rules::with(&RULE.replace("id: a", &format!("id: {first}"))).unwrap();
    assert_eq!(
        (replaced.all().len(), replaced.all()[0].sentence.as_str()),
        (count, "The {key}.")
    );
}

#[test]
fn failed_examples_are_reported() {
    let problems = |text: &str| -> Vec<String> {
        check_examples(&Rules::only(text).unwrap())
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(problems(RULE), Vec::<String>::new());
    assert_eq!(
        problems(&RULE.replace("key: b", "key: c").replace("{log: c}", "{log: a d}")),
        [
            "rule `a`, examples 1: found key `b`, expected key `c`",
            "rule `a`, others 1: the rule matches `a d`"
        ]
    );
    let without = RULE.replace("  examples: [{log: a b, key: b}]\n", "");
    assert_eq!(problems(&without), ["rule `a`: `examples` is empty"]);
}

#[test]
fn expensive_patterns_are_refused() {
    let big = RULE.replace("a (?P<key>\\S+)", "(?P<key>((a{1000}){1000}){1000})");
    assert!(error(&big).contains("invalid pattern: "), "{}", error(&big));
    let long = format!("rules: [] #{}", "x".repeat(1 << 20));
    assert_eq!(error(&long), "the file exceeds 1048576 bytes");
}
