//! `retrieve` over interrupted connections.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use proptest::prelude::{Strategy as _, any};
use serde_json::{Value, json};

use crate::harness::{Run, kubectl, sono, text};

/// Numbers of bytes to the client before each interruption.
#[derive(Debug, Default)]
struct Plan {
    cuts: VecDeque<u64>,
    made: usize,
}

impl Plan {
    /// How many of `length` bytes are forwarded, and whether the connection is then cut.
    fn pass(&mut self, length: u64) -> (u64, bool) {
        let Some(left) = self.cuts.front_mut() else {
            return (length, false);
        };
        if *left > length {
            *left -= length;
            return (length, false);
        }
        let passes = *left;
        self.cuts.pop_front();
        self.made += 1;
        (passes, true)
    }
}

/// Forwards bytes to and from the API server without terminating TLS, and cuts connections according to the plan.
struct Proxy {
    address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
}

fn lock(plan: &Mutex<Plan>) -> std::sync::MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let plan = Arc::new(Mutex::new(Plan::default()));
        let shared = Arc::clone(&plan);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let upstream = TcpStream::connect(&server).expect("the API server listens");
                let sides = || Some((client.try_clone().ok()?, upstream.try_clone().ok()?));
                let (Some((from, to)), Some((back_to, back_from))) = (sides(), sides()) else {
                    continue;
                };
                thread::spawn(move || carry(from, to, |length| (length, false)));
                let plan = Arc::clone(&shared);
                thread::spawn(move || carry(back_from, back_to, move |length| lock(&plan).pass(length)));
            }
        });
        Self { address, plan }
    }
}

/// Copies until the end or an interruption, and then closes both sides.
fn carry(mut from: TcpStream, mut to: TcpStream, pass: impl Fn(u64) -> (u64, bool)) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let (passes, cut) = pass(length as u64);
        let passes = usize::try_from(passes).expect("not more than the buffer");
        if to.write_all(&buffer[..passes]).is_err() || cut {
            break;
        }
    }
    for stream in [from, to] {
        // The connection may already be closed.
        stream.shutdown(Shutdown::Both).ok();
    }
}

/// Writes the current kubeconfig with the proxy as the server.
fn kubeconfig(through: &dyn Fn(&str) -> Proxy, path: &Path) -> Proxy {
    let shown = kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&shown).expect("a kubeconfig");
    let server = text(&config, "/clusters/0/cluster/server");
    let host_and_port = server
        .strip_prefix("https://")
        .expect("TLS")
        .trim_end_matches('/')
        .to_owned();
    let host = host_and_port.rsplit_once(':').expect("a port").0.to_owned();
    let proxy = through(&host_and_port);
    let cluster = &mut config["clusters"][0]["cluster"];
    cluster["server"] = json!(format!("https://{}", proxy.address));
    cluster["tls-server-name"] = json!(host);
    fs_err::write(path, config.to_string()).expect("a writable directory");
    proxy
}

/// BUG 8: an interrupted transfer is resumed at the same byte, and the archive is intact.
#[test]
fn a_retrieve_that_is_cut_ends_with_the_right_archive() {
    let run = Run::to_the_end("cut", &["random-file"]);
    let status = run.status();
    let size = status["tar-info"]["size"].as_u64().expect("a size");
    let directory = tempfile::tempdir().expect("a directory");
    let config = directory.path().join("kubeconfig");
    let proxy = kubeconfig(&|server| Proxy::to(server.to_owned()), &config);
    let config = config.display().to_string();
    let plans = proptest::collection::vec(proptest::collection::vec(any::<u64>(), 1..5), 20);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let plans = plans.new_tree(&mut runner).expect("plans");
    let expected = fs_err::read(run.archive()).expect("the archive");
    for (index, cuts) in proptest::strategy::ValueTree::current(&plans).into_iter().enumerate() {
        // Most interruptions are within the archive; the last ones may be beyond its end.
        let cuts: VecDeque<u64> = cuts.into_iter().map(|cut| cut % (size / 2)).collect();
        let wanted = cuts.clone();
        *lock(&proxy.plan) = Plan { cuts, made: 0 };
        let to = directory.path().join(index.to_string()).display().to_string();
        let output = sono(&["retrieve", &to, "-n", run.namespace(), "--kubeconfig", &config]).success();
        let archive = output.trim().to_owned();
        assert!(
            fs_err::read(&archive).expect("an archive") == expected,
            "the archive differs after cuts at {wanted:?}"
        );
        let left: Vec<_> = fs_err::read_dir(&to).expect("a directory").collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(lock(&proxy.plan).made > 0, "nothing was cut: {wanted:?}");
    }
}

/// The results collected so far can be fetched during the run.
#[test]
fn partial_results_of_a_running_run() {
    let run = Run::detached("partial", &["job-junit", "sleeper"], &[]);
    let namespace = run.namespace();
    run.wait_for_result("job-junit");
    let directory = tempfile::tempdir().expect("a directory");
    let to = directory.path().display().to_string();
    let archive = sono(&["retrieve", &to, "-n", namespace, "--partial"]).success();
    let bundle = sono_bundle::Bundle::open(Path::new(archive.trim())).expect("an archive");
    let junit = bundle
        .read("plugins/job-junit/results/global/junit.xml")
        .expect("a readable archive");
    assert!(junit.is_some());
    let refused = sono(&["retrieve", &to, "-n", namespace]);
    assert!(refused.failure().contains("Results not ready yet"));
}
