//! Retains a result after its upload if the aggregator asks for it ([`routes::KEEP_HEADER`]), and sends it again if the
//! aggregator was replaced and lost it.

use std::time::Duration;

use reqwest::{Client, StatusCode, header::HeaderMap};
use sono_types::{error_chain, routes};
use tokio::time::{sleep, timeout};

use crate::intervals::growing;

/// Timeout of a query. The next query follows soon.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest interval between queries that an aggregator can request.
const MAX_INTERVAL: Duration = Duration::from_hours(1);
/// The longest interval as a multiple of the first.
const GROWTH: u32 = 3;

/// The aggregator's response to a query about a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredState {
    /// It has the result.
    Result,
    /// It has an error in place of the result.
    Error,
    /// It has neither; the result must be sent again.
    Missing,
    /// The run no longer needs the result.
    Over,
    /// No aggregator responded.
    Unknown,
}

/// The first query interval, if the aggregator asks the worker to retain its result.
pub(crate) fn requested_interval(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(routes::KEEP_HEADER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).clamp(Duration::from_secs(1), MAX_INTERVAL))
}

/// The intervals between queries: from `first` up to three times that, with jitter.
pub(crate) fn intervals(first: Duration) -> impl Iterator<Item = Duration> {
    growing(first, first * GROWTH, 1.3)
}

/// Queries the addresses in turn for the state of the result.
pub(crate) async fn query(client: &Client, urls: &[String]) -> StoredState {
    for url in urls {
        let answer = match timeout(QUERY_TIMEOUT, client.head(url).send()).await {
            Ok(Ok(answer)) => answer.status(),
            Ok(Err(error)) => {
                tracing::debug!(url, error = error_chain(&error), "cannot query the state of the result");
                continue;
            }
            Err(_) => continue,
        };
        match answer {
            StatusCode::OK => return StoredState::Result,
            StatusCode::ACCEPTED => return StoredState::Error,
            StatusCode::NOT_FOUND => return StoredState::Missing,
            // An aggregator that responds like this stores no results, or does not expect this one.
            StatusCode::GONE | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => return StoredState::Over,
            _ => {}
        }
    }
    StoredState::Unknown
}

/// Sleeps until the next query.
pub(crate) async fn sleep_until_next(intervals: &mut impl Iterator<Item = Duration>) {
    sleep(intervals.next().unwrap_or(MAX_INTERVAL)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_threefold_with_jitter() {
        let first = Duration::from_secs(20);
        let intervals: Vec<Duration> = intervals(first).take(20).collect();
        assert!(
            intervals.iter().all(|interval| (first..=first * 3).contains(interval)),
            "{intervals:?}"
        );
        assert_eq!(intervals.last(), Some(&(first * 3)));
        assert!(intervals[0] < first * 2, "{intervals:?}");
    }

    #[test]
    fn requested_interval_is_bounded() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(routes::KEEP_HEADER, text.parse().unwrap());
            requested_interval(&headers)
        };
        assert_eq!(requested_interval(&HeaderMap::new()), None);
        assert_eq!(of("20"), Some(Duration::from_secs(20)));
        assert_eq!(of("0"), Some(Duration::from_secs(1)));
        assert_eq!(of("9999999"), Some(MAX_INTERVAL));
        assert_eq!(of("soon"), None);
    }
}
