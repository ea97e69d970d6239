//! Runs the built `sono` on the cluster of `KUBECONFIG`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;

/// Exit code and output of a finished command.
pub(crate) struct Finished {
    arguments: Vec<String>,
    output: Output,
}

impl Finished {
    /// Standard output; panics unless the command succeeded.
    pub(crate) fn success(&self) -> String {
        assert!(
            self.output.status.success(),
            "sono {} ended with {}\n{}\n{}",
            self.arguments.join(" "),
            self.output.status,
            self.stdout(),
            self.stderr()
        );
        self.stdout()
    }

    /// Standard error; panics unless the command failed.
    pub(crate) fn failure(&self) -> String {
        assert!(
            !self.output.status.success(),
            "sono {} succeeded",
            self.arguments.join(" ")
        );
        self.stderr()
    }

    /// The exit code.
    pub(crate) fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// Id of the run that the command named.
    pub(crate) fn run_id(&self) -> Option<String> {
        let named = |line: &str| {
            let (id, _) = line.strip_prefix("run ")?.split_once(" in namespace ")?;
            Some(id.to_owned())
        };
        self.stderr().lines().find_map(named)
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }
}

/// Runs `sono`.
pub(crate) fn sono(arguments: &[&str]) -> Finished {
    sono_in(Path::new("."), arguments)
}

/// Runs `sono` in a directory.
pub(crate) fn sono_in(directory: &Path, arguments: &[&str]) -> Finished {
    assert!(
        std::env::var_os("KUBECONFIG").is_some(),
        "KUBECONFIG must name a cluster; run `cargo xtask e2e`"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_sono"))
        .current_dir(directory)
        .args(arguments)
        .output()
        .expect("sono starts");
    Finished {
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        output,
    }
}

/// The `kubectl` for the cluster's version.
pub(crate) fn kubectl_program() -> OsString {
    std::env::var_os("SONO_KUBECTL").unwrap_or_else(|| "kubectl".into())
}

/// Path of a definition in `plugins/`.
pub(crate) fn plugin(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/plugins");
    folder.join(format!("{name}.yaml")).display().to_string()
}

/// Runs `kubectl`, which must succeed, and returns its output.
pub(crate) fn kubectl(arguments: &[&str]) -> String {
    let output = Command::new(kubectl_program())
        .args(arguments)
        .output()
        .expect("kubectl starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // A second panic during a panic would abort the tests.
    assert!(
        output.status.success() || std::thread::panicking(),
        "kubectl {} ended with {}\n{}",
        arguments.join(" "),
        output.status,
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The text at a JSON pointer, or an empty text.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A run in its own namespace, deleted at the end.
pub(crate) struct Run {
    namespace: String,
    finished: Finished,
    archive: String,
    directory: tempfile::TempDir,
}

impl Run {
    /// Starts `run --wait` with these plugins (files in `plugins/`, or `builtin:NAME`), which must succeed.
    pub(crate) fn to_the_end(name: &str, plugins: &[&str]) -> Self {
        Self::start(name, plugins, &["--wait"])
    }

    /// Like [`Run::to_the_end`], with other flags.
    pub(crate) fn start(name: &str, plugins: &[&str], flags: &[&str]) -> Self {
        let mut run = Self::detached(name, plugins, flags);
        run.retrieve();
        run
    }

    /// Starts the run without waiting; [`Run::finish`] waits.
    pub(crate) fn detached(name: &str, plugins: &[&str], flags: &[&str]) -> Self {
        let namespace = format!("e2e-{name}");
        sono(&["delete", "-n", &namespace, "--wait"]).success();
        let files: Vec<String> = plugins
            .iter()
            .map(|name| match name.strip_prefix("builtin:") {
                Some(name) => name.to_owned(),
                None => plugin(name),
            })
            .collect();
        let mut arguments = vec!["run", "-n", &namespace];
        arguments.extend(files.iter().flat_map(|file| ["-p", file.as_str()]));
        arguments.extend(flags);
        let finished = sono(&arguments);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let run = Self {
            namespace,
            finished,
            archive: String::new(),
            directory,
        };
        run.finished.success();
        run
    }

    /// Waits for a detached run and fetches its archive.
    pub(crate) fn finish(&mut self) {
        self.finished = sono(&["wait", "-n", &self.namespace, "--wait=5"]);
        self.finished.success();
        self.retrieve();
    }

    fn retrieve(&mut self) {
        let to = self.directory.path().display().to_string();
        let archive = sono(&["retrieve", &to, "-n", &self.namespace]).success();
        archive.trim().clone_into(&mut self.archive);
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Path of the fetched archive.
    pub(crate) fn archive(&self) -> &str {
        &self.archive
    }

    /// All output of `run`.
    pub(crate) fn output(&self) -> String {
        format!("{}{}", self.finished.stdout(), self.finished.stderr())
    }

    /// `status --json`.
    pub(crate) fn status(&self) -> Value {
        self.any_status().expect("status --json prints JSON")
    }

    /// `status --json`, if a status exists.
    fn any_status(&self) -> Option<Value> {
        let json = sono(&["status", "-n", &self.namespace, "--json"]).success();
        serde_json::from_str(&json).ok()
    }

    /// Waits until the result of a Job plugin has been received.
    pub(crate) fn wait_for_result(&self, plugin: &str) {
        let limit = Instant::now() + Duration::from_mins(2);
        loop {
            let status = self.any_status().unwrap_or_default();
            let rows = status["plugins"].as_array().cloned().unwrap_or_default();
            let is_in = |row: &Value| text(row, "/plugin") == plugin && text(row, "/status") == "complete";
            if rows.iter().any(is_in) {
                return;
            }
            assert!(Instant::now() < limit, "no result of {plugin}: {status}");
            std::thread::yield_now();
        }
    }

    /// A file of the archive.
    pub(crate) fn file(&self, name: &str) -> String {
        let bundle = sono_bundle::Bundle::open(&PathBuf::from(&self.archive)).expect("an archive");
        let bytes = bundle
            .read(name)
            .expect("a readable archive")
            .unwrap_or_else(|| panic!("no {name} in the archive"));
        String::from_utf8(bytes).expect("text")
    }

    /// A plugin's result tree.
    pub(crate) fn results(&self, plugin: &str) -> Value {
        let yaml = self.file(&format!("plugins/{plugin}/sonobuoy_results.yaml"));
        sono_types::yaml::first_document(&yaml).expect("a tree of results")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let finished = sono(&["delete", "-n", &self.namespace, "--wait"]);
        // A second panic during a panic would hide the first.
        if !std::thread::panicking() {
            finished.success();
        }
    }
}

/// Direct access to the cluster, without `sono`.
pub(crate) mod kubernetes {
    use sono_kube::{Cluster, Connection, Kind};

    fn with_cluster<T>(work: impl AsyncFnOnce(Cluster) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let connection = Connection {
                kubeconfig: None,
                context: None,
            };
            work(Cluster::connect(&connection).await.expect("a cluster")).await
        })
    }

    /// Names of all nodes, sorted.
    pub(crate) fn node_names() -> Vec<String> {
        with_cluster(async |cluster| {
            let nodes = cluster.list(Kind::Node, None, "").await.expect("nodes");
            let mut names: Vec<String> = nodes.iter().map(|node| super::text(node, "/metadata/name")).collect();
            names.sort();
            names
        })
    }

    /// Remaining objects of a run in a namespace, including the namespace.
    pub(crate) fn leftovers(namespace: &str) -> Vec<String> {
        with_cluster(async |cluster| {
            let mut left = Vec::new();
            if cluster
                .get(Kind::Namespace, None, namespace)
                .await
                .expect("an answer")
                .is_some()
            {
                left.push(format!("namespace {namespace}"));
            }
            let labels = format!("component=sonobuoy,namespace={namespace}");
            for kind in [Kind::ClusterRole, Kind::ClusterRoleBinding] {
                for object in cluster.list(kind, None, &labels).await.expect("a list") {
                    left.push(super::text(&object, "/metadata/name"));
                }
            }
            left
        })
    }
}
