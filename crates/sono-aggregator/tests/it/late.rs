//! Results that arrive while the archive is written.

use sono_manifest::DriverKind;
use sono_types::{Config, OverallStatus};

use crate::{
    backend::{Options, TestRun, plugin, within},
    put,
};

/// A missing result is refused as too late, a stored one as already received, without headers of sono's workers: Sonobuoy's workers
/// get the same response.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn result_after_the_deadline_is_answered_with_410() {
    let mut config = Config::default();
    config.server.timeout_seconds = 1;
    let run = TestRun::begin(Options {
        definitions: vec![plugin("p", DriverKind::DaemonSet)],
        config,
        ..Options::default()
    })
    .await;
    run.trouble.holds_queries.send_replace(true);
    let (client, url) = (run.client("p"), |node: &str| {
        run.url(&format!("/api/v1/results/by-node/{node}/p"))
    });
    assert_eq!(put(&client, &url("n1"), &[], "one").await.0, 200);
    let mut statuses = run.statuses.clone();
    let over = statuses.wait_for(|status| status.status == OverallStatus::PostProcessing);
    within(over).await.unwrap();
    let too_late =
        "result p/n2 arrived too late: the run accepts no more results, and its archive does not include this one\n";
    let type_and_name = [
        ("Content-Type", ""),
        ("Content-Disposition", "attachment;filename=out.txt"),
    ];
    for headers in [&[][..], &type_and_name] {
        assert_eq!(
            put(&client, &url("n2"), headers, "two").await,
            (410, too_late.to_owned())
        );
        let known = "result p/n1 already received\n".to_owned();
        assert_eq!(put(&client, &url("n1"), headers, "one").await, (409, known));
    }
    let unexpected = "result p/n9 unexpected\n".to_owned();
    assert_eq!(put(&client, &url("n9"), &[], "x").await, (403, unexpected));
    run.trouble.holds_queries.send_replace(false);
    let finished = run.finished().await.0.unwrap();
    assert_eq!(finished.errors, 1, "{:?}", finished.status);
}
