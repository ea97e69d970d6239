use std::time::Duration;

use sono_worker::{ContainersState, Options, Sleep, WorkerError, WorkerOutcome};
use tokio::sync::{oneshot, watch};

use crate::{Plugin, aggregator::Aggregator, options};

/// Resolves when the sender requests termination.
async fn requested(receiver: oneshot::Receiver<()>) {
    receiver.await.unwrap();
}

#[tokio::test]
async fn without_results_the_worker_ends_when_its_grace_is_over() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    let options = Options {
        sleep: Sleep::Forever,
        grace: Duration::from_millis(20),
        ..options()
    };
    assert_eq!(
        plugin.run_with(options, std::future::ready(())).await.unwrap(),
        WorkerOutcome::NoResults
    );
    assert_eq!(aggregator.received(), []);
}

/// A FIFO without a writer: opening it would block.
#[cfg(unix)]
#[tokio::test]
async fn worker_with_a_fifo_for_a_done_file_can_be_terminated() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    let done = plugin.path().join("done");
    rustix::fs::mkfifoat(rustix::fs::CWD, &done, rustix::fs::Mode::RWXU).unwrap();
    let options = Options {
        grace: Duration::from_millis(20),
        ..options()
    };
    let running = plugin.run_with(options, std::future::ready(()));
    let ended = tokio::time::timeout(Duration::from_secs(30), running).await;
    assert_eq!(ended.unwrap().unwrap(), WorkerOutcome::NoResults);
}

#[tokio::test]
async fn results_that_appear_in_the_grace_period_are_sent() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    let (terminate, receiver) = oneshot::channel();
    let running = plugin.run_with(options(), async {
        requested(receiver).await;
        plugin.finish("a.json", "{}");
    });
    terminate.send(()).unwrap();
    assert_eq!(running.await.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(aggregator.received().len(), 1);
}

#[tokio::test]
async fn worker_does_not_wait_when_all_containers_have_ended() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    let (state, others) = watch::channel(ContainersState::Running);
    let options = Options {
        others,
        grace: Duration::from_hours(1),
        ..options()
    };
    let (terminate, receiver) = oneshot::channel();
    let running = plugin.run_with(options, requested(receiver));
    let ending = async {
        terminate.send(()).unwrap();
        state.send_replace(ContainersState::Failed);
    };
    let (outcome, ()) = tokio::join!(running, ending);
    assert_eq!(outcome.unwrap(), WorkerOutcome::NoResults);
}

/// The aggregator judges a pod ten seconds after its last container, the worker, ended.
#[tokio::test]
async fn worker_ends_when_the_others_failed_for_good_without_a_done_file() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    let (state, others) = watch::channel(ContainersState::Running);
    let running = plugin.run_with(Options { others, ..options() }, std::future::pending());
    let ending = async { state.send_replace(ContainersState::PermanentlyFailed) };
    let (outcome, _) = tokio::join!(running, ending);
    assert_eq!(outcome.unwrap(), WorkerOutcome::NoResults);
    assert_eq!(aggregator.received(), []);
}

/// A done file written just before the container failed counts.
#[tokio::test]
async fn result_of_containers_that_failed_for_good_is_sent() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    plugin.finish("a.json", "{}");
    let (_state, others) = watch::channel(ContainersState::PermanentlyFailed);
    let outcome = plugin.run_with(Options { others, ..options() }, std::future::pending());
    assert_eq!(outcome.await.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(aggregator.received().len(), 1);
}

/// Containers that the kubelet restarts may still deliver a result.
#[tokio::test]
async fn worker_waits_for_containers_that_are_started_again() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    let (state, others) = watch::channel(ContainersState::Failed);
    let running = plugin.run_with(Options { others, ..options() }, std::future::pending());
    let ending = async {
        tokio::task::yield_now().await;
        state.send_replace(ContainersState::Running);
        plugin.finish("a.json", "{}");
    };
    let (outcome, ()) = tokio::join!(running, ending);
    assert_eq!(outcome.unwrap(), WorkerOutcome::Transmitted);
}

#[tokio::test]
async fn a_worker_that_sleeps_ends_at_once() {
    for sleep in [Sleep::Forever, Sleep::For(Duration::from_hours(1))] {
        let aggregator = Aggregator::up();
        let plugin = Plugin::of(&aggregator);
        plugin.finish("a.json", "{}");
        let options = Options {
            sleep,
            grace: Duration::from_hours(1),
            ..options()
        };
        let outcome = plugin.run_with(options, aggregator.wait_for(1)).await;
        assert_eq!(outcome.unwrap(), WorkerOutcome::Transmitted);
    }
}

#[tokio::test]
async fn an_upload_that_does_not_succeed_is_given_up_in_the_end() {
    let aggregator = Aggregator::down();
    let plugin = Plugin::of(&aggregator);
    plugin.finish("a.json", "{}");
    let options = Options {
        grace: Duration::from_millis(200),
        ..options()
    };
    let outcome = plugin.run_with(options, std::future::ready(())).await;
    assert!(matches!(outcome, Err(WorkerError::Interrupted)), "{outcome:?}");
}
