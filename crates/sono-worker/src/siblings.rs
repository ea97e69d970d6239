//! What the aggregator says of the other containers of the worker's pod, where the pod may not ask the API server itself.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use reqwest::{Client, StatusCode, header};
use sono_types::{ContainersState, Target, routes};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::submit::chain;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// How much longer each pause is than the one before: a plugin's end is noticed after a fifth of the time that it took, or with
/// the most of jitter two fifths.
const GROWTH: f32 = 1.2;

/// The first and the longest pause between two questions. Of DaemonSets there is a worker on every node, and they leave a
/// done file as a rule: a container that ends is started again.
fn bounds(target: &Target) -> (Duration, Duration) {
    match target {
        Target::Global => (Duration::from_secs(1), Duration::from_mins(1)),
        Target::Node(_) => (Duration::from_secs(20), Duration::from_mins(2)),
    }
}

/// The pauses between questions, none the same for two workers.
fn pauses(target: &Target) -> impl Iterator<Item = Duration> + use<> {
    let (first, longest) = bounds(target);
    let growing = ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_factor(GROWTH)
        .without_max_times()
        .with_jitter()
        .build();
    growing.map(move |pause| pause.min(longest))
}

/// An answer of the aggregator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    State(ContainersState),
    /// It knows no such question, as Sonobuoy's and older ones.
    Unable,
    /// It could not be asked this time.
    Missing,
}

/// Asks again and again, and passes on what the aggregator says. Ends when an aggregator answers that does not know the
/// question.
pub(crate) async fn follow(client: &Client, urls: &[String], target: &Target, state: &watch::Sender<ContainersState>) {
    let (_, longest) = bounds(target);
    let mut pauses = pauses(target);
    loop {
        sleep(pauses.next().unwrap_or(longest)).await;
        match ask(client, urls).await {
            Answer::State(now) => {
                state.send_if_modified(|last| std::mem::replace(last, now) != now);
            }
            Answer::Unable => return,
            Answer::Missing => {}
        }
    }
}

/// Asks one address after the other. Connections are few, and uploads need them: none is kept.
async fn ask(client: &Client, urls: &[String]) -> Answer {
    for url in urls {
        let question = client
            .head(url)
            .header(routes::CONTAINERS_HEADER, "?")
            .header(header::CONNECTION, "close");
        let answer = match timeout(ANSWER, question.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::debug!(url, error = chain(&error), "cannot ask for the other containers");
                continue;
            }
            Err(_) => continue,
        };
        let said = answer.headers().get(routes::CONTAINERS_HEADER);
        if let Some(said) = said.and_then(|said| said.to_str().ok()) {
            return Answer::State(ContainersState::from_name(said));
        }
        match answer.status() {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {}
            _ => return Answer::Unable,
        }
    }
    Answer::Missing
}

#[cfg(test)]
mod tests {
    use sono_types::NodeName;

    use super::*;

    #[test]
    fn pauses_of_a_job_grow_from_a_second_to_a_minute() {
        let pauses: Vec<Duration> = pauses(&Target::Global).take(40).collect();
        assert!(pauses[0] < Duration::from_secs(3), "{pauses:?}");
        assert_eq!(pauses.last(), Some(&Duration::from_mins(1)));
        // Jitter adds to a pause as much as the pause itself, at most.
        let mut passed = Duration::ZERO;
        for pause in pauses {
            assert!(
                pause <= passed * 2 / 5 + Duration::from_secs(2),
                "{pause:?} after {passed:?}"
            );
            passed += pause;
        }
    }

    #[test]
    fn workers_of_daemon_sets_ask_rarely() {
        let node = Target::Node(NodeName::parse("n1").unwrap());
        let pauses: Vec<Duration> = pauses(&node).take(40).collect();
        assert!(pauses[0] >= Duration::from_secs(20), "{pauses:?}");
        assert_eq!(pauses.last(), Some(&Duration::from_mins(2)));
    }
}
