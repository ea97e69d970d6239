//! Paths of the aggregator's HTTPS interface (core spec §2.4).

use crate::ids::{PluginName, Target};

/// Route pattern of a node's result (`PUT`).
pub const RESULTS_BY_NODE: &str = "/api/v1/results/by-node/{node}/{plugin}";
/// Route pattern of a cluster-wide result (`PUT`).
pub const RESULTS_GLOBAL: &str = "/api/v1/results/global/{plugin}";
/// Route pattern of a node's progress (`POST`).
pub const PROGRESS_BY_NODE: &str = "/api/v1/progress/by-node/{node}/{plugin}";
/// Route pattern of cluster-wide progress (`POST`).
pub const PROGRESS_GLOBAL: &str = "/api/v1/progress/global/{plugin}";
/// Where a plugin posts progress to its worker.
pub const RELAY: &str = "/progress";

/// Header of a result (`PUT`) that is no result: its body is `{"error": "…"}` and says why the worker has none. Any value
/// counts, workers send `1`. sono's own: Sonobuoy's workers send such bodies as if they were results (weakness W-6).
pub const ERROR_HEADER: &str = "x-sono-error";

/// Header of the aggregator's answers to a result (`PUT`, 200 and 409; `HEAD`, 200 and 202): the worker shall keep the
/// result, ask with `HEAD` for it after about so many seconds, and again and again, since this aggregator may go and take
/// it along. `HEAD` is answered with 200 while the result is here, 202 where an error stands in its place, 404 where it
/// shall be sent (again), and 410 once nobody needs it any more (which a `PUT` is answered with, too, where the result is not in). sono's own: workers of Sonobuoy do not know the header,
/// and its aggregator does not send it.
pub const KEEP_HEADER: &str = "x-sono-keep";

/// Header of a large result (`PUT`): a name for exactly these bytes. Of a body that breaks off the aggregator keeps what came, for a
/// while and in one process. `HEAD` with this header is answered with 200 and [`RECEIVED_HEADER`], or 404 where nothing is kept
/// under that name; `PUT` with it and `Content-Range: bytes FROM-LAST/LENGTH` then brings the rest, and gets 416 where that does not
/// follow what is there: the next try begins at zero. sono's own: Sonobuoy's aggregator has no `HEAD` and its workers begin anew.
pub const UPLOAD_HEADER: &str = "x-sono-upload";
/// Header of the answer to `HEAD` with [`UPLOAD_HEADER`]: how many bytes are there.
pub const RECEIVED_HEADER: &str = "x-sono-received";

/// Header of a question about the containers in a worker's pod (`HEAD` of a result, any value), and of the answer, which is
/// 204 and a name of [`crate::ContainersState`]. Workers ask whose pod has no token, or none that may read pods. sono's own:
/// other aggregators answer without the header.
pub const CONTAINERS_HEADER: &str = "x-sono-containers";

/// Loopback listener ([`crate::constants::LOCAL_PORT`], plain HTTP on 127.0.0.1; reached by port-forward), `GET`: the
/// whole status as JSON ([`crate::RunStatus`]), every row of it, which the annotation cannot hold for large clusters.
pub const LOCAL_STATUS: &str = "/api/v1/status";
/// Loopback listener, `GET` and `HEAD`: the finished archive. `ETag` is its SHA-256 in double quotes, `Content-Length` its
/// size, its name stands in `Content-Disposition`. `Range` with one range of bytes is answered with 206 (416 when it lies
/// outside); `If-Range` with the `ETag` guards against another archive. 404 while there is none.
pub const LOCAL_ARCHIVE: &str = "/api/v1/archive";
/// Loopback listener, `GET`: what a run that still goes on has collected so far, as a `.tar.gz` stream without length. 404
/// when there is nothing any more, because the archive is sealed.
pub const LOCAL_PARTIAL: &str = "/api/v1/partial";

/// Loopback listener, and that of `Server.metricsaddress`, `GET`: counts of the run in Prometheus' text format.
pub const METRICS: &str = "/metrics";

/// Path a worker uploads its result to.
pub fn result_path(plugin: &PluginName, target: &Target) -> String {
    path("results", plugin, target)
}

/// Path a worker posts progress to.
pub fn progress_path(plugin: &PluginName, target: &Target) -> String {
    path("progress", plugin, target)
}

fn path(kind: &str, plugin: &PluginName, target: &Target) -> String {
    match target {
        Target::Global => format!("/api/v1/{kind}/global/{plugin}"),
        Target::Node(node) => format!("/api/v1/{kind}/by-node/{node}/{plugin}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_the_protocol() {
        let plugin = PluginName::parse("cis-1.8").unwrap();
        let node = Target::parse("n1").unwrap();
        assert_eq!(result_path(&plugin, &Target::Global), "/api/v1/results/global/cis-1.8");
        assert_eq!(result_path(&plugin, &node), "/api/v1/results/by-node/n1/cis-1.8");
        assert_eq!(
            progress_path(&plugin, &Target::Global),
            "/api/v1/progress/global/cis-1.8"
        );
        assert_eq!(progress_path(&plugin, &node), "/api/v1/progress/by-node/n1/cis-1.8");
    }
}
