//! Starts etcd, API server, controller manager and scheduler.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use super::{
    certificates::{self, API_SERVER, AUTHORITY, KUBELET_CLIENT, SERVICE_ACCOUNTS},
    daemon::{self, Daemon},
    kubeconfig,
    node::{HOST_ADDRESS, POD_NETWORK, SERVICE_NETWORK},
    programs::Programs,
    settings::Settings,
    state,
};

/// Ports other than the defaults 6443 and 2379, which another program may use.
pub(crate) const API_PORT: u16 = 16443;
const ETCD_PORT: u16 = 12379;
const ETCD_PEER_PORT: u16 = 12380;

pub(crate) fn start_etcd(programs: &Programs) -> anyhow::Result<Daemon> {
    let mut etcd = Command::new(&programs.etcd);
    etcd.arg("--name=sono-testbed")
        .arg(format!("--data-dir={}", state::path("etcd").display()));
    for (flag, port) in [
        ("--listen-client-urls", ETCD_PORT),
        ("--advertise-client-urls", ETCD_PORT),
        ("--listen-peer-urls", ETCD_PEER_PORT),
        ("--initial-advertise-peer-urls", ETCD_PEER_PORT),
    ] {
        etcd.arg(format!("{flag}=http://127.0.0.1:{port}"));
    }
    etcd.arg(format!(
        "--initial-cluster=sono-testbed=http://127.0.0.1:{ETCD_PEER_PORT}"
    ));
    // A test cluster's data need not survive a power loss. The timeouts are short since etcd has only one member.
    etcd.args([
        "--unsafe-no-fsync=true",
        "--heartbeat-interval=10",
        "--election-timeout=100",
        "--log-level=warn",
    ]);
    daemon::start("etcd", &etcd)
}

pub(crate) fn start_api_server(programs: &Programs) -> anyhow::Result<Daemon> {
    let authority = certificates::pair(AUTHORITY);
    let serving = certificates::pair(API_SERVER);
    let kubelet_client = certificates::pair(KUBELET_CLIENT);
    let tokens = certificates::pair(SERVICE_ACCOUNTS);
    let mut server = Command::new(programs.kubernetes.join("kube-apiserver"));
    server.arg(format!("--etcd-servers=http://127.0.0.1:{ETCD_PORT}"));
    server.arg(format!("--advertise-address={HOST_ADDRESS}"));
    server.arg(format!("--secure-port={API_PORT}"));
    server.arg(format!("--service-cluster-ip-range={SERVICE_NETWORK}"));
    server.arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local");
    for (flag, path) in [
        ("--client-ca-file", &authority.certificate),
        ("--tls-cert-file", &serving.certificate),
        ("--tls-private-key-file", &serving.key),
        ("--kubelet-certificate-authority", &authority.certificate),
        ("--kubelet-client-certificate", &kubelet_client.certificate),
        ("--kubelet-client-key", &kubelet_client.key),
        ("--service-account-signing-key-file", &tokens.key),
        ("--service-account-key-file", &tokens.certificate),
    ] {
        server.arg(format!("{flag}={}", path.display()));
    }
    server.args([
        // Tests the permissions of the product's manifests.
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
        "--profiling=false",
    ]);
    daemon::start("kube-apiserver", &server)
}

/// Whether the API server responds; it opens its port much earlier. Sends a request without TLS, which is rejected with a
/// line of text, since a regular request would need a kubectl process each time.
pub(crate) fn api_serves() -> bool {
    let answer = || {
        let mut connection = TcpStream::connect((HOST_ADDRESS, API_PORT))?;
        connection.set_read_timeout(Some(Duration::from_millis(500)))?;
        connection.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        connection.read_exact(&mut [0; 4])
    };
    answer().is_ok()
}

pub(crate) fn start_controller_manager(programs: &Programs, settings: &Settings) -> anyhow::Result<Daemon> {
    let authority = certificates::pair(AUTHORITY);
    let tokens = certificates::pair(SERVICE_ACCOUNTS);
    let mut manager = Command::new(programs.kubernetes.join("kube-controller-manager"));
    for (flag, path) in [
        ("--root-ca-file", &authority.certificate),
        ("--cluster-signing-cert-file", &authority.certificate),
        ("--cluster-signing-key-file", &authority.key),
        ("--service-account-private-key-file", &tokens.key),
    ] {
        manager.arg(format!("{flag}={}", path.display()));
    }
    manager
        .arg("--use-service-account-credentials=true")
        .arg(format!("--cluster-cidr={POD_NETWORK}"));
    if settings.fake_nodes > 0 {
        // Fake nodes send no heartbeats.
        manager.arg("--node-monitor-grace-period=24h");
    }
    start_client(
        "kube-controller-manager",
        certificates::CONTROLLER_MANAGER,
        manager,
        settings,
    )
}

pub(crate) fn start_scheduler(programs: &Programs, settings: &Settings) -> anyhow::Result<Daemon> {
    let scheduler = Command::new(programs.kubernetes.join("kube-scheduler"));
    start_client("kube-scheduler", certificates::SCHEDULER, scheduler, settings)
}

/// Starts a controller manager or scheduler, without leader election since only one instance exists.
fn start_client(name: &str, identity: &str, mut command: Command, settings: &Settings) -> anyhow::Result<Daemon> {
    let config = state::path(&format!("{name}.kubeconfig"));
    kubeconfig::write(&config, identity)?;
    for flag in [
        "--kubeconfig",
        "--authentication-kubeconfig",
        "--authorization-kubeconfig",
    ] {
        command.arg(format!("{flag}={}", config.display()));
    }
    command.args(["--leader-elect=false", "--bind-address=127.0.0.1", "--profiling=false"]);
    command.arg(format!("--kube-api-qps={}", settings.kube_api_qps));
    command.arg(format!("--kube-api-burst={}", settings.kube_api_burst));
    daemon::start(name, &command)
}
