//! The state of the pod's other containers, as known to the aggregator, for pods that may not use the API server.

use std::time::Duration;

use reqwest::{Client, StatusCode, header};
use sono_types::{ContainersState, Target, error_chain, routes};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::intervals::growing;

/// Timeout of a query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Growth of the intervals: a plugin's end is noticed within a fifth of its duration, or two fifths with the most
/// jitter.
const GROWTH: f32 = 1.2;

/// The shortest and longest interval between queries. A DaemonSet has a worker on every node and usually writes a done
/// file, since a container that ends is restarted.
fn bounds(target: &Target) -> (Duration, Duration) {
    match target {
        Target::Global => (Duration::from_secs(1), Duration::from_mins(1)),
        Target::Node(_) => (Duration::from_secs(20), Duration::from_mins(2)),
    }
}

/// The intervals between queries, with jitter.
fn intervals(target: &Target) -> impl Iterator<Item = Duration> + use<> {
    let (first, max) = bounds(target);
    growing(first, max, GROWTH)
}

/// The aggregator's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum QueryResult {
    State(ContainersState),
    /// The aggregator does not support the query, like Sonobuoy's and older ones.
    Unsupported,
    /// No aggregator responded.
    Unavailable,
}

/// Queries the aggregator periodically and sends the state to `state`. Returns when an aggregator does not support the
/// query.
pub(crate) async fn follow(client: &Client, urls: &[String], target: &Target, state: &watch::Sender<ContainersState>) {
    let (_, max) = bounds(target);
    let mut intervals = intervals(target);
    loop {
        sleep(intervals.next().unwrap_or(max)).await;
        match query(client, urls).await {
            QueryResult::State(now) => {
                state.send_if_modified(|last| std::mem::replace(last, now) != now);
            }
            QueryResult::Unsupported => return,
            QueryResult::Unavailable => {}
        }
    }
}

/// Queries the addresses in turn. Connections are closed at once: their number is limited, and uploads need them.
async fn query(client: &Client, urls: &[String]) -> QueryResult {
    for url in urls {
        let request = client
            .head(url)
            .header(routes::CONTAINERS_HEADER, "?")
            .header(header::CONNECTION, "close");
        let answer = match timeout(QUERY_TIMEOUT, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::debug!(
                    url,
                    error = error_chain(&error),
                    "cannot query the state of the other containers"
                );
                continue;
            }
            Err(_) => continue,
        };
        let said = answer.headers().get(routes::CONTAINERS_HEADER);
        if let Some(said) = said.and_then(|said| said.to_str().ok()) {
            return QueryResult::State(ContainersState::from_name(said));
        }
        match answer.status() {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {}
            _ => return QueryResult::Unsupported,
        }
    }
    QueryResult::Unavailable
}

#[cfg(test)]
mod tests {
    use sono_types::NodeName;

    use super::*;

    #[test]
    fn intervals_of_a_job_grow_from_a_second_to_a_minute() {
        let intervals: Vec<Duration> = intervals(&Target::Global).take(40).collect();
        assert!(intervals[0] < Duration::from_secs(3), "{intervals:?}");
        assert_eq!(intervals.last(), Some(&Duration::from_mins(1)));
        // Jitter at most doubles an interval.
        let mut passed = Duration::ZERO;
        for interval in intervals {
            assert!(
                interval <= passed * 2 / 5 + Duration::from_secs(2),
                "{interval:?} after {passed:?}"
            );
            passed += interval;
        }
    }

    #[test]
    fn workers_of_daemon_sets_query_rarely() {
        let node = Target::Node(NodeName::parse("n1").unwrap());
        let intervals: Vec<Duration> = intervals(&node).take(40).collect();
        assert!(intervals[0] >= Duration::from_secs(20), "{intervals:?}");
        assert_eq!(intervals.last(), Some(&Duration::from_mins(2)));
    }
}
