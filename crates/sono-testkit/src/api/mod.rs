//! The server and what tests do to it.

mod answer;
mod discovery;
mod inside;
mod path;
mod store;
mod trouble;
mod watch;

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    serve::ListenerExt as _,
};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch as channel};

use self::{discovery::Offers, inside::Inside, path::Place, store::Store, trouble::Troubles};
pub use self::{inside::Executed, trouble::Trouble};

/// A fault: requests of this method and path get this answer.
#[derive(Debug, Clone)]
struct Fault {
    method: String,
    path: String,
    status: Value,
    /// How many requests it still meets; none means all.
    left: Option<usize>,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    faults: Mutex<Vec<Fault>>,
    requests: Mutex<Vec<String>>,
    queries: Mutex<Vec<String>>,
    texts: Mutex<BTreeMap<String, (u16, String)>>,
    offers: Mutex<Offers>,
    troubles: Troubles,
    inside: Inside,
    /// The last change's number, for whoever watches.
    changes: channel::Sender<u64>,
    connections: AtomicUsize,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offers(&self) -> MutexGuard<'_, Offers> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        let number = self.store().version();
        self.changes.send_replace(number);
    }
}

/// A Kubernetes API on loopback. It ends when it is dropped.
#[derive(Debug)]
pub struct FakeApi {
    shared: Arc<Shared>,
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeApi {
    /// Starts it with a thread and a runtime of its own, so that tests of processes need none. It has the namespaces
    /// `default` and `kube-system`.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a fresh socket takes options");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::new(Shared {
            store: Mutex::new(Store::default()),
            faults: Mutex::default(),
            requests: Mutex::default(),
            queries: Mutex::default(),
            texts: Mutex::default(),
            offers: Mutex::default(),
            troubles: Troubles::default(),
            inside: Inside::default(),
            changes: channel::Sender::new(0),
            connections: AtomicUsize::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be made");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
                let counted = Arc::clone(&served);
                let listener = listener.tap_io(move |_| {
                    counted.connections.fetch_add(1, Ordering::Relaxed);
                });
                let router = Router::new().fallback(serve).with_state(served);
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served.expect("serving loopback does not fail"),
                    // Its sender being dropped means the same.
                    _ = stopped => {}
                }
            });
        });
        let api = Self {
            shared,
            url,
            stop: Some(stop),
            thread: Some(thread),
        };
        for name in ["default", "kube-system"] {
            api.put(
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
                "status": {"phase": "Active"}}),
            );
        }
        api
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A kubeconfig that leads here: context `fake`, user `tester`.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: fake\nclusters:\n- name: fake\n  cluster:\n    server: {}\ncontexts:\n- name: fake\n  context:\n    cluster: fake\n    user: tester\nusers:\n- name: tester\n  user: {{}}\n",
            self.url
        )
    }

    /// Writes [`FakeApi::kubeconfig`] into `directory`.
    pub fn write_kubeconfig(&self, directory: &Path) -> PathBuf {
        let path = directory.join("kubeconfig");
        fs_err::write(&path, self.kubeconfig()).expect("the test's directory can be written");
        path
    }

    /// Creates or replaces an object, as whoever may do everything.
    pub fn put(&self, object: Value) {
        self.shared.store().put(object);
        self.shared.changed();
    }

    /// Removes an object at once, as when its grace period is over.
    pub fn remove(&self, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let removed = self.shared.store().remove(plural, namespace, name);
        self.shared.changed();
        removed
    }

    /// One object as it is now.
    pub fn get(&self, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        self.shared.store().get(plural, namespace, name).cloned()
    }

    /// All objects of a kind.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        self.shared.store().all(plural)
    }

    /// What `GET …/pods/{pod}/log?container={container}` answers. With `timestamps=true` one line was written in each
    /// second of 2026-01-01, half past it; the last of them just now.
    pub fn put_log(&self, namespace: &str, pod: &str, container: &str, text: &str) {
        self.shared.store().put_log(namespace, pod, container, text);
    }

    /// As [`FakeApi::put_log`], for requests with `timestamps=true` alone: each line of `text` begins with the time (UTC, `Z`)
    /// when it was written.
    pub fn put_timed_log(&self, namespace: &str, pod: &str, container: &str, text: &str) {
        self.put_log(namespace, pod, &answer::timed(container), text);
    }

    /// From now on logs that are followed do not end. What is put later is not sent to those that read them already.
    pub fn hold_logs(&self) {
        self.shared.store().holds_logs = true;
    }

    /// What commands in that pod's containers do: `run` is given the command with its arguments.
    pub fn put_exec(&self, namespace: &str, pod: &str, run: impl Fn(&[String]) -> Executed + Send + Sync + 'static) {
        self.shared.inside.put_exec(namespace, pod, Box::new(run));
    }

    /// What a port of that pod answers, whichever it is: `answer` is given the head of a request and returns a whole
    /// HTTP/1.1 answer.
    pub fn put_port(&self, namespace: &str, pod: &str, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) {
        self.shared.inside.put_port(namespace, pod, Box::new(answer));
    }

    /// When everything is created from now on that does not say it itself; long ago if this is never called.
    pub fn create_at(&self, time: jiff::Timestamp) {
        self.shared.store().created = time;
    }

    /// Namespaces that are deleted stay in phase `Terminating` with what is in them.
    pub fn hold_namespaces(&self) {
        self.shared.store().hold_namespaces = true;
    }

    /// From now on such requests are answered with `status`, whose `code` is the HTTP status.
    pub fn fail(&self, method: &str, path: &str, status: Value) {
        self.add_fault(method, path, status, None);
    }

    /// As [`FakeApi::fail`], for the next so many requests. `details.retryAfterSeconds` becomes a header.
    pub fn fail_times(&self, method: &str, path: &str, status: Value, times: usize) {
        self.add_fault(method, path, status, Some(times));
    }

    fn add_fault(&self, method: &str, path: &str, status: Value, left: Option<usize>) {
        let fault = Fault {
            method: method.to_owned(),
            path: path.to_owned(),
            status,
            left,
        };
        self.shared
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fault);
    }

    /// What `GET path` answers, whatever the path: a node's proxy, for one.
    pub fn put_text(&self, path: &str, code: u16, text: &str) {
        let mut texts = self.shared.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.insert(path.to_owned(), (code, text.to_owned()));
    }

    /// What `GET …/pods/{pod}/log?container={container}&previous=true` answers.
    pub fn put_previous_log(&self, namespace: &str, pod: &str, container: &str, text: &str) {
        self.put_log(namespace, pod, &answer::previous(container), text);
    }

    /// Makes discovery name a further resource.
    pub fn offer(&self, group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) {
        self.shared.offers().add(group, version, plural, kind, namespaced);
    }

    /// An aggregated API whose server is not there: discovery calls it stale, and every request below it fails (503).
    pub fn offer_broken(&self, group: &str, version: &str) {
        self.shared.offers().add_broken(group, version);
    }

    /// Discovery as it was before Kubernetes 1.26: a request for each version of each group.
    pub fn without_aggregated_discovery(&self) {
        self.shared.offers().aggregated = false;
    }

    /// The next so many requests for a further page are refused (410).
    pub fn expire_pages(&self, times: usize) {
        self.shared.store().expired_pages = times;
    }

    /// Method, path and query of every request so far.
    pub fn queries(&self) -> Vec<String> {
        self.shared
            .queries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The next so many requests, whatever they ask for, meet this trouble.
    pub fn trouble(&self, trouble: Trouble, times: usize) {
        self.shared.troubles.plan(trouble, times);
    }

    /// From now on every connection breaks and all watches end, as when nobody is there.
    pub fn go_away(&self) {
        self.shared.troubles.set_away(true);
    }

    /// The end of [`FakeApi::go_away`].
    pub fn come_back(&self) {
        self.shared.troubles.set_away(false);
    }

    /// All watches end; the next `gone` ones are refused with 410, so that whoever watches must list again.
    pub fn end_watches(&self, gone: usize) {
        self.shared.troubles.end_watches(gone);
    }

    /// Every version that an object had, the oldest first.
    pub fn versions(&self, plural: &str, namespace: Option<&str>, name: &str) -> Vec<Value> {
        self.shared.store().versions(plural, namespace, name)
    }

    /// How many objects of a kind were made so far, whether they are still there or not.
    pub fn made(&self, plural: &str) -> usize {
        self.shared.store().made(plural)
    }

    /// Takes all faults and troubles away.
    pub fn mend(&self) {
        self.shared.troubles.clear();
        self.shared
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Method and path of every request so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Waits until an object is as `wanted`; `None` when `limit` is over.
    pub async fn wait_for(
        &self,
        plural: &str,
        namespace: Option<&str>,
        name: &str,
        limit: std::time::Duration,
        wanted: impl Fn(Option<&Value>) -> bool,
    ) -> Option<()> {
        let mut changes = self.shared.changes.subscribe();
        tokio::time::timeout(limit, async {
            while !wanted(self.shared.store().get(plural, namespace, name)) {
                changes
                    .changed()
                    .await
                    .expect("the sender lives as long as this object");
            }
        })
        .await
        .ok()
    }
}

impl Drop for FakeApi {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the server has been printed; the test has its own outcome.
            drop(thread.join());
        }
    }
}

/// What the authorizer answers.
pub fn forbidden(user: &str, verb: &str, resource: &str, namespace: Option<&str>) -> Value {
    let place = namespace.map_or_else(
        || "at the cluster scope".to_owned(),
        |namespace| format!("in the namespace \"{namespace}\""),
    );
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403,
        "message": format!(
            "{resource} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"\" {place}"
        ),
        "details": {"kind": resource},
    })
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Some(answer) = shared.inside.answer(&mut parts) {
        let mut requests = shared.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(format!("{} {}", parts.method, parts.uri));
        return answer;
    }
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    shared
        .requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(format!("{method} {path}"));
    shared
        .queries
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(format!("{method} {}", parts.uri));
    match shared.troubles.next() {
        None => {}
        Some(Trouble::Answer(status)) => return answer::status(&status),
        Some(Trouble::Delay(time)) => tokio::time::sleep(time).await,
        Some(Trouble::Cut) => return trouble::cut(),
        Some(Trouble::Hang) => std::future::pending().await,
    }
    let fault = {
        let mut faults = shared.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let found = faults
            .iter_mut()
            .find(|fault| fault.method == method && fault.path == path && fault.left != Some(0));
        found.map(|fault| {
            fault.left = fault.left.map(|left| left - 1);
            fault.status.clone()
        })
    };
    if let Some(status) = fault {
        return answer::status(&status);
    }
    let text = {
        let texts = shared.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.get(path).cloned()
    };
    if let Some((code, text)) = text {
        return answer::text(code, text);
    }
    let accept = parts
        .headers
        .get("accept")
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    if let Some(answer) = shared.offers().answer(path, accept) {
        return answer::json_answer(
            answer["code"]
                .as_u64()
                .and_then(|code| u16::try_from(code).ok())
                .unwrap_or(200),
            &answer,
        );
    }
    let query = path::query(parts.uri.query().unwrap_or_default());
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap_or_default();
    let Some(place) = Place::parse(path) else {
        return answer::other(path);
    };
    answer::answer(&shared, method, &place, &query, &body)
}
