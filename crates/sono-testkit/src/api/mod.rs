//! The fake Kubernetes API server and its test controls.

mod answer;
mod discovery;
mod kubelet;
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

use self::{discovery::Discovery, kubelet::Kubelet, path::ResourcePath, store::Store, trouble::Troubles};
pub use self::{kubelet::Executed, trouble::Trouble};

/// A configured response to requests with this method and path.
#[derive(Debug, Clone)]
struct Fault {
    method: String,
    path: String,
    status: Value,
    /// Number of requests that it still applies to; `None` means all.
    left: Option<usize>,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    faults: Mutex<Vec<Fault>>,
    requests: Mutex<Vec<String>>,
    queries: Mutex<Vec<String>>,
    texts: Mutex<BTreeMap<String, (u16, String)>>,
    discovery: Mutex<Discovery>,
    troubles: Troubles,
    kubelet: Kubelet,
    /// Number of the last change, for watches.
    changes: channel::Sender<u64>,
    connections: AtomicUsize,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn discovery(&self) -> MutexGuard<'_, Discovery> {
        self.discovery.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        let number = self.store().version();
        self.changes.send_replace(number);
    }
}

/// A Kubernetes API on loopback. Stops when it is dropped.
#[derive(Debug)]
pub struct FakeApi {
    shared: Arc<Shared>,
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeApi {
    /// Starts the server in its own thread and runtime, so that synchronous tests need no runtime. It has the namespaces `default`
    /// and `kube-system`.
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
            discovery: Mutex::default(),
            troubles: Troubles::default(),
            kubelet: Kubelet::default(),
            changes: channel::Sender::new(0),
            connections: AtomicUsize::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be created");
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("it does not block");
                let counted = Arc::clone(&served);
                let listener = listener.tap_io(move |_| {
                    counted.connections.fetch_add(1, Ordering::Relaxed);
                });
                let router = Router::new().fallback(serve).with_state(served);
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served.expect("serving loopback does not fail"),
                    // A dropped sender stops the server as well.
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

    /// A kubeconfig for this server: context `fake`, user `tester`.
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

    /// Creates or replaces an object, without permission checks.
    pub fn put(&self, object: Value) {
        self.shared.store().put(object);
        self.shared.changed();
    }

    /// Removes an object immediately, as at the end of its grace period.
    pub fn remove(&self, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let removed = self.shared.store().remove(plural, namespace, name);
        self.shared.changed();
        removed
    }

    /// The current version of an object.
    pub fn get(&self, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        self.shared.store().get(plural, namespace, name).cloned()
    }

    /// All objects of a kind.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        self.shared.store().all(plural)
    }

    /// Sets the response to `GET …/pods/{pod}/log?container={container}`. With `timestamps=true` line N has the time N.5 seconds
    /// after the start of 2026-01-01; the last line counts as written just now.
    pub fn put_log(&self, namespace: &str, pod: &str, container: &str, text: &str) {
        self.shared.store().put_log(namespace, pod, container, text);
    }

    /// Like [`FakeApi::put_log`], only for requests with `timestamps=true`: each line of `text` begins with its time (UTC, `Z`).
    pub fn put_timed_log(&self, namespace: &str, pod: &str, container: &str, text: &str) {
        self.put_log(namespace, pod, &answer::timed(container), text);
    }

    /// Makes followed logs endless from now on. Lines that are put later are not sent to current followers.
    pub fn hold_logs(&self) {
        self.shared.store().holds_logs = true;
    }

    /// Sets the handler of commands in the pod's containers: `run` receives the command with its arguments.
    pub fn put_exec(&self, namespace: &str, pod: &str, run: impl Fn(&[String]) -> Executed + Send + Sync + 'static) {
        self.shared.kubelet.put_exec(namespace, pod, Box::new(run));
    }

    /// Sets the handler of all ports of the pod: `answer` receives the head of a request and returns a complete HTTP/1.1
    /// response.
    pub fn put_port(&self, namespace: &str, pod: &str, answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) {
        self.shared.kubelet.put_port(namespace, pod, Box::new(answer));
    }

    /// Sets the creation time of later objects without one. The default is a fixed time in the past.
    pub fn create_at(&self, time: jiff::Timestamp) {
        self.shared.store().created = time;
    }

    /// Makes deleted namespaces stay in phase `Terminating` with their objects.
    pub fn hold_namespaces(&self) {
        self.shared.store().hold_namespaces = true;
    }

    /// Answers these requests with `status` from now on; its `code` is the HTTP status.
    pub fn fail(&self, method: &str, path: &str, status: Value) {
        self.add_fault(method, path, status, None);
    }

    /// Like [`FakeApi::fail`], for the next `times` requests. `details.retryAfterSeconds` becomes a header.
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

    /// Sets the response to `GET path`, for any path, such as a node's proxy.
    pub fn put_text(&self, path: &str, code: u16, text: &str) {
        let mut texts = self.shared.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.insert(path.to_owned(), (code, text.to_owned()));
    }

    /// Sets the response to `GET …/pods/{pod}/log?container={container}&previous=true`.
    pub fn put_previous_log(&self, namespace: &str, pod: &str, container: &str, text: &str) {
        self.put_log(namespace, pod, &answer::previous(container), text);
    }

    /// Adds a resource to discovery.
    pub fn offer(&self, group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) {
        self.shared.discovery().add(group, version, plural, kind, namespaced);
    }

    /// Adds an aggregated API without a server: discovery reports it as stale, and every request below it fails (503).
    pub fn offer_broken(&self, group: &str, version: &str) {
        self.shared.discovery().add_broken(group, version);
    }

    /// Disables aggregated discovery, as before Kubernetes 1.26: clients send a request for each version of each group.
    pub fn without_aggregated_discovery(&self) {
        self.shared.discovery().aggregated = false;
    }

    /// Refuses the next `times` requests for a further page with 410.
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

    /// Applies this trouble to the next `times` requests of any kind.
    pub fn trouble(&self, trouble: Trouble, times: usize) {
        self.shared.troubles.plan(trouble, times);
    }

    /// Breaks every connection and ends all watches from now on, as if the server were down.
    pub fn disconnect(&self) {
        self.shared.troubles.set_away(true);
    }

    /// Ends [`FakeApi::disconnect`].
    pub fn reconnect(&self) {
        self.shared.troubles.set_away(false);
    }

    /// Ends all watches and refuses the next `gone` ones with 410, so that clients must list again.
    pub fn end_watches(&self, gone: usize) {
        self.shared.troubles.end_watches(gone);
    }

    /// All versions of an object, the oldest first.
    pub fn versions(&self, plural: &str, namespace: Option<&str>, name: &str) -> Vec<Value> {
        self.shared.store().versions(plural, namespace, name)
    }

    /// Number of objects of a kind created so far, deleted ones included.
    pub fn created_count(&self, plural: &str) -> usize {
        self.shared.store().created_count(plural)
    }

    /// Removes all faults and troubles.
    pub fn clear_faults(&self) {
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

    /// Number of connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Waits until `condition` holds for an object; `None` after `limit`.
    pub async fn wait_for(
        &self,
        plural: &str,
        namespace: Option<&str>,
        name: &str,
        limit: std::time::Duration,
        condition: impl Fn(Option<&Value>) -> bool,
    ) -> Option<()> {
        let mut changes = self.shared.changes.subscribe();
        tokio::time::timeout(limit, async {
            while !condition(self.shared.store().get(plural, namespace, name)) {
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
            // The server's panic is already printed; the test reports its own outcome.
            drop(thread.join());
        }
    }
}

/// The authorizer's response to a denied request.
pub fn forbidden(user: &str, verb: &str, resource: &str, namespace: Option<&str>) -> Value {
    let scope = namespace.map_or_else(
        || "at the cluster scope".to_owned(),
        |namespace| format!("in the namespace \"{namespace}\""),
    );
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Forbidden", "code": 403,
        "message": format!(
            "{resource} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"\" {scope}"
        ),
        "details": {"kind": resource},
    })
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    if let Some(answer) = shared.kubelet.answer(&mut parts) {
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
    if let Some(answer) = shared.discovery().answer(path, accept) {
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
    let Some(resource) = ResourcePath::parse(path) else {
        return answer::not_in_a_collection(path);
    };
    answer::answer(&shared, method, &resource, &query, &body)
}
