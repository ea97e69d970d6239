//! An aggregator that is killed with SIGKILL again and again, and started again on the same directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use sha2::Digest as _;
use sono_aggregator::{
    Addresses, Backend, BackendError, Driver, Launch, LoopbackView, Report, RunLog, Setup, execute_run, system_clock,
};
use sono_manifest::{Definition, DriverKind, NodeFacts};
use sono_run::Failure;
use sono_types::{Config, OverallStatus, RunStatus, SessionId, UploadLimits, status::plugin_status};
use tokio::sync::mpsc;

use crate::{
    backend::{plugin, within},
    tree,
};

/// A record as the journal holds it.
fn journal_line(record: &str) -> Vec<u8> {
    use std::fmt::Write as _;
    let content = format!("0 {record}");
    let digest = sha2::Sha256::digest(content.as_bytes());
    let sum = digest.iter().take(16).fold(String::new(), |mut sum, byte| {
        write!(sum, "{byte:02x}").unwrap();
        sum
    });
    format!("{sum} {content}\n").into_bytes()
}

const ROOT: &str = "SONO_TEST_KILLED_ROOT";
const NODES: usize = 40;

/// The parent process acts as the plugins: files contain the addresses for their reports.
struct FileBackend(PathBuf);

struct FileDriver {
    folder: PathBuf,
    definition: Definition,
    session: SessionId,
}

impl Backend for FileBackend {
    fn nodes<'a>(&'a self, _: &'a BTreeSet<String>) -> BoxFuture<'a, Result<Option<Vec<NodeFacts>>, BackendError>> {
        let node = |number| NodeFacts {
            name: format!("n{number}"),
            ..NodeFacts::default()
        };
        Box::pin(async move { Ok(Some((1..=NODES).map(node).collect())) })
    }

    fn driver(&self, definition: Definition, session: SessionId) -> Box<dyn Driver> {
        let folder = self.0.clone();
        Box::new(FileDriver {
            folder,
            definition,
            session,
        })
    }

    fn publish<'a>(&'a self, status: &'a RunStatus) -> BoxFuture<'a, Result<(), BackendError>> {
        let text = serde_json::to_string(status).unwrap();
        sono_bundle::write_durably(&self.0.join("status.json"), text.as_bytes()).unwrap();
        Box::pin(async { Ok(()) })
    }

    fn plugins_survive_restart(&self) -> bool {
        true
    }

    fn query<'a>(&'a self, _: &'a Path, _: &'a Arc<sono_redact::Redactor>) -> BoxFuture<'a, Vec<String>> {
        Box::pin(async { Vec::new() })
    }
}

impl Driver for FileDriver {
    fn definition(&self) -> &Definition {
        &self.definition
    }

    fn session(&self) -> &SessionId {
        &self.session
    }

    /// Creation is idempotent by the session's name, as in a cluster: existing objects are unchanged.
    fn run<'a>(&'a self, launch: &'a Launch) -> BoxFuture<'a, Result<(), Failure>> {
        let identity = &launch.identity;
        let objects = serde_json::json!({"url": launch.url, "ca": launch.ca_pem,
            "certificate": identity.certificate_pem, "key": identity.key_pem});
        let path = self
            .folder
            .join(format!("plugin-{}-{}", self.definition.name, self.session));
        if !path.exists() {
            sono_bundle::write_durably(&path, objects.to_string().as_bytes()).unwrap();
        }
        Box::pin(async { Ok(()) })
    }

    fn monitor<'a>(&'a self, _: &'a Launch, _: mpsc::Sender<Report>) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }

    fn cleanup(&self) -> BoxFuture<'_, Result<(), BackendError>> {
        Box::pin(async { Ok(()) })
    }
}

/// Not a test: the process that the test below starts and kills. It ends at once if run otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregator_process_for_the_kill_test() {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else {
        return;
    };
    sono_tls::install_provider();
    // The same address after every start, as a Service's.
    let port_file = root.join("port");
    let port = fs_err::read_to_string(&port_file)
        .ok()
        .and_then(|port| port.parse().ok());
    let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(0))).unwrap();
    let address = listener.local_addr().unwrap();
    fs_err::write(&port_file, address.port().to_string()).unwrap();
    let later = Definition {
        order: 1,
        ..plugin("b", DriverKind::Job)
    };
    let setup = Setup {
        config: Config {
            uuid: "run".to_owned(),
            ..Config::default()
        },
        definitions: vec![plugin("a", DriverKind::DaemonSet), later],
        backend: Arc::new(FileBackend(root.clone())),
        root: root.join("results"),
        listener,
        addresses: Addresses {
            url: format!("https://{address}"),
            fallback_url: None,
            names: vec!["127.0.0.1".to_owned()],
        },
        limits: UploadLimits::default(),
        clock: system_clock(),
        new_session: || {
            let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
            SessionId::from_random(high.to_be_bytes())
        },
        log: RunLog::new(system_clock()),
        reconcile: true,
        view: LoopbackView::default(),
    };
    let finished = execute_run(setup, std::future::pending()).await.unwrap();
    assert_eq!(finished.status.status, OverallStatus::Complete);
}

fn start(root: &Path) -> Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::aggregator_process_for_the_kill_test", "--nocapture"])
        .env(ROOT, root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// A client with the plugin's certificate, once its objects exist.
async fn plugin_client(root: &Path, name: &str) -> (reqwest::Client, String) {
    let prefix = format!("plugin-{name}-");
    let path = loop {
        let found = created(root).into_iter().find(|name| name.starts_with(&prefix));
        if let Some(found) = found {
            break root.join(found);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let objects: serde_json::Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    let text = |key: &str| objects[key].as_str().unwrap().to_owned();
    let tls = sono_tls::client_config(&text("ca"), &text("certificate"), &text("key")).unwrap();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
        .unwrap();
    (client, text("url"))
}

/// Names of the objects of all plugins.
fn created(root: &Path) -> Vec<String> {
    let names = fs_err::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("plugin-")).collect();
    names.sort();
    names
}

/// Whether the last record of a plugin in the journal is the start of its post-processing.
fn is_being_processed(root: &Path, plugin: &str) -> bool {
    let journal = fs_err::read(root.join("results/.sono-journal-run")).unwrap();
    let journal = String::from_utf8_lossy(&journal);
    let begun = format!(r#"{{"Processing":{{"plugin":"{plugin}"}}}}"#);
    let ended = format!(r#""{plugin}""#);
    let last = journal
        .lines()
        .rfind(|line| line.contains(&begun) || line.contains(r#"{"Processed":"#) && line.contains(&ended));
    last.is_some_and(|line| line.contains(&begun))
}

/// A worker: retries until its result is accepted or already received.
async fn upload(client: &reqwest::Client, url: &str, body: String) -> u16 {
    loop {
        match client.put(url).body(body.clone()).send().await {
            Ok(answer) if matches!(answer.status().as_u16(), 200 | 409) => return answer.status().as_u16(),
            Ok(answer) => assert!(answer.status().is_server_error(), "{}", answer.status()),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// W-1: killed at any moment and started again, the aggregator resumes the run: same identity and CA, no result lost or stored
/// twice, no plugin started twice or omitted, and the archive equals that of an undisturbed run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
async fn killed_aggregator_resumes_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_path_buf();
    let mut process = start(&root);
    let (client, url) = within(plugin_client(&root, "a")).await;
    let accepted = Arc::new(AtomicUsize::new(0));
    let mut workers = tokio::task::JoinSet::new();
    let barrier = Arc::new(tokio::sync::Semaphore::new(4));
    for number in 1..=NODES {
        let (client, barrier, accepted) = (client.clone(), Arc::clone(&barrier), Arc::clone(&accepted));
        let url = format!("{url}/api/v1/results/by-node/n{number}/a");
        workers.spawn(async move {
            let _turn = barrier.acquire_owned().await.unwrap();
            upload(&client, &url, format!("result of n{number}")).await;
            accepted.fetch_add(1, Ordering::SeqCst);
        });
    }
    // During uploads: after the first, then repeatedly.
    for kill_at in [1, 6, 13, 21, 30, 38] {
        let reached = async {
            while accepted.load(Ordering::SeqCst) < kill_at {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within(reached).await;
        process.kill().unwrap();
        process.wait().unwrap();
        process = start(&root);
    }
    while let Some(done) = within(workers.join_next()).await {
        done.unwrap();
    }
    // The next group has started; killed before its only result is sent.
    let (second, second_url) = within(plugin_client(&root, "b")).await;
    process.kill().unwrap();
    process.wait().unwrap();
    let mut torn = fs_err::OpenOptions::new()
        .append(true)
        .open(root.join("results/.sono-journal-run"))
        .unwrap();
    // As if reading the results of `b` had ended the process.
    torn.write_all(&journal_line(r#"{"Processing":{"plugin":"b"}}"#))
        .unwrap();
    torn.write_all(b"0123456789abcdef0123456789abcdef 17 {\"Stored\":")
        .unwrap();
    // As if the search for causes had ended the process.
    fs_err::write(root.join("results/run.explaining"), b"").unwrap();
    process = start(&root);
    let last = format!("{second_url}/api/v1/results/global/b");
    let sent = upload(&second, &last, "last".to_owned());
    assert_eq!(within(sent).await, 200);
    // All results are stored: killed during the queries, during packing or just afterwards.
    process.kill().unwrap();
    process.wait().unwrap();
    let in_the_middle_of_a = is_being_processed(&root, "a");
    process = start(&root);
    let ended = tokio::task::spawn_blocking(move || process.wait().unwrap());
    assert!(within(ended).await.unwrap().success());

    let status: RunStatus = serde_json::from_slice(&fs_err::read(root.join("status.json")).unwrap()).unwrap();
    assert_eq!(status.status, OverallStatus::Complete);
    assert_eq!(status.rows().len(), NODES + 1);
    assert!(status.rows().iter().all(|row| row.status == plugin_status::COMPLETE));
    let objects = created(&root);
    assert_eq!(objects.len(), 2, "started twice: {objects:?}");

    let archive = root.join("results").join(&status.tarball.name);
    let bundle = sono_bundle::Bundle::open(&archive).unwrap();
    let unpacked = tempfile::tempdir().unwrap();
    sono_bundle::unpack_tar_gz(
        fs_err::File::open(&archive).unwrap(),
        unpacked.path(),
        &UploadLimits::default(),
    )
    .unwrap();
    let mut expected: BTreeMap<String, String> = (1..=NODES)
        .map(|number| (format!("a/results/n{number}/result"), format!("result of n{number}")))
        .collect();
    expected.insert("b/results/global/result".to_owned(), "last".to_owned());
    let mut found = tree(&unpacked.path().join("plugins"));
    found.retain(|name, _| name.contains("/results/") || name.contains("/errors/"));
    assert_eq!(found, expected);
    let tree = |plugin: &str| {
        let read = |suffix: &str| {
            let file = format!("plugins/{plugin}/sonobuoy_results.{suffix}");
            bundle.read(&file).unwrap().unwrap()
        };
        let (yaml, json) = (read("yaml"), read("json"));
        let tree = sono_results::read_tree(&yaml, None).unwrap();
        assert_eq!(sono_results::read_tree(&yaml, Some(&json)).unwrap(), tree);
        tree
    };
    let verdict = |plugin: &str| {
        let root = tree(plugin);
        (root.status, root.meta.get("error").cloned())
    };
    let passed = ("passed".to_owned(), None);
    let reason = "its results were not read: the aggregator ended while it was reading them";
    let unread = ("unknown".to_owned(), Some(reason.to_owned()));
    let expected = if in_the_middle_of_a { &unread } else { &passed };
    assert_eq!((&verdict("a"), verdict("b")), (expected, unread.clone()));
    let statuses: BTreeSet<(&str, &str)> = status
        .rows()
        .iter()
        .map(|row| (row.plugin.as_str(), row.result_status.as_str()))
        .collect();
    assert_eq!(statuses, BTreeSet::from([("a", expected.0.as_str()), ("b", "unknown")]));

    // Restarted, it reports that the run is over.
    let mut again = start(&root);
    let ended = tokio::task::spawn_blocking(move || again.wait().unwrap());
    assert!(within(ended).await.unwrap().success());
    let after: RunStatus = serde_json::from_slice(&fs_err::read(root.join("status.json")).unwrap()).unwrap();
    assert_eq!(after, status);
    let left: Vec<String> = fs_err::read_dir(root.join("results"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 2, "the journal and the archive: {left:?}");
}
