//! Limits on what a worker may send: every body, archive and wait has one.

use std::time::Duration;

/// Limits of the aggregator's HTTPS interface. Sonobuoy has none (weakness W-44); these are far above what its plugins
/// send, and each refusal names the limit it hit.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    pub idle_timeout: Duration,
    /// How long a TLS handshake or the head of a request may take.
    pub handshake_timeout: Duration,
    /// Connections held at the same time; further ones wait to be accepted.
    pub max_connections: usize,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 8 << 30,
            max_unpacked_bytes: 32 << 30,
            max_entries: 200_000,
            max_name_bytes: 1024,
            max_ratio: 1000,
            ratio_floor_bytes: 64 << 20,
            max_progress_bytes: 4 << 20,
            idle_timeout: Duration::from_mins(1),
            handshake_timeout: Duration::from_secs(10),
            max_connections: 16_384,
        }
    }
}
