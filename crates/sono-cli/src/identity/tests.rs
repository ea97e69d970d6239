use serde_json::json;

use super::*;

fn deployment(uid: &str, id: Option<&str>, created: &str) -> Value {
    let annotations = id.map_or_else(|| json!({}), |id| json!({"sono-run-id": id}));
    json!({"kind": "Deployment",
        "metadata": {"uid": uid, "creationTimestamp": created, "labels": {"component": "sonobuoy"}},
        "spec": {"template": {"metadata": {"annotations": annotations,
            "labels": {"sonobuoy-component": "aggregator"}}}}})
}

struct Made<'a> {
    name: &'a str,
    id: Option<&'a str>,
    /// uid of the ReplicaSet.
    set: Option<&'a str>,
    created: &'a str,
    deleted: bool,
}

const PLAIN: Made<'_> = Made {
    name: "p",
    id: None,
    set: None,
    created: "2026-01-01T00:00:05Z",
    deleted: false,
};

fn pod(made: &Made<'_>) -> Pod {
    let mut pod = json!({"metadata": {"name": made.name, "uid": made.name, "creationTimestamp": made.created,
        "labels": {"sonobuoy-component": "aggregator"}}});
    if let Some(id) = made.id {
        pod["metadata"]["annotations"] = json!({"sono-run-id": id});
    }
    if let Some(set) = made.set {
        pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "s",
            "uid": set, "controller": true}]);
    }
    if made.deleted {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:09Z");
    }
    serde_json::from_value(pod).unwrap()
}

#[test]
fn pod_with_an_id_belongs_to_that_run_alone() {
    let run = Identity::of_deployment(&deployment("d", Some("a"), "2026-01-01T00:00:05Z"));
    let includes = |id, deleted| {
        run.includes(&pod(&Made {
            id,
            set: Some("s"),
            deleted,
            ..PLAIN
        }))
    };
    assert_eq!([true, false].map(|deleted| includes(Some("a"), deleted)), [true, true]);
    assert_eq!(
        [true, false].map(|deleted| includes(Some("b"), deleted)),
        [false, false]
    );
    // The annotation was removed.
    assert_eq!([true, false].map(|deleted| includes(None, deleted)), [false, true]);
}

/// Commit baf4e4a, and `gen | kubectl apply`.
#[test]
fn pod_without_an_id_belongs_to_a_deployment_that_is_not_younger() {
    let mut run = Identity::of_deployment(&deployment("d", None, "2026-01-01T00:00:05Z"));
    let of = |created, set, deleted| {
        pod(&Made {
            set,
            created,
            deleted,
            ..PLAIN
        })
    };
    let first = of("2026-01-01T00:00:05Z", Some("s"), false);
    assert!(run.includes(&first));
    assert!(!run.includes(&of("2026-01-01T00:00:04Z", Some("r"), false)));
    assert!(!run.includes(&of("2026-01-01T00:00:05Z", Some("r"), true)));
    // After a pod was seen, its ReplicaSet identifies the run better than times.
    run.learn(&first);
    assert!(run.includes(&of("2026-01-01T00:00:04Z", Some("s"), true)));
    assert!(!run.includes(&of("2026-01-01T00:00:06Z", Some("r"), false)));
}

/// `kubectl delete` and `kubectl apply` of one manifest, immediately after each other.
#[test]
fn pod_of_the_same_manifest_applied_before_belongs_to_another_run() {
    let run = Identity::of_deployment(&deployment("new", Some("a"), "2026-01-01T00:00:05Z"));
    let of = |created, set| {
        pod(&Made {
            id: Some("a"),
            set: Some(set),
            created,
            ..PLAIN
        })
    };
    assert!(!run.includes(&of("2026-01-01T00:00:04Z", "old")));
    assert!(run.includes(&of("2026-01-01T00:00:05Z", "new")));
    assert!(!run.includes_deployment(&deployment("old", Some("a"), "2026-01-01T00:00:01Z")));
    // If the Deployment is unknown, the ReplicaSet identifies the run.
    let seen = Identity::of_pod(&of("2026-01-01T00:00:05Z", "new"));
    assert!(!seen.includes(&of("2026-01-01T00:00:04Z", "old")));
    assert!(seen.includes(&of("2026-01-01T00:00:06Z", "new")));
}

#[test]
fn id_with_special_characters_is_rejected() {
    assert!(is_id("9681d597-8c1e-4d3c-9f5b-0c2d6f4a1b11"));
    for text in ["", "a b", "a/b", "[x](y)", "\u{1b}[31m", "é", &"a".repeat(101)] {
        assert!(!is_id(text), "{text:?}");
        assert_eq!(
            run_of(&format!("202601010000_sonobuoy_{text}.tar.gz")),
            None,
            "{text:?}"
        );
    }
}

/// Sonobuoy, and `--aggregator-workload pod`.
#[test]
fn single_pod_identifies_its_run() {
    let first = pod(&PLAIN);
    let run = Identity::of_pod(&first);
    let second = pod(&Made { name: "q", ..PLAIN });
    assert_eq!((run.includes(&first), run.includes(&second)), (true, false));
    assert!(!run.includes_deployment(&deployment("d", None, "2026-01-01T00:00:05Z")));
}

#[test]
fn newest_run_is_that_of_the_deployment_if_known() {
    let old = pod(&Made {
        name: "old",
        id: Some("a"),
        set: Some("s"),
        deleted: true,
        ..PLAIN
    });
    let young = pod(&Made {
        name: "young",
        id: Some("b"),
        set: Some("t"),
        ..PLAIN
    });
    let id = |pods: &[Pod], workload: &AggregatorWorkload| newest(pods, workload).and_then(|run| run.id);
    let made = AggregatorWorkload::Deployment(deployment("d", Some("b"), "2026-01-01T00:00:05Z"));
    let named = |id: &str| Some(id.to_owned());
    assert_eq!(id(std::slice::from_ref(&old), &made), named("b"));
    assert_eq!(id(std::slice::from_ref(&old), &AggregatorWorkload::None), named("a"));
    for workload in [made, AggregatorWorkload::None, AggregatorWorkload::Forbidden] {
        assert_eq!(id(&[old.clone(), young.clone()], &workload), named("b"));
    }
    assert_eq!(id(&[], &AggregatorWorkload::None), None);
}

#[test]
fn previous_run_leaves_if_its_pods_are_being_deleted() {
    let made = |set, deleted| pod(&Made { set, deleted, ..PLAIN });
    let leaves = Previous::Leaves(vec!["p".to_owned()]);
    let there = AggregatorWorkload::Deployment(deployment("d", None, "2026-01-01T00:00:05Z"));
    for (pod, workload, expected) in [
        (made(None, true), AggregatorWorkload::None, &leaves),
        (made(Some("s"), true), AggregatorWorkload::Forbidden, &leaves),
        // The Deployment was deleted; the garbage collector deletes the pod.
        (made(Some("s"), false), AggregatorWorkload::None, &leaves),
        (made(None, false), AggregatorWorkload::None, &Previous::Stays),
        (made(Some("s"), true), there, &Previous::Stays),
    ] {
        assert_eq!(previous(&[pod], &workload), *expected);
    }
    assert_eq!(previous(&[], &AggregatorWorkload::None), Previous::None);
}

#[test]
fn archive_with_another_id_in_its_name_belongs_to_another_run() {
    let run = Identity {
        id: Some("a".to_owned()),
        ..Identity::default()
    };
    let owns = |name: &str| {
        run.owns(&TarInfo {
            name: name.to_owned(),
            ..TarInfo::default()
        })
    };
    assert_eq!(
        [
            "202601010000_sonobuoy_a.tar.gz",
            "202601010000_sonobuoy_b.tar.gz",
            "x.tar.gz"
        ]
        .map(owns),
        [true, false, true]
    );
}

#[test]
fn plugin_pod_of_another_run_is_ignored() {
    let run = Identity {
        id: Some("a".to_owned()),
        ..Identity::default()
    };
    let may = |variables: Value| {
        let pod = json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "env": variables}]}});
        run.may_include(&serde_json::from_value(pod).unwrap())
    };
    assert!(may(json!([{"name": "SONO_RUN_ID", "value": "a"}])));
    assert!(!may(json!([{"name": "SONO_RUN_ID", "value": "b"}])));
    assert!(may(json!([])));
}
