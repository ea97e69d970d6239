use std::net::TcpListener;

use sono_types::Target;
use sono_worker::{WorkerError, WorkerOutcome};

use crate::{
    Plugin,
    aggregator::{Aggregator, Received},
};

fn put(path: &str, content_type: &str, name: &str, content: &str) -> Received {
    Received {
        line: format!("PUT {path} HTTP/1.1"),
        headers: vec![
            ("content-type", content_type.to_owned()),
            ("content-disposition", format!("attachment;filename={name}")),
            ("content-length", content.len().to_string()),
        ],
        length: content.len(),
        start: content.to_owned(),
        peer: vec!["cis-1.8".to_owned()],
    }
}

const GLOBAL: &str = "/api/v1/results/global/cis-1.8";

#[tokio::test]
async fn a_result_arrives_as_the_protocol_has_it() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    plugin.finish("junit_01.xml", "<testsuites/>");
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(
        aggregator.received(),
        [put(GLOBAL, "text/xml; charset=utf-8", "junit_01.xml", "<testsuites/>")]
    );
}

#[tokio::test]
async fn result_of_a_node_is_sent_to_the_path_of_the_node() {
    let aggregator = Aggregator::up();
    let mut plugin = Plugin::of(&aggregator);
    plugin.config.target = Target::parse("node-1").unwrap();
    plugin.finish("result", "");
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(
        aggregator.received(),
        [put("/api/v1/results/by-node/node-1/cis-1.8", "", "result", "")]
    );
}

#[tokio::test]
async fn transient_errors_are_retried() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    aggregator.answer(&[(500, "disk"), (429, "slow down"), (503, "busy")]);
    plugin.finish("a.json", "{}");
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
    let one = put(GLOBAL, "application/json", "a.json", "{}");
    assert_eq!(aggregator.received(), [one.clone(), one.clone(), one.clone(), one]);
}

#[tokio::test]
async fn already_stored_result_is_not_an_error() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    aggregator.answer(&[(409, "result cis-1.8/global already received")]);
    plugin.finish("a.json", "{}");
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(aggregator.received().len(), 1);
}

/// Neither a stored result nor an error: an error would restart the worker of a DaemonSet.
#[tokio::test]
async fn result_after_the_end_of_collecting_is_too_late_and_sent_once() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    aggregator.answer(&[(410, "result cis-1.8/global came too late")]);
    plugin.finish("a.json", "{}");
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::TooLate);
    assert_eq!(aggregator.received().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_final_and_says_why() {
    for status in [400, 403, 404] {
        let aggregator = Aggregator::up();
        let plugin = Plugin::of(&aggregator);
        aggregator.answer(&[(status, "no, because\n")]);
        plugin.finish("a.json", "{}");
        let error = plugin.run().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "got a {status} response when dialing aggregator to {}{GLOBAL}: no, because",
                aggregator.url()
            )
        );
        assert_eq!(aggregator.received().len(), 1);
    }
}

#[tokio::test]
async fn aggregator_that_starts_late_gets_the_result() {
    let mut aggregator = Aggregator::down();
    let plugin = Plugin::of(&aggregator);
    plugin.finish("a.json", "{}");
    let late = async {
        // Long enough for a few refused attempts; the outcome does not depend on it.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(aggregator.received(), []);
        aggregator.start();
    };
    let (outcome, ()) = tokio::join!(plugin.run(), late);
    assert_eq!(outcome.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(aggregator.received().len(), 1);
}

#[tokio::test]
async fn second_address_is_tried_when_the_first_is_unreachable() {
    // One address refuses connections, the other closes them before the TLS handshake.
    let refusing = Aggregator::down();
    let hanging_up = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hanging_up.local_addr().unwrap();
    std::thread::spawn(move || while hanging_up.accept().is_ok() {});
    for first in [refusing.url(), format!("https://{address}")] {
        let aggregator = Aggregator::up();
        let mut plugin = Plugin::of(&aggregator);
        plugin.config.aggregator_urls.insert(0, first);
        plugin.finish("a.json", "{}");
        assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
        assert_eq!(aggregator.received(), [put(GLOBAL, "application/json", "a.json", "{}")]);
    }
}

#[tokio::test]
async fn deadline_ends_the_attempts() {
    let aggregator = Aggregator::up();
    let mut plugin = Plugin::of(&aggregator);
    // The deadline has passed; one attempt is made nevertheless.
    plugin.config.deadline = Some(sono_worker::system_clock());
    aggregator.answer(&[(500, "disk")]);
    plugin.finish("a.json", "{}");
    let error = plugin.run().await.unwrap_err();
    assert!(matches!(error, WorkerError::GaveUp { tries: 1, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "upload failed after attempt 1: {}{GLOBAL} responded with 500 Internal Server Error: disk",
            aggregator.url()
        )
    );

    plugin.config.deadline = None;
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
}

#[tokio::test]
async fn an_aggregator_of_another_run_gets_nothing() {
    let aggregator = Aggregator::up();
    let mut plugin = Plugin::of(&aggregator);
    plugin.config.ca_cert = Aggregator::down().authority.certificate_pem().to_owned();
    plugin.config.deadline = Some(sono_worker::system_clock());
    plugin.finish("a.json", "{}");
    let error = plugin.run().await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(aggregator.received(), []);
}

#[tokio::test]
async fn large_file_is_sent_whole_at_every_attempt() {
    const SIZE: u64 = 96 << 20;
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    aggregator.answer(&[(500, "again")]);
    let file = fs_err::File::create(plugin.path().join("large.bin")).unwrap();
    file.set_len(SIZE).unwrap();
    plugin.write("done", "large.bin");
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
    let received = aggregator.received();
    let puts = received.iter().filter(|received| received.line.starts_with("PUT"));
    let lengths: Vec<_> = puts
        .map(|received| (received.length, received.headers[2].clone()))
        .collect();
    let one = (usize::try_from(SIZE).unwrap(), ("content-length", SIZE.to_string()));
    assert_eq!(lengths, [one.clone(), one]);
}

const LARGE: usize = 5 << 20;

/// Lengths, ranges and first letters of the requests; all of them name the same upload.
fn parts(aggregator: &Aggregator) -> Vec<(String, usize, String, String)> {
    let mut names = std::collections::BTreeSet::new();
    let received = aggregator.received().into_iter().map(|request| {
        let header = |name: &str| {
            let found = request.headers.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        names.insert(header("x-sono-upload"));
        let (method, _) = request.line.split_once(' ').unwrap();
        let start: String = request.start.chars().take(1).collect();
        (method.to_owned(), request.length, header("content-range"), start)
    });
    let received = received.collect();
    assert_eq!(names.len(), 1, "{names:?}");
    received
}

fn part(method: &str, length: usize, range: &str, start: &str) -> (String, usize, String, String) {
    (method.to_owned(), length, range.to_owned(), start.to_owned())
}

/// A file of four MiB of `a`, followed by `b`.
fn large(plugin: &Plugin) {
    let mut content = vec![b'a'; 4 << 20];
    content.resize(LARGE, b'b');
    plugin.finish("large", content);
}

#[tokio::test]
async fn large_result_is_resumed() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    aggregator.has(4 << 20);
    aggregator.answer(&[(500, "the body broke off")]);
    large(&plugin);
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
    let range = format!("bytes {}-{}/{LARGE}", 4 << 20, LARGE - 1);
    let expected = [
        part("PUT", LARGE, "", "a"),
        part("HEAD", 0, "", ""),
        part("PUT", 1 << 20, &range, "b"),
    ];
    assert_eq!(parts(&aggregator), expected);
}

/// Sonobuoy's aggregator does not answer the query, and a restarted one has received nothing. Both get the result.
#[tokio::test]
async fn large_result_restarts_when_it_cannot_be_resumed() {
    for (asked, again) in [(405, 200), (404, 200), (200, 416)] {
        let aggregator = Aggregator::up();
        let plugin = Plugin::of(&aggregator);
        let has = if asked == 200 { 4 << 20 } else { 0 };
        if has > 0 {
            aggregator.has(has);
        }
        aggregator.answer(&[(500, "the body broke off"), (asked, ""), (again, ""), (404, "")]);
        large(&plugin);
        assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
        let mut expected = vec![part("PUT", LARGE, "", "a"), part("HEAD", 0, "", "")];
        if again == 416 {
            let range = format!("bytes {}-{}/{LARGE}", 4 << 20, LARGE - 1);
            expected.extend([part("PUT", 1 << 20, &range, "b"), part("HEAD", 0, "", "")]);
        }
        expected.push(part("PUT", LARGE, "", "a"));
        assert_eq!(parts(&aggregator), expected, "{asked} {again}");
    }
}

/// Sending a small result again is faster than the query.
#[tokio::test]
async fn a_small_result_is_sent_again() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    aggregator.answer(&[(500, "the body broke off")]);
    plugin.finish("small", "a");
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(parts(&aggregator), [part("PUT", 1, "", "a"), part("PUT", 1, "", "a")]);
}
