//! Results that are kept until the run is sealed, because the aggregator that has them may go.

use sono_worker::{Options, Outcome, Sleep};

use crate::{Plugin, aggregator::Aggregator, options};

const PUT: &str = "PUT /api/v1/results/global/cis-1.8 HTTP/1.1";
const HEAD: &str = "HEAD /api/v1/results/global/cis-1.8 HTTP/1.1";

fn lines(aggregator: &Aggregator) -> Vec<String> {
    let received = aggregator.received();
    received.into_iter().map(|request| request.line).collect()
}

/// 200 and 409 keep it alike; it is sent again when it is missing, or when an error took its place, and no more once the
/// run is over.
#[tokio::test]
async fn a_result_is_sent_again_to_whoever_does_not_have_it() {
    let aggregator = Aggregator::up();
    aggregator.keeps(1);
    let plugin = Plugin::of(&aggregator);
    let answers = [200, 200, 404, 409, 202, 200, 503, 410].map(|status| (status, ""));
    aggregator.answer(&answers);
    plugin.finish("a.json", "{}");
    assert_eq!(plugin.run().await.unwrap(), Outcome::Transmitted);
    assert_eq!(lines(&aggregator), [PUT, HEAD, HEAD, PUT, HEAD, PUT, HEAD, HEAD]);
    let received = aggregator.received();
    assert_eq!(received[0], received[3]);
    assert_eq!(received[0], received[5]);
}

/// What is no result stands as an error: that is what it was sent as.
#[tokio::test]
async fn an_error_that_is_known_is_not_sent_again() {
    let aggregator = Aggregator::up();
    aggregator.keeps(1);
    let plugin = Plugin::of(&aggregator);
    aggregator.answer(&[(200, ""), (202, ""), (404, ""), (200, ""), (410, "")]);
    plugin.write("done", plugin.path().join("nothing").to_str().unwrap());
    let Outcome::Reported(reason) = plugin.run().await.unwrap() else {
        panic!("there is no result");
    };
    assert!(reason.contains("nothing"), "{reason}");
    assert_eq!(lines(&aggregator), [PUT, HEAD, HEAD, PUT, HEAD]);
}

#[tokio::test]
async fn a_worker_that_keeps_its_result_ends_at_once() {
    let aggregator = Aggregator::up();
    aggregator.keeps(1);
    let plugin = Plugin::of(&aggregator);
    plugin.finish("a.json", "{}");
    let options = Options {
        sleep: Sleep::Forever,
        ..options()
    };
    let outcome = plugin.run_with(options, aggregator.wait_for(2)).await;
    assert_eq!(outcome.unwrap(), Outcome::Transmitted);
    assert_eq!(lines(&aggregator), [PUT, HEAD]);
}
