//! Handshakes between the configurations, and compatibility of keys and certificates with other programs.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod go;
mod handshake;

use jiff::Timestamp;
use sono_types::PluginName;

/// The time at which all certificates of these tests are created.
fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn plugin(name: &str) -> PluginName {
    PluginName::parse(name).unwrap()
}
