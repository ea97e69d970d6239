//! After the upload, where the aggregator asks for it ([`routes::KEEP_HEADER`]): the result stays here, and is sent again
//! should the aggregator have gone and taken it along.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::{Client, StatusCode, header::HeaderMap};
use sono_types::routes;
use tokio::time::{sleep, timeout};

use crate::submit::chain;

/// How long an answer may take: it is a matter of moments, and there is always a next time.
const ANSWER: Duration = Duration::from_secs(10);
/// The longest that an aggregator can ask to wait between two questions.
const LONGEST: Duration = Duration::from_hours(1);
/// How much longer than at first the pauses become.
const GROWTH: u32 = 3;

/// What the aggregator says of a result that it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It is there.
    Result,
    /// An error stands in its place.
    Error,
    /// It is not there: send it again.
    Missing,
    /// Nobody will need it any more.
    Over,
    /// Nobody could say.
    Unknown,
}

/// How long to wait before the first question, where the aggregator wants any.
pub(crate) fn wanted(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(routes::KEEP_HEADER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).clamp(Duration::from_secs(1), LONGEST))
}

/// The pauses between questions: from `first` up to three times that, none the same for two workers.
pub(crate) fn pauses(first: Duration) -> impl Iterator<Item = Duration> {
    let longest = first * GROWTH;
    let growing = ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_factor(1.3)
        .without_max_times()
        .with_jitter()
        .build();
    growing.map(move |pause| pause.min(longest))
}

/// Asks one address after the other whether the result is still there.
pub(crate) async fn ask(client: &Client, urls: &[String]) -> Held {
    for url in urls {
        let answer = match timeout(ANSWER, client.head(url).send()).await {
            Ok(Ok(answer)) => answer.status(),
            Ok(Err(error)) => {
                tracing::debug!(
                    url,
                    error = chain(&error),
                    "cannot ask whether the result is still there"
                );
                continue;
            }
            Err(_) => continue,
        };
        match answer {
            StatusCode::OK => return Held::Result,
            StatusCode::ACCEPTED => return Held::Error,
            StatusCode::NOT_FOUND => return Held::Missing,
            // Who answers with these keeps nothing, or does not expect it.
            StatusCode::GONE | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => return Held::Over,
            _ => {}
        }
    }
    Held::Unknown
}

/// Waits for the next question.
pub(crate) async fn rest(pauses: &mut impl Iterator<Item = Duration>) {
    sleep(pauses.next().unwrap_or(LONGEST)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_threefold_and_differ() {
        let first = Duration::from_secs(20);
        let pauses: Vec<Duration> = pauses(first).take(20).collect();
        assert!(
            pauses.iter().all(|pause| (first..=first * 3).contains(pause)),
            "{pauses:?}"
        );
        assert_eq!(pauses.last(), Some(&(first * 3)));
        assert!(pauses[0] < first * 2, "{pauses:?}");
    }

    #[test]
    fn what_is_asked_for_is_bounded() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(routes::KEEP_HEADER, text.parse().unwrap());
            wanted(&headers)
        };
        assert_eq!(wanted(&HeaderMap::new()), None);
        assert_eq!(of("20"), Some(Duration::from_secs(20)));
        assert_eq!(of("0"), Some(Duration::from_secs(1)));
        assert_eq!(of("9999999"), Some(LONGEST));
        assert_eq!(of("soon"), None);
    }
}
