//! Limits and failures: each refusal has its own text, and none blocks the run.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use sono_manifest::DriverKind;
use sono_types::{Config, UploadLimits, config::Server, constants, status::plugin_status};

use crate::{
    GLOBAL, archive,
    backend::{Options, TestRun, plugin, within},
    put,
    raw::{connect, exchange},
};

const NODE: &str = "/api/v1/results/by-node/n1/p";
const GZIP: [(&str, &str); 1] = [("Content-Type", "application/gzip")];

async fn limited(limits: UploadLimits) -> TestRun {
    TestRun::begin(Options {
        limits,
        ..Options::default()
    })
    .await
}

/// W-44: entries, bytes, ratio and names of an archive, bytes on disk: each limit has its message.
#[tokio::test]
async fn each_exceeded_limit_has_its_own_message() {
    let small = || UploadLimits {
        max_entries: 2,
        max_unpacked_bytes: 100_000,
        max_ratio: 5,
        ratio_floor_bytes: 10_000,
        max_name_bytes: 20,
        max_total_bytes: 60_000,
        ..UploadLimits::DEFAULT
    };
    let run = limited(small()).await;
    let client = run.client("p");
    let url = run.url(NODE);
    let noise: String = (0..70_000_u32)
        .map(|number| char::from(b'a' + u8::try_from(number.wrapping_mul(2_654_435_761) >> 28).unwrap()))
        .collect();
    let many = archive(&[("a", ""), ("b", ""), ("c", "")]);
    let repeated = archive(&[("a", &"x".repeat(50_000))]);
    let long = archive(&[(&"n".repeat(30), "x")]);
    for (headers, body, status, expected) in [
        (
            GZIP.as_slice(),
            many,
            400,
            "archive has more than 2 entries (UploadLimits.MaxEntries)",
        ),
        (
            &GZIP,
            repeated,
            400,
            "unpacks to more than 5 times its size (UploadLimits.MaxRatio)",
        ),
        (&GZIP, long, 400, "longer than 20 bytes (UploadLimits.MaxNameBytes)"),
        (
            &GZIP,
            archive(&[("a", &noise), ("b", &noise)]),
            507,
            "would exceed the limit of 60000 bytes (UploadLimits.MaxTotalBytes)",
        ),
        (
            &[],
            noise.clone().into_bytes(),
            507,
            "would exceed the limit of 60000 bytes",
        ),
    ] {
        let (got, text) = put(&client, &url, headers, body).await;
        assert_eq!(got, status, "{text}");
        assert!(
            text.starts_with("error handling result p/n1: ") && text.contains(expected),
            "{expected}: {text}"
        );
    }
    // Refused uploads leave no files.
    assert_eq!(
        put(&client, &url, &[], noise[..50_000].to_owned()).await,
        (200, String::new())
    );
}

/// W-44: a body that never ends, with a byte at a time.
#[tokio::test]
async fn slow_body_ends_at_its_time_limit() {
    let run = limited(UploadLimits {
        max_body_time: Duration::from_secs(1),
        ..UploadLimits::DEFAULT
    })
    .await;
    let drops = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Some((Ok::<_, std::io::Error>("x"), ()))
    });
    let body = reqwest::Body::wrap_stream(drops);
    let (status, text) = put(&run.client("p"), &run.url(NODE), &[], body).await;
    assert_eq!(status, 500);
    assert!(
        text.starts_with("error handling result p/n1: the body exceeded the time limit of 1 s; "),
        "{text}"
    );
    assert_eq!(put(&run.client("p"), &run.url(NODE), &[], "x").await.0, 200);
}

#[tokio::test]
async fn concurrent_uploads_of_one_result_are_limited() {
    let run = limited(UploadLimits {
        max_uploads_per_result: 1,
        ..UploadLimits::DEFAULT
    })
    .await;
    let mut stalled = connect(&run, run.tls("p")).await.unwrap();
    let length = 1 << 20;
    let head = format!("PUT {NODE} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    stalled.write_all(head.as_bytes()).unwrap();
    // Small bodies are not written to files.
    stalled.write_all(&vec![b'x'; length / 2]).unwrap();
    let incoming = run.root.path().join(".incoming-run");
    let arrived = async {
        while fs_err::read_dir(&incoming).unwrap().next().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(arrived).await;
    assert_eq!(
        put(&run.client("p"), &run.url(NODE), &[], "x").await,
        (
            503,
            "result p/n1 already has 1 concurrent uploads, the limit, try again\n".to_owned()
        )
    );
    drop(stalled);
}

/// W-40: a refused client receives the reason, even while it sends a large body.
#[tokio::test]
async fn refused_body_is_drained_up_to_a_limit() {
    let run = limited(UploadLimits {
        max_drain_bytes: 32 << 20,
        ..UploadLimits::DEFAULT
    })
    .await;
    let client = run.client("p");
    let large = vec![b'x'; 16 << 20];
    let unexpected = run.url("/api/v1/results/by-node/n9/p");
    assert_eq!(
        put(&client, &unexpected, &[], large.clone()).await,
        (403, "result p/n9 unexpected\n".to_owned())
    );
    assert_eq!(put(&client, &run.url(NODE), &[], "x").await.0, 200);
    assert_eq!(
        put(&client, &run.url(NODE), &[], large).await,
        (409, "result p/n1 already received\n".to_owned())
    );
    // With `Expect: 100-continue` the response precedes the body.
    let line = "PUT /api/v1/results/by-node/n9/p HTTP/1.1";
    let asks = exchange(&run, "p", &[line, "Content-Length: 5", "Expect: 100-continue"], b"").await;
    assert_eq!((asks.status, asks.body.as_str()), (403, "result p/n9 unexpected\n"));
}

/// W-0, W-5: a result that cannot be stored is an error after the worker's three attempts, and the run ends.
#[tokio::test]
async fn result_that_cannot_be_stored_fails_after_three_attempts() {
    let run = TestRun::start(vec![plugin("p", DriverKind::Job)], UploadLimits::default()).await;
    // A file at the path of the results directory.
    fs_err::create_dir_all(run.directory().join("plugins/p")).unwrap();
    fs_err::write(run.directory().join("plugins/p/results"), "in the way").unwrap();
    let (client, url) = (run.client("p"), run.url(GLOBAL));
    for _ in 0..3 {
        let (status, text) = put(&client, &url, &[], "content").await;
        assert_eq!(status, 500);
        assert!(text.starts_with("error handling result p/global: "), "{text}");
    }
    let (outcome, _root) = run.finished().await;
    let finished = outcome.unwrap();
    assert_eq!(finished.status.rows()[0].status, plugin_status::FAILED);
    let bundle = sono_bundle::Bundle::open(&finished.archive).unwrap();
    let error = bundle.read("plugins/p/errors/global/error.json").unwrap().unwrap();
    let error: serde_json::Value = serde_json::from_slice(&error).unwrap();
    assert!(
        error["error"].as_str().unwrap().contains("plugins/p/results"),
        "{error}"
    );
}

/// W-0: a deadlock of Sonobuoy: a plain file with the content type gzip, sent as often as a worker does, and a fourth time.
#[tokio::test]
async fn plain_file_with_the_type_gzip_does_not_block_other_uploads() {
    let run = limited(UploadLimits::DEFAULT).await;
    let client = run.client("p");
    for _ in 0..4 {
        assert_eq!(put(&client, &run.url(NODE), &GZIP, "no gzip").await.0, 400);
    }
    let other = run.url("/api/v1/results/by-node/n2/p");
    assert_eq!(put(&client, &other, &[], "x").await.0, 200);
    let (outcome, _root) = run.finished().await;
    let rows: Vec<String> = outcome
        .unwrap()
        .status
        .rows()
        .iter()
        .map(|row| row.status.clone())
        .collect();
    assert_eq!(rows, [plugin_status::FAILED, plugin_status::COMPLETE]);
}

/// W-29: the time limit settles all results while a client stalls during its upload.
#[tokio::test]
async fn stalled_upload_ends_at_the_time_limit() {
    let run = TestRun::begin(Options {
        config: Config {
            server: Server {
                timeout_seconds: 1,
                ..Config::default().server
            },
            ..Config::default()
        },
        ..Options::default()
    })
    .await;
    let mut stalled = connect(&run, run.tls("p")).await.unwrap();
    let head = format!("PUT {NODE} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nbegin");
    stalled.write_all(head.as_bytes()).unwrap();
    let (outcome, _root) = run.finished().await;
    let finished = outcome.unwrap();
    assert!(
        finished
            .status
            .rows()
            .iter()
            .all(|row| row.status == plugin_status::FAILED)
    );
    let bundle = sono_bundle::Bundle::open(&finished.archive).unwrap();
    for node in ["n1", "n2"] {
        let error = bundle
            .read(&format!("plugins/p/errors/{node}/error.json"))
            .unwrap()
            .unwrap();
        let error: serde_json::Value = serde_json::from_slice(&error).unwrap();
        assert_eq!(error["error"], constants::TIMEOUT_MESSAGE);
    }
    drop(stalled);
}

/// W-3: a stalled upload retains its slot only while no other request waits for it, here with two connections in total.
#[tokio::test]
async fn stalled_upload_is_preempted_by_waiting_requests() {
    let run = TestRun::begin(Options {
        nodes: 3,
        limits: UploadLimits {
            max_connections: 2,
            max_uploads_per_plugin: 2,
            ..UploadLimits::DEFAULT
        },
        ..Options::default()
    })
    .await;
    let mut stalled = Vec::new();
    for node in ["n1", "n2"] {
        let mut connection = connect(&run, run.tls("p")).await.unwrap();
        let head =
            format!("PUT /api/v1/results/by-node/{node}/p HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nbegin");
        connection.write_all(head.as_bytes()).unwrap();
        stalled.push(connection);
    }
    let third = run.url("/api/v1/results/by-node/n3/p");
    assert_eq!(put(&run.client("p"), &third, &[], "x").await.0, 200);
    let mut answer = String::new();
    stalled[0].read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("after 5 bytes while others were waiting"), "{answer}");
    // The upload may be retried.
    assert_eq!(put(&run.client("p"), &run.url(NODE), &[], "x").await.0, 200);
}

/// W-25: a run without an archive ends as `failed`, so that clients stop waiting, and its files are retained.
#[tokio::test]
async fn run_that_cannot_be_packed_fails_and_retains_its_results() {
    let run = TestRun::start(vec![plugin("p", DriverKind::Job)], UploadLimits::default()).await;
    let now = (sono_aggregator::system_clock())();
    for minutes in -1..=1 {
        // A directory at the path of the archive.
        let start = now + jiff::SignedDuration::from_mins(minutes);
        let name = sono_types::layout::archive_name(start, "run");
        fs_err::create_dir_all(run.root.path().join(name).join("in the way")).unwrap();
    }
    let statuses = run.statuses.clone();
    assert_eq!(put(&run.client("p"), &run.url(GLOBAL), &[], "kept").await.0, 200);
    let (outcome, root) = run.finished().await;
    assert!(
        matches!(&outcome, Err(sono_aggregator::RunError::Pack { directory, .. }) if *directory == root.path().join("run")),
        "{outcome:?}"
    );
    assert_eq!(statuses.borrow().status, sono_types::OverallStatus::Failed);
    let kept = fs_err::read_to_string(root.path().join("run/plugins/p/results/global/result")).unwrap();
    assert_eq!(kept, "kept");
}

/// W-23: an address in use ends the program at once, before any request to the cluster.
#[tokio::test]
async fn address_in_use_ends_the_program_at_once() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.json");
    let text = serde_json::json!({"Server": {"bindaddress": "127.0.0.1", "bindport": port}, "PluginSearchPath": []});
    fs_err::write(&config, text.to_string()).unwrap();
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_sono-aggregator"));
    program
        .arg("aggregator")
        .env_clear()
        .env("SONOBUOY_CONFIG", &config)
        .current_dir(folder.path())
        .kill_on_drop(true);
    let output = within(program.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains(&format!("cannot listen on 127.0.0.1:{port}: ")),
        "{stderr}"
    );
}

/// W-44: on a full disk only uploads that do not fit fail, with that reason; the run ends.
#[cfg(target_os = "linux")]
#[tokio::test]
#[ignore = "needs the right to mount a small file system: run as root with --ignored"]
async fn full_disk_fails_only_uploads_that_do_not_fit() {
    use std::process::Command;
    let place = tempfile::tempdir().unwrap();
    let mount = ["-t", "tmpfs", "-o", "size=4m", "tmpfs"];
    assert!(
        Command::new("mount")
            .args(mount)
            .arg(place.path())
            .status()
            .unwrap()
            .success()
    );
    let run = TestRun::begin(Options {
        place: place.path().to_path_buf(),
        ..Options::default()
    })
    .await;
    let (client, large) = (run.client("p"), vec![b'x'; 8 << 20]);
    for _ in 0..3 {
        let (status, text) = put(&client, &run.url(NODE), &[], large.clone()).await;
        assert_eq!(status, 507, "{text}");
        assert!(text.contains("the aggregator's volume is full"), "{text}");
    }
    let other = run.url("/api/v1/results/by-node/n2/p");
    assert_eq!(put(&client, &other, &[], "small").await.0, 200);
    let (outcome, root) = run.finished().await;
    let finished = outcome.unwrap();
    let rows: Vec<String> = finished.status.rows().iter().map(|row| row.status.clone()).collect();
    assert_eq!(rows, [plugin_status::FAILED, plugin_status::COMPLETE]);
    let bundle = sono_bundle::Bundle::open(&finished.archive).unwrap();
    let error = bundle.read("plugins/p/errors/n1/error.json").unwrap().unwrap();
    let error = String::from_utf8(error).unwrap();
    assert!(error.contains("the aggregator's volume is full"), "{error}");
    drop(bundle);
    drop(root);
    assert!(Command::new("umount").arg(place.path()).status().unwrap().success());
}
