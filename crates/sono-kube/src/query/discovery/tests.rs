use serde_json::json;

use super::*;

/// Names with special meaning in a URL, a path or a terminal; names that are too long or empty.
fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "",
        ".",
        "..",
        "/",
        "../../etc",
        "a/../b",
        "%2e%2e",
        "%2F",
        "a?x=1",
        "a#b",
        "\\",
        "a\0",
        "\u{1b}]0;t\u{7}",
        "\u{9b}2J",
        "\u{202e}",
        " ",
        "-rf",
        "*",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(10_000));
    names
}

fn paths(found: &Found) -> Vec<String> {
    found
        .resources
        .iter()
        .map(|resource| resource.path(Some("ns")))
        .collect()
}

fn aggregated(group: &str, version: &str, plural: &str) -> Value {
    json!({"kind": "APIGroupDiscoveryList", "items": [{"metadata": {"name": group}, "versions": [
        {"version": version, "freshness": "Current", "resources": [
            {"resource": "widgets", "responseKind": {"kind": "Widget"}, "scope": "Namespaced", "verbs": ["list"]},
            {"resource": plural, "responseKind": {"kind": "X"}, "scope": "Namespaced", "verbs": ["list"]}]}]}]})
}

#[test]
fn hostile_names_of_resources_are_one_problem_and_the_others_are_read() {
    for name in hostile() {
        let mut rejected = Rejected::default();
        let parts = read_versions(&aggregated("x.io", "v1", &name), &mut rejected);
        assert_eq!(rejected, Rejected::default());
        let [
            Part {
                resources: Some(found), ..
            },
        ] = &parts[..]
        else {
            panic!("{parts:?}");
        };
        assert_eq!(paths(found), ["/apis/x.io/v1/namespaces/ns/widgets"], "{name:?}");
        assert_eq!(found.rejected.count, 1, "{name:?}");

        let verbs = json!(["get", "list"]);
        let document = json!({"kind": "APIResourceList", "resources": [
            {"name": name, "kind": "X", "namespaced": true, "verbs": verbs},
            {"name": "widgets", "kind": "Widget", "namespaced": true, "verbs": verbs},
            {"name": "widgets/status", "kind": "Widget", "namespaced": true, "verbs": verbs}]});
        let (group, version) = (ApiName::core(), ApiName::parse_group("v1").unwrap());
        let found = read_resources(&document, &group, &version);
        assert_eq!(paths(&found), ["/api/v1/namespaces/ns/widgets"], "{name:?}");
        // With a slash it is a subresource, which is not listed anyway.
        assert_eq!(found.rejected.count, usize::from(!name.contains('/')), "{name:?}");
    }
}

#[test]
fn hostile_names_of_groups_and_versions_are_one_problem_and_are_not_queried() {
    let hostile = hostile();
    for name in hostile.iter().map(String::as_str).chain(["core", "a_b"]) {
        for (group, version) in [(name, "v1"), ("x.io", name)] {
            // An empty group is the core group.
            let is_core = group.is_empty();
            let mut rejected = Rejected::default();
            let parts = read_versions(&aggregated(group, version, "more"), &mut rejected);
            assert_eq!(
                (parts.len(), rejected.count),
                (usize::from(is_core), usize::from(!is_core)),
                "{name:?}"
            );

            let groups = json!({"kind": "APIGroupList", "groups": [{"name": group, "versions": [{"version": version}],
                "preferredVersion": {"version": version}}]});
            let mut rejected = Rejected::default();
            assert_eq!(read_versions(&groups, &mut rejected), [], "{name:?}");
            assert_eq!(rejected.count, 1, "{name:?}");
        }
        let versions = json!({"kind": "APIVersions", "versions": ["v1", name]});
        let mut rejected = Rejected::default();
        assert_eq!(read_versions(&versions, &mut rejected).len(), 1, "{name:?}");
        assert_eq!(rejected.count, 1, "{name:?}");
    }
}

#[test]
fn problem_of_invalid_names_is_one_short_line() {
    let mut rejected = Rejected::default();
    assert_eq!(Rejected::default().problem("/apis"), None);
    rejected.valid(ApiName::parse(".."));
    let problem = |rejected: &Rejected| {
        let Rejected { count, first } = rejected;
        let (count, first) = (*count, first.clone());
        Rejected { count, first }.problem("x.io/v1").unwrap()
    };
    assert_eq!(
        problem(&rejected),
        DiscoveryProblem {
            part: "x.io/v1".to_owned(),
            message: "an invalid name is not queried: `..` may contain letters, digits, `-`, `_` and `.` only, and must begin and end \
                      with a letter or digit"
                .to_owned(),
        }
    );
    for name in hostile() {
        rejected.valid(ApiName::parse(&name));
    }
    let message = problem(&rejected).message;
    assert!(
        message.starts_with("20 invalid names are not queried; the first: `..` may"),
        "{message}"
    );
    assert!(message.len() < 200 && !message.contains(char::is_control), "{message}");
}

/// The three names are one file name, which has 255 bytes at most.
#[test]
fn names_that_are_too_long_together_are_rejected() {
    let group = ApiName::parse_group(&"g".repeat(200)).unwrap();
    let version = ApiName::parse_group("v1").unwrap();
    let made = |length: usize| Resource::new(&group, &version, &"p".repeat(length), "K", true);
    assert!(made(38).is_ok());
    assert!(matches!(made(39), Err(ApiNameError::Long { .. })));
}

/// Discovery documents in which everything is of a wrong type.
#[test]
fn documents_of_other_shapes_have_no_resources() {
    for document in [
        json!(null),
        json!([]),
        json!({"kind": "APIGroupDiscoveryList", "items": {"a": 1}}),
        json!({"kind": "APIGroupDiscoveryList", "items": [1, null, {"metadata": 1, "versions": 1}]}),
        json!({"kind": "APIVersions", "versions": [1, {}]}),
        json!({"groups": [null, {"name": "x.io", "versions": "v1"}]}),
    ] {
        let mut rejected = Rejected::default();
        assert_eq!(read_versions(&document, &mut rejected), [], "{document}");
    }
}
