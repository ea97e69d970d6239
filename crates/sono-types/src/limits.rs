//! Limits on what a worker may send: every body, archive and wait has one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits of the aggregator's HTTPS interface. Sonobuoy has none (weakness W-44); these are far above what its plugins
/// send, and each refusal names the limit it hit. In the configuration they are the object `UploadLimits`, in the
/// environment [`crate::env::SONO_UPLOAD_LIMITS`]; times are whole seconds there, and nothing may be 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UploadLimits {
    /// Bytes of one body as sent.
    pub max_body_bytes: u64,
    /// Bytes of all entries of one archive, unpacked.
    pub max_unpacked_bytes: u64,
    /// Entries of one archive.
    pub max_entries: u64,
    /// Bytes of one entry's path, or of a file name.
    pub max_name_bytes: usize,
    /// How many bytes an archive may unpack to for each byte sent, once it is past [`UploadLimits::ratio_floor_bytes`].
    pub max_ratio: u64,
    /// Unpacked size up to which the ratio is not looked at: small text compresses very well.
    pub ratio_floor_bytes: u64,
    /// Bytes of one progress update.
    pub max_progress_bytes: u64,
    /// How long a body may send nothing.
    #[serde(rename = "IdleTimeoutSeconds", with = "seconds")]
    pub idle_timeout: Duration,
    /// How long one body may take from its first byte to its last.
    #[serde(rename = "MaxBodySeconds", with = "seconds")]
    pub max_body_time: Duration,
    /// How long a TLS handshake may take, and the head of a request; 3 s of silence end either before the request.
    #[serde(rename = "HandshakeTimeoutSeconds", with = "seconds")]
    pub handshake_timeout: Duration,
    /// How long a connection may move no byte in either direction before it is closed, whatever it waits for.
    #[serde(rename = "ConnectionIdleSeconds", with = "seconds")]
    pub connection_idle: Duration,
    /// Requests served at the same time, each on a connection of its own; further ones wait, with nothing but their TLS session in
    /// memory. Each costs the aggregator memory while its body is on its way, some 150 KiB.
    pub max_connections: usize,
    /// Bodies received at the same time for one result: retries of a worker whose connection was cut.
    pub max_uploads_per_result: usize,
    /// Requests served at the same time for one plugin, that is with one certificate; further ones wait.
    pub max_uploads_per_plugin: usize,
    /// Bytes of all results of the run on disk, those on their way included.
    pub max_total_bytes: u64,
    /// How much of a refused body is read, so that its sender sees why, before the connection is closed.
    pub max_drain_bytes: u64,
    /// How often a complete result may fail to be stored before an error takes its place.
    pub max_store_tries: u32,
}

impl UploadLimits {
    /// The first of the limits that is 0 and so would refuse everything.
    pub fn zero(&self) -> Option<&'static str> {
        let Self {
            max_body_bytes,
            max_unpacked_bytes,
            max_entries,
            max_name_bytes,
            max_ratio,
            // Nothing is refused for being below it.
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
            // Reading nothing of a refused body is a choice.
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

/// Times as whole seconds, as everywhere in the configuration.
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
    /// The limits unless told otherwise.
    pub const DEFAULT: Self = Self {
        max_body_bytes: 8 << 30,
        max_unpacked_bytes: 32 << 30,
        max_entries: 200_000,
        max_name_bytes: 1024,
        // More than deflate can: a file of zeros is a result too, and its size unpacked has a limit of its own.
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
