use std::{io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use sono_worker::{ContainersState, Options, WorkerOutcome};
use tokio::sync::watch;

use crate::{Plugin, aggregator::Aggregator, options};

/// Content type, disposition and error mark of the only request.
fn heading(aggregator: &Aggregator) -> Vec<(&'static str, String)> {
    let received = aggregator.received();
    assert_eq!(received.len(), 1, "{received:?}");
    received[0]
        .headers
        .iter()
        .filter(|(name, _)| *name != "content-length")
        .cloned()
        .collect()
}

fn archive(name: &str) -> Vec<(&'static str, String)> {
    vec![
        ("content-type", "application/gzip".to_owned()),
        ("content-disposition", format!("attachment;filename={name}")),
    ]
}

fn report() -> Vec<(&'static str, String)> {
    vec![
        ("content-type", "application/json".to_owned()),
        ("content-disposition", "attachment;filename=error.json".to_owned()),
        ("x-sono-error", "1".to_owned()),
    ]
}

#[tokio::test]
async fn a_directory_is_sent_as_an_archive() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    fs_err::create_dir(plugin.path().join("sub")).unwrap();
    plugin.write("sub/a.xml", "x");
    plugin.write("done", format!("{}\r\n", plugin.path().join("sub").display()));
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(heading(&aggregator), archive("results.tar.gz"));
    assert_eq!(
        aggregator.received()[0].length as u64,
        fs_err::metadata(plugin.path().join("sub/results.tar.gz"))
            .unwrap()
            .len()
    );
}

/// Core §3.2: the done file may name its own directory. Sonobuoy packs the done file, too, although it is not a
/// result.
#[tokio::test]
async fn the_results_directory_itself_is_sent_whole() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    plugin.write("a.xml", "x");
    plugin.write("done", plugin.path().to_str().unwrap());
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(heading(&aggregator), archive("results.tar.gz"));
    let file = fs_err::File::open(plugin.path().join("results.tar.gz")).unwrap();
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(file));
    let mut names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned())
        .filter(|name| !name.ends_with('/'))
        .collect();
    names.sort();
    assert_eq!(names, ["a.xml"]);
}

#[tokio::test]
async fn compressed_text_is_not_sent_as_an_archive() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(b"a log\n").unwrap();
    plugin.finish("a.log.gz", encoder.finish().unwrap());
    assert_eq!(plugin.run().await.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(
        heading(&aggregator),
        [
            ("content-type", String::new()),
            ("content-disposition", "attachment;filename=a.log.gz".to_owned())
        ]
    );
}

#[tokio::test]
async fn a_done_file_that_names_nothing_is_reported() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    // No other container could create it, so the worker does not wait.
    let (_state, others) = watch::channel(ContainersState::Succeeded);
    plugin.write("done", "gone.xml");
    let reason = format!(
        "failed to stat result file {}: No such file or directory (os error 2)",
        plugin.path().join("gone.xml").display()
    );
    let outcome = plugin
        .run_with(Options { others, ..options() }, std::future::pending())
        .await
        .unwrap();
    assert_eq!(outcome, WorkerOutcome::Reported(reason.clone()));
    assert_eq!(heading(&aggregator), report());
    assert_eq!(
        aggregator.received()[0].start,
        serde_json::json!({ "error": reason }).to_string()
    );
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to_is_reported() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    // Not even root can create files in `/proc`.
    plugin.write("done", "/proc/self");
    let WorkerOutcome::Reported(reason) = plugin.run().await.unwrap() else {
        panic!("not reported");
    };
    assert!(
        reason.starts_with("cannot write /proc/self/.results.tar.gz.partial: "),
        "{reason}"
    );
    assert_eq!(heading(&aggregator), report());
}

#[tokio::test]
async fn everything_is_sent_when_all_others_have_ended() {
    let aggregator = Aggregator::up();
    let plugin = Plugin::of(&aggregator);
    let (state, others) = watch::channel(ContainersState::Running);
    plugin.write("a.xml", "x");
    let running = plugin.run_with(Options { others, ..options() }, std::future::pending());
    let ending = async {
        state.send_replace(ContainersState::Succeeded);
    };
    let (outcome, ()) = tokio::join!(running, ending);
    assert_eq!(outcome.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(heading(&aggregator), archive("out.tar.gz"));
    let archive = plugin.path().join("out.tar.gz");
    assert_eq!(
        fs_err::read_to_string(plugin.path().join("done")).unwrap(),
        archive.to_str().unwrap()
    );
}

#[tokio::test]
async fn the_done_file_goes_before_the_end_of_the_others() {
    let aggregator = Aggregator::up();
    let mut plugin = Plugin::of(&aggregator);
    // The delay is for sidecars, and none is left.
    plugin.config.done_delay = Duration::from_hours(1);
    let (_state, others) = watch::channel(ContainersState::Succeeded);
    plugin.finish("a.json", "{}");
    let outcome = plugin
        .run_with(Options { others, ..options() }, std::future::pending())
        .await;
    assert_eq!(outcome.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(
        heading(&aggregator),
        [
            ("content-type", "application/json".to_owned()),
            ("content-disposition", "attachment;filename=a.json".to_owned())
        ]
    );
}

#[tokio::test]
async fn a_side_car_may_take_the_done_file_away() {
    let aggregator = Aggregator::up();
    let mut plugin = Plugin::of(&aggregator);
    plugin.config.done_delay = Duration::from_secs(1);
    let side_car = async {
        plugin.finish("raw.json", "{}");
        // Time in which a worker that does not wait would upload.
        tokio::time::sleep(Duration::from_millis(200)).await;
        fs_err::remove_file(plugin.path().join("done")).unwrap();
        // Longer than the file would have to be unchanged.
        tokio::time::sleep(plugin.config.done_delay).await;
        plugin.finish("processed.json", "{}");
    };
    let (outcome, ()) = tokio::join!(plugin.run(), side_car);
    assert_eq!(outcome.unwrap(), WorkerOutcome::Transmitted);
    assert_eq!(
        heading(&aggregator)[1],
        ("content-disposition", "attachment;filename=processed.json".to_owned())
    );
}

#[tokio::test]
async fn later_done_file_is_seen_by_its_event() {
    let aggregator = Aggregator::up();
    let mut plugin = Plugin::of(&aggregator);
    // The directory does not exist yet, as in a run without a cluster.
    plugin.config.results_dir = plugin.path().join("results").to_str().unwrap().to_owned();
    let later = async {
        while !plugin.path().join("results").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        plugin.write("results/a.json", "{}");
        // Written in two steps, like a shell redirection.
        plugin.write("results/done", "");
        plugin.write("results/done", "a.json");
    };
    let (outcome, ()) = tokio::join!(plugin.run(), later);
    assert_eq!(outcome.unwrap(), WorkerOutcome::Transmitted);
}
