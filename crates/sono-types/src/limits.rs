//! Limits on requests of workers: sizes, durations and counts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Maximum number of result items in the tree of one plugin, which post-processing writes and `results` reads. 200 items on
/// each of 10,000 nodes are 2 million.
pub const PLUGIN_ITEMS: u64 = 5_000_000;
/// Maximum number of result items in the trees of all plugins of a run.
pub const RUN_ITEMS: u64 = 20_000_000;
/// Maximum size of the tree of one plugin as JSON, in bytes; as YAML it is slightly larger. 2 million items have about 400 MB.
pub const PLUGIN_TREE_BYTES: u64 = 2 << 30;
/// Maximum size of the trees of all plugins of a run, in bytes.
pub const RUN_TREE_BYTES: u64 = 4 << 30;

/// Limits of the aggregator's HTTPS interface.
///
/// Sonobuoy has none (weakness W-44). The defaults are far above the needs of its plugins, and each rejection names the
/// exceeded limit. They are set by the object `UploadLimits` of the configuration or by
/// [`crate::env::SONO_UPLOAD_LIMITS`]; durations are whole seconds there, and a limit must not be 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UploadLimits {
    /// Maximum size of one body as sent, in bytes.
    pub max_body_bytes: u64,
    /// Maximum unpacked size of all entries of one archive, in bytes.
    pub max_unpacked_bytes: u64,
    /// Maximum number of entries of one archive.
    pub max_entries: u64,
    /// Maximum length of an entry's path or of a file name, in bytes.
    pub max_name_bytes: usize,
    /// Maximum compression ratio of an archive larger than [`UploadLimits::ratio_floor_bytes`].
    pub max_ratio: u64,
    /// Unpacked size up to which the ratio is not checked, because small text compresses very well.
    pub ratio_floor_bytes: u64,
    /// Maximum size of one progress update, in bytes.
    pub max_progress_bytes: u64,
    /// Maximum time without data while a body is received.
    #[serde(rename = "IdleTimeoutSeconds", with = "seconds")]
    pub idle_timeout: Duration,
    /// Maximum time to receive one body.
    #[serde(rename = "MaxBodySeconds", with = "seconds")]
    pub max_body_time: Duration,
    /// Maximum time of a TLS handshake and of receiving a request's head. Both also end after 3 s without data.
    #[serde(rename = "HandshakeTimeoutSeconds", with = "seconds")]
    pub handshake_timeout: Duration,
    /// Time without data in either direction after which a connection is closed, in any state.
    #[serde(rename = "ConnectionIdleSeconds", with = "seconds")]
    pub connection_idle: Duration,
    /// Maximum concurrent requests, each on its own connection. Further connections wait and hold only their TLS session
    /// in memory. A request uses about 150 KiB of memory while its body is received.
    pub max_connections: usize,
    /// Maximum concurrent uploads of one result, as a worker may retry after its connection was cut.
    pub max_uploads_per_result: usize,
    /// Maximum concurrent requests of one plugin, identified by its certificate; further ones wait.
    pub max_uploads_per_plugin: usize,
    /// Maximum size of all results of the run on disk, including uploads in progress, in bytes.
    pub max_total_bytes: u64,
    /// How many bytes of a rejected body are read before the connection is closed, so that the sender can read the response.
    pub max_drain_bytes: u64,
    /// How many attempts to store a complete result may fail before an error is recorded instead.
    pub max_store_tries: u32,
}

impl UploadLimits {
    /// Name of the first limit that is 0 and would reject everything.
    pub fn first_zero(&self) -> Option<&'static str> {
        let Self {
            max_body_bytes,
            max_unpacked_bytes,
            max_entries,
            max_name_bytes,
            max_ratio,
            // 0 is valid: the ratio is then always checked.
            ratio_floor_bytes: _,
            max_progress_bytes,
            idle_timeout,
            max_body_time,
            handshake_timeout,
            connection_idle,
            max_connections,
            max_uploads_per_result,
            max_uploads_per_plugin,
            max_total_bytes,
            // 0 is valid: rejected bodies are then not read.
            max_drain_bytes: _,
            max_store_tries,
        } = self;
        let limits = [
            ("MaxBodyBytes", *max_body_bytes == 0),
            ("MaxUnpackedBytes", *max_unpacked_bytes == 0),
            ("MaxEntries", *max_entries == 0),
            ("MaxNameBytes", *max_name_bytes == 0),
            ("MaxRatio", *max_ratio == 0),
            ("MaxProgressBytes", *max_progress_bytes == 0),
            ("IdleTimeoutSeconds", idle_timeout.is_zero()),
            ("MaxBodySeconds", max_body_time.is_zero()),
            ("HandshakeTimeoutSeconds", handshake_timeout.is_zero()),
            ("ConnectionIdleSeconds", connection_idle.is_zero()),
            ("MaxConnections", *max_connections == 0),
            ("MaxUploadsPerResult", *max_uploads_per_result == 0),
            ("MaxUploadsPerPlugin", *max_uploads_per_plugin == 0),
            ("MaxTotalBytes", *max_total_bytes == 0),
            ("MaxStoreTries", *max_store_tries == 0),
        ];
        limits.iter().find(|(_, zero)| *zero).map(|(name, _)| *name)
    }
}

/// Serializes durations as whole seconds, as everywhere in the configuration.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(time.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

impl UploadLimits {
    /// The default limits.
    pub const DEFAULT: Self = Self {
        max_body_bytes: 8 << 30,
        max_unpacked_bytes: 32 << 30,
        max_entries: 200_000,
        max_name_bytes: 1024,
        // Above deflate's maximum: a file of zeros is a valid result, and `max_unpacked_bytes` limits its size.
        max_ratio: 1_100,
        ratio_floor_bytes: 4 << 30,
        max_progress_bytes: 4 << 20,
        idle_timeout: Duration::from_mins(1),
        max_body_time: Duration::from_hours(2),
        handshake_timeout: Duration::from_secs(10),
        connection_idle: Duration::from_mins(15),
        max_connections: 256,
        max_uploads_per_result: 4,
        max_uploads_per_plugin: 192,
        max_total_bytes: 256 << 30,
        max_drain_bytes: 64 << 20,
        max_store_tries: 3,
    };
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
