//! Results that a worker retains until the run is sealed, because its aggregator may be replaced.

use sono_worker::{Options, Sleep, WorkerOutcome};

use crate::{Plugin, aggregator::Aggregator, options};

const PUT: &str = "PUT /api/v1/results/global/cis-1.8 HTTP/1.1";
const HEAD: &str = "HEAD /api/v1/results/global/cis-1.8 HTTP/1.1";

fn lines(aggregator: &Aggregator) -> Vec<String> {
    let received = aggregator.received();
    received.into_iter().map(|request| request.line).collect()
}

/// 200 and 409 both start retention. The result is sent again if it is missing or replaced by an error, until the run
/// is over.
#[tokio::test]
async fn result_is_sent_again_when_the_aggregator_lost_it() {
    let aggregator = Aggregator::up();
    aggregator.asks_to_retain(1);
    let plugin = Plugin::of(&aggregator);
    let answers = [200, 200, 404, 409, 202, 200, 503, 410].map(|status| (status, ""));
    aggregator.answer(&answers);
    plugin.finish("a.json", "{}");
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(lines(&aggregator), [PUT, HEAD, HEAD, PUT, HEAD, PUT, HEAD, HEAD]);
    let received = aggregator.received();
    assert_eq!(received[0], received[3]);
    assert_eq!(received[0], received[5]);
}

/// An error in place of a result is what this worker uploaded.
#[tokio::test]
async fn known_error_is_not_sent_again() {
    let aggregator = Aggregator::up();
    aggregator.asks_to_retain(1);
    let plugin = Plugin::of(&aggregator);
    aggregator.answer(&[(200, ""), (202, ""), (404, ""), (200, ""), (410, "")]);
    plugin.write("done", plugin.path().join("nothing").to_str().unwrap());
    let WorkerOutcome::Reported(reason) = plugin.run().await.unwrap() else {
        panic!("expected a reported error");
    };
    assert!(reason.contains("nothing"), "{reason}");
    assert_eq!(lines(&aggregator), [PUT, HEAD, HEAD, PUT, HEAD]);
}

#[tokio::test]
async fn worker_that_retains_its_result_ends_at_once() {
    let aggregator = Aggregator::up();
    aggregator.asks_to_retain(1);
    let plugin = Plugin::of(&aggregator);
    plugin.finish("a.json", "{}");
    let options = Options {
        sleep: Sleep::Forever,
        ..options()
    };
    let outcome = plugin.run_with(options, aggregator.wait_for(2)).await;
    assert_eq!(outcome.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(lines(&aggregator), [PUT, HEAD]);
}
