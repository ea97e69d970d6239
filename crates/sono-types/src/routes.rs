//! Paths of the aggregator's HTTPS interface (core §2.4).

use crate::ids::{PluginName, Target};

/// Route pattern of a node's result (`PUT`).
pub const RESULTS_BY_NODE: &str = "/api/v1/results/by-node/{node}/{plugin}";
/// Route pattern of a cluster-wide result (`PUT`).
pub const RESULTS_GLOBAL: &str = "/api/v1/results/global/{plugin}";
/// Route pattern of a node's progress (`POST`).
pub const PROGRESS_BY_NODE: &str = "/api/v1/progress/by-node/{node}/{plugin}";
/// Route pattern of cluster-wide progress (`POST`).
pub const PROGRESS_GLOBAL: &str = "/api/v1/progress/global/{plugin}";
/// Path of the worker's progress relay, to which a plugin posts progress.
pub const RELAY: &str = "/progress";

/// Header of a `PUT` that reports an error in place of a result.
///
/// The body is `{"error": "…"}`. The value of the header is ignored; workers send `1`. Not in Sonobuoy, where workers send
/// such bodies as if they were results (weakness W-6).
pub const ERROR_HEADER: &str = "x-sono-error";

/// Header of the aggregator's responses to a result: how often the worker must poll for it, in seconds.
///
/// Sent with 200 and 409 to `PUT`, and with 200 and 202 to `HEAD`. The worker must retain the result and poll with `HEAD`
/// at about this interval, because the aggregator's pod may be lost together with the result. `HEAD` is answered with 200
/// while the result is stored, 202 if an error is stored in its place, 404 if the result must be sent (again), and 410 once
/// it is no longer needed. A `PUT` of a result that is not stored is then answered with 410, too. Not in Sonobuoy: its
/// workers ignore the header, and its aggregator does not send it.
pub const KEEP_HEADER: &str = "x-sono-keep";

/// Header of a large result (`PUT`): identifier of an upload that can be resumed.
///
/// It identifies the exact bytes of the body. If a body is interrupted, the aggregator retains the received bytes for a
/// while, but not across restarts. `HEAD` with this header is answered with 200 and [`RECEIVED_HEADER`], or with 404 if no
/// bytes are retained. `PUT` with it and `Content-Range: bytes FROM-LAST/LENGTH` then sends the rest; it is answered with 416
/// if the range does not follow the retained bytes, and the next attempt starts at zero. Not in Sonobuoy: its aggregator has
/// no `HEAD`, and its workers restart uploads.
pub const UPLOAD_HEADER: &str = "x-sono-upload";
/// Header of the response to `HEAD` with [`UPLOAD_HEADER`]: number of received bytes.
pub const RECEIVED_HEADER: &str = "x-sono-received";

/// Header that requests the state of the containers in a worker's pod (`HEAD` of a result, any value).
///
/// The response is 204, with this header set to a name of [`crate::ContainersState`]. Workers use it if their pod has no
/// token that may read pods. Not in Sonobuoy: other aggregators respond without the header.
pub const CONTAINERS_HEADER: &str = "x-sono-containers";

/// Loopback listener, `GET`: the full status as JSON ([`crate::RunStatus`]).
///
/// It has every row, which the annotation cannot hold for large clusters. The listener is plain HTTP on 127.0.0.1, port
/// [`crate::constants::LOCAL_PORT`], reachable by port-forward.
pub const LOCAL_STATUS: &str = "/api/v1/status";
/// Loopback listener, `GET` and `HEAD`: the finished archive.
///
/// `ETag` is its SHA-256 in double quotes, `Content-Length` its size, `Content-Disposition` has its name. `Range` with one
/// range of bytes is answered with 206, or 416 if it is outside the archive; `If-Range` with the `ETag` protects against a
/// changed archive. 404 until the archive exists.
pub const LOCAL_ARCHIVE: &str = "/api/v1/archive";
/// Loopback listener, `GET`: the results collected so far, as a `.tar.gz` stream of unknown length. 404 once the archive is
/// sealed.
pub const LOCAL_PARTIAL: &str = "/api/v1/partial";

/// Loopback listener and `Server.metricsaddress`, `GET`: metrics of the run in Prometheus text format.
pub const METRICS: &str = "/metrics";

/// Path to which a worker uploads its result.
pub fn result_path(plugin: &PluginName, target: &Target) -> String {
    path("results", plugin, target)
}

/// Path to which a worker posts progress.
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
