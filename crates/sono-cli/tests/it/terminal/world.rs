//! A hostile cluster, archive, definitions and lists.

use std::{fmt::Write as _, path::Path};

use serde_json::{Value, json};
use sono_analysis::{Card, CardFailure, CardPlugin};
use sono_history::{Added, History};
use sono_testkit::FakeApi;
use tempfile::TempDir;

use super::{
    registry::{IMAGES, Registry},
    scenarios::{Cluster, Scenario},
};

/// A colour that the program does not use.
pub(super) const COLOUR: &str = "\u{1b}[38;5;201m";

macro_rules! line {
    () => {
        "EVIL \u{1b}[38;5;201mred\u{1b}]0;title\u{7}\u{1b}]52;c;eA==\u{1b}\\\u{1b}[2J\u{9b}2J\u{9d}0;x\u{9c}\u{85}\u{7f}\u{8}\u{61c}\u{200e}\u{202e}\u{2066}\u{2028}\u{200b}\u{feff} [x](http://e.example) ![i](http://e.example/i) <img src=x> | `c` *b* @m a\\|b"
    };
}
/// Hostile text within a line.
pub(super) const LINE: &str = line!();
/// Hostile text with line breaks that forge lines.
pub(super) const TEXT: &str = concat!(line!(), "\rover\nFORGED\n# h\n  hint:  FORGED");
/// Hostile file name.
pub(super) const NAME: &str = "EVIL\u{1b}[38;5;201mred\u{1b}]0;t\u{7}\u{9b}2J\u{7f}\u{202e}\u{200b}[x](y)";

const NAMESPACE: &str = "sonobuoy";

#[derive(Debug)]
pub(super) struct World {
    directory: TempDir,
    api: FakeApi,
    registry: Option<Registry>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Cluster::Running)
    }

    pub(super) fn for_scenario(scenario: &Scenario) -> Self {
        let mut world = Self::with(scenario.cluster);
        if scenario.uses_registry() {
            world.start_registry();
        }
        world
    }

    fn start_registry(&mut self) {
        let definition = fs_err::read_to_string(self.directory().join("good.yaml")).unwrap();
        let registry = Registry::start(&definition);
        for name in IMAGES {
            let definition = format!(
                "sonobuoy-config:\n  driver: Job\n  plugin-name: mine\n  result-format: raw\nspec:\n  name: c\n  image: {}/{name}:1\n",
                registry.address()
            );
            fs_err::write(self.directory().join(format!("{name}.yaml")), definition).unwrap();
        }
        self.registry = Some(registry);
    }

    fn with(state: Cluster) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let api = cluster(state);
        let kubeconfig = api
            .kubeconfig()
            .replace("name: fake", &format!("name: {}", ascii(&json!(LINE))));
        let kubeconfig = kubeconfig.replace(": fake", &format!(": {}", ascii(&json!(LINE))));
        fs_err::write(directory.path().join("kubeconfig"), kubeconfig).unwrap();
        archive(directory.path());
        history(directory.path());
        definitions(directory.path());
        fs_err::write(
            directory.path().join("tests.txt"),
            format!("{LINE} [EVIL {COLOUR}\u{9b}2J]\nplain\n"),
        )
        .unwrap();
        submission(directory.path());
        Self {
            directory,
            api,
            registry: None,
        }
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn variables(&self) -> [(&'static str, String); 2] {
        let file = |name: &str| self.directory().join(name).display().to_string();
        [
            ("KUBECONFIG", file("kubeconfig")),
            ("GITHUB_STEP_SUMMARY", file("summary.md")),
        ]
    }

    /// The command and arguments of a scenario.
    pub(super) fn arguments(&self, scenario: &Scenario) -> Vec<String> {
        let command = scenario.command.split(' ');
        command
            .chain(scenario.arguments.iter().copied())
            .map(|word| word.replace("URL", self.api.url()))
            .map(|word| match &self.registry {
                Some(registry) => word.replace("REGISTRY", registry.address()),
                None => word,
            })
            .collect()
    }

    /// Removes and returns the step summary.
    pub(super) fn summary(&self) -> Option<String> {
        let file = self.directory().join("summary.md");
        let text = fs_err::read_to_string(&file).ok()?;
        fs_err::remove_file(file).unwrap();
        Some(text)
    }
}

/// A submission folder with hostile fields.
fn submission(directory: &Path) {
    let folder = directory.join("v1.37/acme");
    fs_err::create_dir_all(&folder).unwrap();
    let product = format!(
        "type: {}\ncontact_email_address: {}\n",
        ascii(&json!(TEXT)),
        ascii(&json!(LINE))
    );
    fs_err::write(folder.join("PRODUCT.yaml"), product).unwrap();
    fs_err::write(folder.join("notes.txt"), LINE).unwrap();
}

fn cluster(state: Cluster) -> FakeApi {
    let api = FakeApi::start();
    let version =
        json!({"major": "1", "minor": "37", "gitVersion": format!("v1.37.2-{LINE}"), "platform": "linux/amd64"});
    api.put_text("/version", 200, &version.to_string());
    let hostile = json!({"message": TEXT, "reason": TEXT, "type": "NamespaceContentRemaining", "status": "True"});
    let namespace = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"e2e-framework": "x",
            "component": "sonobuoy"}}, "status": {"phase": "Active", "conditions": [hostile]}})
    };
    api.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}}));
    api.put(namespace(NAME));
    if state == Cluster::Empty {
        return api;
    }
    api.put(namespace(NAMESPACE));
    if state == Cluster::Broken {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden", "message": TEXT});
        for path in ["pods", "pods/sonobuoy", "deployments"] {
            api.fail("GET", &format!("/api/v1/namespaces/{NAMESPACE}/{path}"), status.clone());
        }
        for path in [
            format!("/api/v1/namespaces/{NAMESPACE}"),
            "/api/v1/namespaces".to_owned(),
        ] {
            for method in ["GET", "DELETE", "POST"] {
                api.fail(method, &path, status.clone());
            }
        }
        return api;
    }
    let waiting = json!({"name": "kube-sonobuoy", "image": LINE, "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ErrImagePull", "message": TEXT}}});
    let ended = json!({"name": "c", "image": LINE, "imageID": "", "ready": false, "restartCount": 1,
        "state": {"terminated": {"exitCode": 2, "reason": TEXT, "message": TEXT}},
        "lastState": {"terminated": {"exitCode": 1, "reason": TEXT, "message": TEXT}}});
    let run_status = status(state);
    let (phase, containers, annotations) = match state {
        Cluster::Pending => ("Pending", json!([waiting]), json!({})),
        _ => (
            "Running",
            json!([{"name": "kube-sonobuoy", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]),
            json!({"sonobuoy.hept.io/status": run_status.to_string()}),
        ),
    };
    api.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "sonobuoy", "namespace": NAMESPACE, "annotations": annotations,
            "labels": {"component": "sonobuoy", "sonobuoy-component": "aggregator"}},
        "spec": {"nodeName": LINE, "containers": [{"name": "kube-sonobuoy", "image": LINE}]},
        "status": {"phase": phase, "startTime": "2026-01-01T00:00:00Z", "containerStatuses": containers}}));
    let plugin_waiting = json!({"name": "c", "image": LINE, "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "CreateContainerConfigError", "message": TEXT}}});
    for (name, status) in [("waits", plugin_waiting), ("ended", ended)] {
        api.put(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE,
                "labels": {"component": "sonobuoy", "sonobuoy-component": "plugin", "sonobuoy-plugin": TEXT}},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": LINE}]},
            "status": {"phase": "Pending", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [status]}}));
    }
    api.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": NAME, "namespace": NAMESPACE,
            "labels": {"component": "sonobuoy", "sonobuoy-component": "plugin", "sonobuoy-plugin": "p"}},
        "spec": {"containers": [{"name": NAME, "image": "i"}]}, "status": {"phase": "Pending"}}));
    api.put_log(NAMESPACE, "sonobuoy", "kube-sonobuoy", &format!("{TEXT}\n"));
    api.put_log(NAMESPACE, "ended", "c", &format!("{TEXT}\n"));
    api.put_previous_log(NAMESPACE, "ended", "c", &format!("{TEXT}\n"));
    if state == Cluster::Held {
        api.hold_namespaces();
    }
    api
}

fn status(state: Cluster) -> Value {
    let row = |plugin: &str, node: &str, status: &str, result: &str| {
        json!({"plugin": plugin, "node": node, "status": status, "result-status": result, "result-counts": {TEXT: 1, "passed": 1},
            "error": if status == "failed" { TEXT } else { "" }})
    };
    let mut running = row(TEXT, "global", "running", "");
    running["result-counts"] = Value::Null;
    running["progress"] = json!({"name": TEXT, "node": TEXT, "timestamp": "2026-01-01T00:00:00Z", "msg": TEXT, "total": 4, "completed": 1,
        "failures": [TEXT], "errors": [TEXT]});
    let mut rows = vec![row("p", TEXT, "failed", "failed"), row(TEXT, "n2", TEXT, TEXT)];
    let (word, archive) = match state {
        Cluster::Complete => (
            "complete",
            json!({"name": format!("{NAME}_sonobuoy_{NAME}.tar.gz"), "created": "2026-01-01T00:00:00Z", "sha256": "ab", "size": 1}),
        ),
        Cluster::Odd => (TEXT, Value::Null),
        _ => {
            rows.push(running);
            ("running", Value::Null)
        }
    };
    let mut status = json!({"status": word, "plugins": rows});
    if !archive.is_null() {
        status["tar-info"] = archive;
    }
    status
}

/// Creates an archive as the directory `run` and as a tarball with a hostile name.
fn archive(directory: &Path) {
    let run = directory.join("run");
    let tree = |name: &str| {
        json!({"name": name, "status": TEXT, "meta": {"type": "summary"}, "items": [
            {"name": "out", "status": "passed", "meta": {"file": "results/n1/out", "x": TEXT}},
            {"name": TEXT, "status": "failed", "meta": {"x": TEXT}, "details": {"failure": TEXT, "system-out": TEXT, TEXT: TEXT}},
            {"name": TEXT, "status": TEXT, "details": {"error": TEXT}},
            {"name": LINE, "status": "timeout"}, {"name": TEXT, "status": "unknown"}]})
    };
    let health = json!({"node_health": {"total_nodes": 2, "healthy_nodes": 1, "details": [
            {"name": TEXT, "healthy": false, "ready": TEXT, "reason": TEXT, "message": TEXT}]},
        "pod_health": {"total_nodes": 1, "healthy_nodes": 0, "details": [
            {"name": TEXT, "namespace": TEXT, "healthy": false, "ready": TEXT, "reason": TEXT, "message": TEXT}]},
        "api_version": TEXT, "error_summary": {TEXT: {TEXT: 2}}});
    for (name, text) in [
        ("meta/info.json".to_owned(), json!({"plugins": ["p", NAME]}).to_string()),
        ("meta/config.json".to_owned(), json!({"UUID": TEXT}).to_string()),
        ("meta/clusterhealth.json".to_owned(), health.to_string()),
        ("plugins/p/sonobuoy_results.yaml".to_owned(), ascii(&tree(TEXT))),
        ("plugins/p/results/n1/out".to_owned(), format!("{TEXT}\n")),
        (format!("plugins/{NAME}/sonobuoy_results.yaml"), ascii(&tree(NAME))),
        (format!("plugins/{NAME}/results/n1/out"), format!("{TEXT}\n")),
    ] {
        let path = run.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    let file = fs_err::File::create(directory.join(format!("{NAME}.tar.gz"))).unwrap();
    sono_bundle::pack_directory(&run, file, &[], 6).unwrap();
}

/// Runs of the past with hostile names, and waivers of their tests.
fn history(directory: &Path) {
    let history = History::new(directory.join(".local/state/sono/history"));
    let now = "2026-12-01T00:00:00Z".parse().unwrap();
    for (number, letters) in ["pp", "fp", "pp", "pf", "pf", "pf"].into_iter().enumerate() {
        let plugin = |name: &str| CardPlugin {
            name: name.to_owned(),
            status: TEXT.to_owned(),
            tests: vec![TEXT.to_owned(), LINE.to_owned()],
            statuses: letters.to_owned(),
            failures: vec![CardFailure {
                first: TEXT.to_owned(),
                ..CardFailure::default()
            }],
            ..CardPlugin::default()
        };
        let mut card = Card {
            schema: 1,
            plugins: vec![plugin("p"), plugin(NAME)],
            ..Card::default()
        };
        card.run.id = format!("{TEXT}{number}");
        TEXT.clone_into(&mut card.cluster.server);
        history.record(&card, Added::JustEnded, now).unwrap();
    }
    let waiver = |id: &str, test: &str| {
        let text = ascii(&json!(TEXT));
        format!(
            "- {{id: {}, plugin: p, test: {}, because: {text}, owner: {text}, until: 2026-01-01}}\n",
            ascii(&json!(id)),
            ascii(&json!(test))
        )
    };
    let waivers = format!("waivers:\n{}{}", waiver(TEXT, "EVIL*"), waiver(LINE, "none"));
    fs_err::write(directory.join("waivers.yaml"), waivers).unwrap();
}

/// JSON that is also valid YAML: ASCII except for a bidirectional control character, which YAML allows.
fn ascii(value: &Value) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        if character == '\u{202e}' || character.is_ascii() && character != '\u{7f}' {
            text.push(character);
        } else {
            write!(text, "\\u{:04x}", u32::from(character)).unwrap();
        }
    }
    text
}

fn definitions(directory: &Path) {
    let config = |more: &str| {
        format!(
            "sonobuoy-config:\n  driver: Job\n  plugin-name: mine\n  result-format: junit\n  description: {}\n  source-url: {}\n{more}",
            ascii(&json!(TEXT)),
            ascii(&json!(TEXT))
        )
    };
    let good = format!(
        "{}spec:\n  name: c\n  image: {}\n  env:\n  - {{name: E, value: {}}}\n",
        config(""),
        ascii(&json!(LINE)),
        ascii(&json!(TEXT))
    );
    let bad = format!(
        "{}  {}: 1\nspec: {{name: c, image: i, {}: 1}}\n",
        config("").replace("driver: Job", &format!("driver: {}", ascii(&json!(TEXT)))),
        ascii(&json!(TEXT)),
        ascii(&json!(TEXT))
    );
    let result = directory.join("result.xml");
    let name = "EVIL &#27;[38;5;201mred \u{9b}2J\u{7f}\u{202e}\u{200b} [x](http://e.example) | `c`&#13;over&#10;FORGED&#10;# h";
    fs_err::write(&result, format!("<testsuite name=\"{name}\"><testcase name=\"{name}\"><failure message=\"{name}\">{name}</failure></testcase></testsuite>\n")).unwrap();
    let output = directory.join("output.txt");
    fs_err::write(&output, format!("{TEXT}\n")).unwrap();
    let script = |end: &str| {
        format!(
            "{}spec:\n  name: c\n  image: i\n  command: [/bin/sh, -c]\n  args:\n  - |\n    cat {output} >&2\n    cd $SONOBUOY_RESULTS_DIR\n    cp {result} r.xml\n    {end}\n",
            config(""),
            output = output.display(),
            result = result.display()
        )
    };
    let home = directory.join(".sonobuoy");
    fs_err::create_dir_all(&home).unwrap();
    for (path, text) in [
        (directory.join("good.yaml"), good.clone()),
        (directory.join("bad.yaml"), bad),
        (
            directory.join("here.yaml"),
            script("echo $SONOBUOY_RESULTS_DIR/r.xml > done"),
        ),
        (directory.join("fails.yaml"), script("exit 1")),
        (home.join("evil.yaml"), good.clone()),
        (home.join(format!("{NAME}.yaml")), good),
        (home.join("broken.yaml"), format!("a: [{LINE}")),
        (
            directory.join("config.json"),
            json!({"Description": TEXT, TEXT: 1}).to_string(),
        ),
        (directory.join("images.txt"), format!("{LINE}\n")),
    ] {
        fs_err::write(path, text).unwrap();
    }
}
