//! Limits on the number and duration of connections: a client cannot delay others.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use sono_manifest::DriverKind;
use sono_types::UploadLimits;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use crate::{
    GLOBAL,
    backend::{Options, TestRun, plugin, within},
    put,
    raw::connect,
};

/// Far below the time limit of the other connections.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn idle_connections_without_certificate_do_not_delay_workers() {
    let run = TestRun::start(vec![plugin("p", DriverKind::Job)], UploadLimits::default()).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(run.address).await.unwrap());
    }
    let (client, url) = (run.client("p"), run.url(GLOBAL));
    assert_eq!(timeout(SOON, put(&client, &url, &[], "x")).await.unwrap().0, 200);
}

#[tokio::test]
async fn idle_and_half_sent_requests_of_one_certificate_do_not_delay_another() {
    let run = TestRun::begin(Options {
        definitions: vec![plugin("p", DriverKind::Job), plugin("q", DriverKind::Job)],
        limits: UploadLimits {
            max_connections: 20,
            max_uploads_per_plugin: 12,
            ..UploadLimits::DEFAULT
        },
        ..Options::default()
    })
    .await;
    let mut held = Vec::new();
    for number in 0..40 {
        let mut connection = connect(&run, run.tls("q")).await.unwrap();
        if number % 2 == 0 {
            connection
                .write_all(b"POST /api/v1/progress/global/q HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{")
                .unwrap();
        }
        held.push(connection);
    }
    let (client, url) = (run.client("p"), run.url(GLOBAL));
    assert_eq!(timeout(SOON, put(&client, &url, &[], "x")).await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_beyond_the_share_of_their_certificate_wait() {
    const NODES: usize = 200;
    let run = TestRun::begin(Options {
        nodes: NODES,
        limits: UploadLimits {
            max_uploads_per_plugin: 2,
            ..UploadLimits::DEFAULT
        },
        ..Options::default()
    })
    .await;
    let client = run.client("p");
    let mut workers = JoinSet::new();
    for number in 1..=NODES {
        let (client, url) = (client.clone(), run.url(&format!("/api/v1/results/by-node/n{number}/p")));
        // A single attempt: no request is refused.
        workers.spawn(async move { put(&client, &url, &[], "x".repeat(100_000)).await });
    }
    for answer in within(workers.join_all()).await {
        assert_eq!(answer, (200, String::new()));
    }
}

#[tokio::test]
async fn server_is_reached_over_ipv4_ipv6_and_both() {
    let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    for (bind, addresses) in [
        (v4, vec![v4]),
        (v6, vec![v6]),
        (Ipv4Addr::UNSPECIFIED.into(), vec![v4]),
        (Ipv6Addr::UNSPECIFIED.into(), vec![v4, v6]),
    ] {
        let run = TestRun::begin(Options {
            bind,
            ..Options::default()
        })
        .await;
        for (address, node) in addresses.into_iter().zip(["n1", "n2"]) {
            let server = SocketAddr::new(address, run.address.port());
            let url = format!("https://{server}/api/v1/results/by-node/{node}/p");
            assert_eq!(put(&run.client("p"), &url, &[], "x").await.0, 200, "{bind} {address}");
        }
    }
}
