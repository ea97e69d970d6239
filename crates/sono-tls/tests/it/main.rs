//! Handshakes between the configurations, and what other programs make of keys and certificates.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod go;
mod handshake;

use jiff::Timestamp;
use sono_types::PluginName;

/// When all certificates of these tests are made.
fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn plugin(name: &str) -> PluginName {
    PluginName::parse(name).unwrap()
}
