//! Queries against a fake API server, and everything that they write.

use std::{collections::BTreeMap, sync::Arc};

use sono_kube::Connection;
use sono_testkit::{FakeApi, forbidden};

use super::*;

mod kubelets;

struct Bench {
    api: FakeApi,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            api: FakeApi::start(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Runs the queries. Returns the problems and all files; values in `query-time.json` that differ between runs are removed.
    async fn query(&self, config: &str) -> (Vec<String>, BTreeMap<String, String>) {
        self.query_with(config, SecretValues::NotRead("not in this test")).await
    }

    async fn query_with(&self, config: &str, secrets: SecretValues) -> (Vec<String>, BTreeMap<String, String>) {
        let connection = Connection {
            kubeconfig: Some(self.api.write_kubeconfig(self.folder.path())),
            context: None,
        };
        let cluster = Cluster::connect(&connection).await.unwrap();
        let clock: Clock = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
        let directory = self.folder.path().join("out");
        let config = Config::from_json(config).unwrap();
        let limit = Duration::from_secs(30);
        let problems = tokio::time::timeout(limit, super::query(&cluster, &config, secrets, &directory, &clock))
            .await
            .unwrap();
        let mut files = BTreeMap::new();
        read(&directory, "", &mut files);
        if let Some(times) = files.get_mut(layout::QUERY_TIME) {
            let rows: Vec<Value> = serde_json::from_str(times).unwrap();
            let lines: Vec<String> = rows.into_iter().map(line).collect();
            *times = lines.join("\n");
        }
        (problems, files)
    }
}

fn line(mut row: Value) -> String {
    let fields = row.as_object_mut().unwrap();
    assert_eq!(fields.remove("start"), Some(json!("1970-01-01T00:00:00Z")));
    assert!(
        fields
            .remove("time")
            .is_some_and(|time| time.as_str().unwrap().ends_with('s'))
    );
    row.to_string()
}

fn read(directory: &Path, name: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs_err::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let own = entry.file_name().to_string_lossy().into_owned();
        let name = if name.is_empty() { own } else { format!("{name}/{own}") };
        if entry.file_type().unwrap().is_dir() {
            files.insert(format!("{name}/"), String::new());
            read(&entry.path(), &name, files);
        } else {
            files.insert(name, fs_err::read_to_string(entry.path()).unwrap());
        }
    }
}

/// The files that are not below `meta`, and no directories.
fn names(files: &BTreeMap<String, String>) -> Vec<&str> {
    let names = files.keys().map(String::as_str);
    names
        .filter(|name| !name.ends_with('/') && !name.starts_with("meta/"))
        .collect()
}

fn pod(namespace: &str, name: &str, containers: &[&str]) -> Value {
    let containers: Vec<Value> = containers.iter().map(|name| json!({"name": name})).collect();
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}, "uid": format!("{namespace}-{name}")},
        "spec": {"containers": containers}, "status": {"phase": "Running"}})
}

fn small_cluster(api: &FakeApi) {
    api.offer("apps", "v1", "deployments", "Deployment", true);
    api.offer("shop.example.com", "v1alpha1", "pods", "Pod", true);
    api.offer_broken("metrics.k8s.io", "v1beta1");
    for node in ["n1", "n2"] {
        api.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "managedFields": [{"a": 1}]}}));
    }
    api.put_text(
        "/api/v1/nodes/n1/proxy/configz",
        200,
        "{ \"kubeletconfig\": {\"maxPods\": 110} }",
    );
    api.put_text("/api/v1/nodes/n1/proxy/healthz", 200, "ok");
    api.put_text(
        "/api/v1/nodes/n2/proxy/configz",
        503,
        r#"{"kind":"Status","message":"error trying to reach service"}"#,
    );
    api.put_text("/api/v1/nodes/n2/proxy/healthz", 500, "[-]syncloop failed\n");
    api.put(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "data": {"a": "Yg=="}}));
    api.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "default"}, "data": {"PASSWORD": "p"}}));
    api.put(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "default"}, "spec": {"odd": [1.5]}}));
    let mut web = pod("kube-system", "web", &["a", "b"]);
    web["spec"]["initContainers"] = json!([{"name": "init"}]);
    web["status"]["containerStatuses"] = json!([
        {"name": "a", "restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}},
        {"name": "b", "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {}}]);
    api.put(web);
    api.put_log("kube-system", "web", "init", "ready\n");
    api.put_log("kube-system", "web", "a", "one\ntwo\n");
    api.put_previous_log("kube-system", "web", "a", "boom\n");
}

/// W-17, W-19: a broken API group and a broken node are one line each, and everything else is stored.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn queries_of_a_small_cluster_store_everything() {
    let bench = Bench::new();
    small_cluster(&bench.api);
    let (problems, files) = bench.query("{}").await;
    assert_eq!(
        problems,
        [
            "Discovery (metrics.k8s.io/v1beta1): reading /apis/metrics.k8s.io/v1beta1 was refused (503): the server is currently unable to handle the request",
            "Nodes: n2 configz: status 503: error trying to reach service, and 1 more",
        ]
    );
    let created = r#""creationTimestamp":"2026-09-21T14:13:20Z""#;
    let uid = |number: u32| format!(r#""uid":"00000000-0000-4000-8000-{number:012}""#);
    let end = |kind: &str| format!("],\"kind\":\"{kind}List\",\"metadata\":{{\"resourceVersion\":\"8\"}}}}\n");
    let node = |name: &str, number: u32| {
        format!(
            r#"{{"apiVersion":"v1","kind":"Node","metadata":{{{created},"name":"{name}","resourceVersion":"{number}",{}}}}}"#,
            uid(number)
        )
    };
    let namespace = |name: &str, number: u32| {
        format!(
            r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{{created},"name":"{name}","resourceVersion":"{number}",{}}},"status":{{"phase":"Active"}}}}"#,
            uid(number)
        )
    };
    let rows = [
        r#"{"apiVersion":"metrics.k8s.io/v1beta1","error":{"message":"reading /apis/metrics.k8s.io/v1beta1 was refused (503): the server is currently unable to handle the request"},"items":0,"outcome":"failed","queryobj":"Discovery"}"#,
        r#"{"items":3,"namespace":"kube-system","outcome":"complete","queryobj":"PodLogs"}"#,
        r#"{"error":{"count":2,"details":[{"message":"status 503: error trying to reach service","part":"n2 configz"},{"message":"status 500: [-]syncloop failed","part":"n2 healthz"}],"message":"n2 configz: status 503: error trying to reach service, and 1 more"},"items":3,"outcome":"partial","queryobj":"Nodes"}"#,
        r#"{"items":1,"outcome":"complete","queryobj":"serverversion"}"#,
        r#"{"items":1,"outcome":"complete","queryobj":"servergroups"}"#,
        r#"{"apiVersion":"v1","items":2,"outcome":"complete","queryobj":"namespaces"}"#,
        r#"{"apiVersion":"v1","items":2,"outcome":"complete","queryobj":"nodes"}"#,
        r#"{"apiVersion":"v1","items":1,"namespace":"default","outcome":"complete","queryobj":"configmaps"}"#,
        r#"{"apiVersion":"v1","items":0,"namespace":"default","outcome":"complete","queryobj":"events"}"#,
        r#"{"apiVersion":"v1","items":0,"namespace":"default","outcome":"complete","queryobj":"pods"}"#,
        r#"{"apiVersion":"v1","items":0,"namespace":"default","outcome":"complete","queryobj":"services"}"#,
        r#"{"apiVersion":"apps/v1","items":1,"namespace":"default","outcome":"complete","queryobj":"deployments"}"#,
        r#"{"apiVersion":"shop.example.com/v1alpha1","items":0,"namespace":"default","outcome":"complete","queryobj":"pods"}"#,
        r#"{"apiVersion":"v1","items":0,"namespace":"kube-system","outcome":"complete","queryobj":"configmaps"}"#,
        r#"{"apiVersion":"v1","items":0,"namespace":"kube-system","outcome":"complete","queryobj":"events"}"#,
        r#"{"apiVersion":"v1","items":1,"namespace":"kube-system","outcome":"complete","queryobj":"pods"}"#,
        r#"{"apiVersion":"v1","items":0,"namespace":"kube-system","outcome":"complete","queryobj":"services"}"#,
        r#"{"apiVersion":"apps/v1","items":0,"namespace":"kube-system","outcome":"complete","queryobj":"deployments"}"#,
        r#"{"apiVersion":"shop.example.com/v1alpha1","items":0,"namespace":"kube-system","outcome":"complete","queryobj":"pods"}"#,
    ];
    let mut web = bench.api.get("pods", Some("kube-system"), "web").unwrap();
    web["metadata"]["uid"] = "kube-system-web".into();
    let mut expected: BTreeMap<String, String> = [
        ("hosts/", String::new()),
        ("hosts/n1/", String::new()),
        ("hosts/n1/configz.json", "{\"kubeletconfig\":{\"maxPods\":110}}\n".to_owned()),
        ("hosts/n1/healthz.json", "{\"status\":200}\n".to_owned()),
        ("hosts/n2/", String::new()),
        ("hosts/n2/healthz.json", "{\"message\":\"[-]syncloop failed\",\"status\":500}\n".to_owned()),
        ("meta/", String::new()),
        ("meta/query-time.json", rows.join("\n")),
        ("podlogs/", String::new()),
        ("podlogs/kube-system/", String::new()),
        ("podlogs/kube-system/web/", String::new()),
        ("podlogs/kube-system/web/logs/", String::new()),
        ("podlogs/kube-system/web/logs/a.previous.txt", "boom\n".to_owned()),
        ("podlogs/kube-system/web/logs/a.txt", "one\ntwo\n".to_owned()),
        ("podlogs/kube-system/web/logs/init.txt", "ready\n".to_owned()),
        ("resources/", String::new()),
        ("resources/cluster/", String::new()),
        (
            "resources/cluster/core_v1_namespaces.json",
            format!("{{\"apiVersion\":\"v1\",\"items\":[{},{}{}", namespace("default", 1), namespace("kube-system", 2), end("Namespace")),
        ),
        (
            "resources/cluster/core_v1_nodes.json",
            format!("{{\"apiVersion\":\"v1\",\"items\":[{},{}{}", node("n1", 3), node("n2", 4), end("Node")),
        ),
        ("resources/ns/", String::new()),
        ("resources/ns/default/", String::new()),
        (
            "resources/ns/default/apps_v1_deployments.json",
            format!(
                r#"{{"apiVersion":"apps/v1","items":[{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{{created},"name":"d","namespace":"default","resourceVersion":"7",{}}},"spec":{{"odd":[1.5]}}}}{}"#,
                uid(7),
                end("Deployment")
            ),
        ),
        (
            "resources/ns/default/core_v1_configmaps.json",
            format!(
                r#"{{"apiVersion":"v1","items":[{{"apiVersion":"v1","data":{{"PASSWORD":"[redacted]"}},"kind":"ConfigMap","metadata":{{{created},"name":"m","namespace":"default","resourceVersion":"6",{}}}}}{}"#,
                uid(6),
                end("ConfigMap")
            ),
        ),
        ("resources/ns/kube-system/", String::new()),
        ("resources/ns/kube-system/core_v1_pods.json", format!("{{\"apiVersion\":\"v1\",\"items\":[{web}{}", end("Pod"))),
        (
            "servergroups.json",
            "{\"groups\":[{\"name\":\"\",\"preferredVersion\":{\"groupVersion\":\"v1\",\"version\":\"v1\"},\"versions\":[{\"groupVersion\":\"v1\",\"version\":\"v1\"}]},{\"name\":\"apps\",\"preferredVersion\":{\"groupVersion\":\"apps/v1\",\"version\":\"v1\"},\"versions\":[{\"groupVersion\":\"apps/v1\",\"version\":\"v1\"}]},{\"name\":\"shop.example.com\",\"preferredVersion\":{\"groupVersion\":\"shop.example.com/v1alpha1\",\"version\":\"v1alpha1\"},\"versions\":[{\"groupVersion\":\"shop.example.com/v1alpha1\",\"version\":\"v1alpha1\"}]},{\"name\":\"metrics.k8s.io\",\"preferredVersion\":{\"groupVersion\":\"metrics.k8s.io/v1beta1\",\"version\":\"v1beta1\"},\"versions\":[{\"groupVersion\":\"metrics.k8s.io/v1beta1\",\"version\":\"v1beta1\"}]}]}\n".to_owned(),
        ),
        (
            "serverversion.json",
            "{\"gitVersion\":\"v1.37.2\",\"major\":\"1\",\"minor\":\"37\",\"platform\":\"linux/amd64\"}\n".to_owned(),
        ),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text))
    .collect();
    let redacted = "resources/ns/default/core_v1_configmaps.json";
    let report = json!({
        "schema": 2, "total": 1, "engine": env!("CARGO_PKG_VERSION"), "verdict": "unproved",
        "redactions": [{"count": 1, "kind": "ConfigMap", "path": "data.PASSWORD", "reason": "name"}],
        "files": [{"path": redacted, "bytes": expected[redacted].len(), "hits": {"assignment": 1}}],
        "layers": {
            "assignments": {"ran": true}, "omission": {"ran": true}, "shapes": {"ran": true}, "structure": {"ran": true},
            "known": {"ran": false, "reason": "not in this test"},
        },
    });
    expected.insert(layout::REDACTIONS.to_owned(), format!("{report}\n"));
    for (name, text) in &expected {
        assert_eq!(files.get(name), Some(text), "{name}");
    }
    assert_eq!(files, expected);
}

#[tokio::test]
async fn resources_and_filters_select_the_queries() {
    let bench = Bench::new();
    small_cluster(&bench.api);
    let (problems, files) = bench.query(r#"{"Resources":[]}"#).await;
    assert_eq!((problems, names(&files)), (vec![], vec![]));
    assert_eq!(bench.api.requests(), Vec::<String>::new());
    let (problems, files) = bench
        .query(r#"{"Resources":["secrets","deployments","gone","serverversion"],"Filters":{"Namespaces":"^def","LabelSelector":"a!=b"}}"#)
        .await;
    assert_eq!(
        problems,
        [
            "Discovery (metrics.k8s.io/v1beta1): reading /apis/metrics.k8s.io/v1beta1 was refused (503): the server is currently unable to handle the request",
            "gone: no API group of this cluster serves this resource"
        ]
    );
    assert_eq!(
        names(&files),
        [
            "resources/ns/default/apps_v1_deployments.json",
            "resources/ns/default/core_v1_secrets.json",
            "serverversion.json"
        ]
    );
    // Named explicitly, a Secret is stored with its keys, without its values.
    assert!(files["resources/ns/default/core_v1_secrets.json"].contains(r#""data":{"a":"[redacted]"}"#));
    let lists: Vec<String> = bench
        .api
        .queries()
        .into_iter()
        .filter(|query| query.contains("labelSelector"))
        .collect();
    assert_eq!(lists.len(), 2, "{lists:?}");
    assert!(lists.contains(&"GET /api/v1/namespaces/default/secrets?labelSelector=a%21%3Db&limit=500".to_owned()));
}

/// A value of a Secret is found in objects without any mark of a secret, and a refusal is reported.
#[tokio::test]
async fn values_of_secrets_are_redacted_everywhere() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t", "namespace": "default"}, "data": {"a": "WnE4d0wybVB4N1J0"}});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n", "namespace": "default"}, "data": {"x": "see Zq8wL2mPx7Rt or WnE4d0wybVB4N1J0"}});
    let config = r#"{"Resources":["configmaps"],"Filters":{"Namespaces":"default"}}"#;
    let known = |files: &BTreeMap<String, String>| {
        let report: Value = serde_json::from_str(&files[layout::REDACTIONS]).unwrap();
        (
            report["layers"]["known"].clone(),
            report["verdict"].clone(),
            report["total"].clone(),
        )
    };
    let bench = Bench::new();
    small_cluster(&bench.api);
    bench.api.put(secret);
    bench.api.put(map);
    let (_, files) = bench.query_with(config, SecretValues::Read).await;
    assert!(files["resources/ns/default/core_v1_configmaps.json"].contains("see [redacted] or [redacted]"));
    let counts = json!({"values": 1, "trivial": 1, "public": 0, "not-searched": 0});
    assert_eq!(
        known(&files),
        (json!({"ran": true, "counts": counts}), json!("proved"), json!(3))
    );
    assert!(
        files
            .values()
            .all(|text| !text.contains("Zq8wL2mPx7Rt") && !text.contains("WnE4d0wybVB4N1J0"))
    );
    let off = SecretValues::of_run(&Config::from_json(r#"{"RedactKnown":"off"}"#).unwrap());
    let (_, files) = bench.query_with(config, off).await;
    assert_eq!(
        known(&files),
        (
            json!({"ran": false, "reason": "`RedactKnown` is `off`"}),
            json!("unproved"),
            json!(1)
        )
    );
}

/// W-18: an invalid expression is a failed row with a sentence, and all other queries are made.
#[tokio::test]
async fn invalid_filter_is_one_failed_row() {
    let bench = Bench::new();
    small_cluster(&bench.api);
    let (problems, files) = bench
        .query(r#"{"Resources":["pods","configmaps"],"Namespace":"default","Filters":{"Namespaces":"*"}}"#)
        .await;
    assert_eq!(
        problems[0],
        "Filters.Namespaces: `*` is not a regular expression: repetition operator missing expression; only the run's own namespace is queried"
    );
    assert_eq!(names(&files), ["resources/ns/default/core_v1_configmaps.json"]);
    assert!(files[layout::QUERY_TIME].starts_with(
        r#"{"error":{"message":"`*` is not a regular expression: repetition operator missing expression; only the run's own namespace is queried"},"items":0,"outcome":"failed","queryobj":"Filters.Namespaces"}"#
    ));
}

/// W-20: an unavailable log does not affect other logs, and its reason is reported.
#[tokio::test]
async fn missing_log_does_not_affect_other_logs() {
    let bench = Bench::new();
    let api = &bench.api;
    api.put(pod("kube-system", "a", &["x", "y"]));
    api.put(pod("kube-system", "b", &["x"]));
    api.put(pod("default", "c", &["x"]));
    api.put(pod("default", "d", &["x"]));
    for (namespace, name) in [("kube-system", "b"), ("default", "c"), ("default", "d")] {
        api.put_log(namespace, name, "x", "1\n2\n3\n");
    }
    api.put_log("kube-system", "a", "y", "yes\n");
    let config = r#"{"Resources":["podlogs"],"Limits":{"PodLogs":{"FieldSelectors":["metadata.name=c","metadata.name=b"],
        "TailLines":2,"LimitBytes":3}}}"#;
    let (problems, files) = bench.query(config).await;
    assert_eq!(
        problems,
        [
            "PodLogs of namespace kube-system: kube-system/a x: reading /api/v1/namespaces/kube-system/pods/a/log?container=x&tailLines=2&limitBytes=3 was refused (400): container \"x\" in pod \"a\" is waiting to start"
        ]
    );
    let logs: Vec<(&str, &str)> = names(&files)
        .into_iter()
        .map(|name| (name, files[name].as_str()))
        .collect();
    assert_eq!(
        logs,
        [
            ("podlogs/default/c/logs/x.txt", "2\n3"),
            ("podlogs/kube-system/a/logs/y.txt", "yes"),
            ("podlogs/kube-system/b/logs/x.txt", "2\n3"),
        ]
    );
    let rows: Vec<Value> = files[layout::QUERY_TIME]
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let counted: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["fieldSelector"].as_str(),
                row["items"].as_u64(),
                row["outcome"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        counted,
        [
            (None, Some(2), Some("partial")),
            (Some("metadata.name=c"), Some(1), Some("complete")),
            // Its only pod was already listed.
            (Some("metadata.name=b"), Some(0), Some("complete")),
        ]
    );
}

#[tokio::test]
async fn account_with_few_permissions_gets_the_allowed_objects() {
    let bench = Bench::new();
    small_cluster(&bench.api);
    for (path, plural) in [("/api/v1/namespaces", "namespaces"), ("/api/v1/nodes", "nodes")] {
        bench.api.fail("GET", path, forbidden("me", "list", plural, None));
    }
    bench.api.fail_times(
        "GET",
        "/api/v1/namespaces/default/configmaps",
        json!({"kind": "Status", "status": "Failure", "code": 429, "message": "slow down", "details": {"retryAfterSeconds": 0}}),
        1,
    );
    let (problems, files) = bench
        .query(r#"{"Namespace":"default","Resources":["nodes","namespaces","configmaps"]}"#)
        .await;
    assert_eq!(
        problems[1..],
        [
            "Namespaces: forbidden: user \"me\" cannot list resource \"namespaces\" at the cluster scope (and 3 more for this reason)"
        ]
    );
    assert_eq!(names(&files), ["resources/ns/default/core_v1_configmaps.json"]);
}

/// With many namespaces each resource is listed once and split; without the permission, it is listed per namespace.
#[tokio::test]
async fn many_namespaces_are_listed_at_once() {
    let bench = Bench::new();
    for number in 0..30 {
        let name = format!("ns{number:02}");
        bench
            .api
            .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        bench
            .api
            .put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": name}}));
    }
    let config = r#"{"Resources":["configmaps"],"QPS":-1}"#;
    let (problems, files) = bench.query(config).await;
    assert_eq!(problems, Vec::<String>::new());
    let found = names(&files).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let expected: Vec<String> = (0..30)
        .map(|number| format!("resources/ns/ns{number:02}/core_v1_configmaps.json"))
        .collect();
    assert_eq!(found, expected);
    assert!(files.contains_key("resources/ns/kube-system/"));
    assert_eq!(
        files[layout::QUERY_TIME],
        r#"{"apiVersion":"v1","items":30,"outcome":"complete","queryobj":"configmaps"}"#
    );
    // Discovery in two, namespaces, one list.
    assert_eq!(bench.api.requests().len(), 4);
    let first = files["resources/ns/ns07/core_v1_configmaps.json"].clone();
    bench
        .api
        .fail("GET", "/api/v1/configmaps", forbidden("me", "list", "configmaps", None));
    let (problems, files) = bench.query(config).await;
    assert_eq!(
        (problems, names(&files)),
        (vec![], expected.iter().map(String::as_str).collect())
    );
    assert_eq!(files["resources/ns/ns07/core_v1_configmaps.json"], first);
    // One row per namespace, including the two without objects.
    assert_eq!(files[layout::QUERY_TIME].lines().count(), 32);
    // A filter that selects few namespaces lists only those.
    let before = bench.api.requests().len();
    bench
        .query(r#"{"Resources":["configmaps"],"Filters":{"Namespaces":"^ns0[12]$"}}"#)
        .await;
    assert_eq!(bench.api.requests().len() - before, 5);
}

/// W-17, BUG 46: an aggregated API that discovery still lists but whose server does not respond is one line for all its resources,
/// and is queried once.
#[tokio::test]
async fn aggregated_api_without_its_server_is_one_row() {
    let bench = Bench::new();
    for plural in ["as", "bs", "cs"] {
        bench.api.offer("x.example.com", "v1", plural, "X", true);
        for namespace in ["default", "kube-system"] {
            let refusal = json!({"kind": "Status", "status": "Failure", "code": 503, "message": "no endpoints", "details": {"retryAfterSeconds": 0}});
            bench.api.fail(
                "GET",
                &format!("/apis/x.example.com/v1/namespaces/{namespace}/{plural}"),
                refusal,
            );
        }
    }
    bench
        .api
        .put(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"}}));
    let (problems, files) = bench
        .query(r#"{"Resources":["as","bs","cs","services"],"QPS":-1}"#)
        .await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].ends_with("was refused (503): no endpoints (and 5 more for this reason)"),
        "{problems:?}"
    );
    assert_eq!(names(&files), ["resources/ns/default/core_v1_services.json"]);
    assert_eq!(files[layout::QUERY_TIME].matches("no endpoints").count(), 6);
}

/// Names in discovery documents become parts of URLs and file names.
#[tokio::test]
async fn hostile_names_in_discovery_are_one_row_each_and_are_not_queried() {
    for aggregated in [true, false] {
        let bench = Bench::new();
        let long = "x".repeat(10_000);
        for plural in ["..", "%2e%2e", "a?b", "a\u{1b}[2J", "", &long] {
            bench.api.offer("x.example.com", "v1", plural, "X", true);
        }
        bench.api.offer("x.example.com", "v1", "things", "Thing", true);
        bench.api.offer("../../..", "v1", "things", "Thing", false);
        bench.api.offer("y.example.com", "../v1", "things", "Thing", false);
        bench
            .api
            .put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "default"}}));
        if !aggregated {
            bench.api.without_aggregated_discovery();
        }
        let (problems, files) = bench.query(r#"{"QPS":-1,"Resources":["configmaps"]}"#).await;
        let invalid = problems.iter().filter(|problem| problem.contains("invalid name"));
        assert_eq!(invalid.count(), 2, "{problems:?}");
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems.iter().all(|problem| problem.len() < 400), "{problems:?}");
        assert_eq!(names(&files), ["resources/ns/default/core_v1_configmaps.json"]);
        let hostile = |request: &String| {
            ["..", "%2e", "xxx", "?b", "\u{1b}"]
                .iter()
                .any(|part| request.contains(part))
        };
        let requests = bench.api.requests();
        assert!(!requests.iter().any(hostile), "{requests:?}");
    }
}

/// An unreachable API server is reported, and the files of the queries record it.
#[tokio::test]
async fn unreachable_api_server_is_reported() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().unwrap();
    let closed = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let kubeconfig = folder.path().join("kubeconfig");
    fs_err::write(
        &kubeconfig,
        bench
            .api
            .kubeconfig()
            .replace(bench.api.url(), &format!("http://{closed}")),
    )
    .unwrap();
    let connection = Connection {
        kubeconfig: Some(kubeconfig),
        context: None,
    };
    let cluster = Cluster::connect(&connection).await.unwrap();
    let clock: Clock = Arc::new(|| jiff::Timestamp::UNIX_EPOCH);
    let config = Config::from_json(r#"{"Resources":["serverversion"]}"#).unwrap();
    let secrets = SecretValues::NotRead("not in this test");
    let problems = query(&cluster, &config, secrets, &folder.path().join("out"), &clock).await;
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].starts_with(&format!("serverversion: cannot reach the cluster at http://{closed}")),
        "{problems:?}"
    );
    assert!(folder.path().join("out").join(layout::QUERY_TIME).exists());
}
