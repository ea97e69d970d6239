//! Lines of the run's log.

use jiff::Timestamp;
use serde::Deserialize;

use crate::{limits, lines::head};

/// A line of the run's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Time.
    pub time: Timestamp,
    /// Message, with the plugin and the node that it is about.
    pub message: String,
}

/// Time and message of a line of the run's log: JSON, or `time="…"` in text.
pub(super) fn log_line(line: &[u8]) -> Option<(Timestamp, String)> {
    #[derive(Deserialize)]
    struct Line {
        time: String,
        #[serde(default)]
        msg: String,
        #[serde(default)]
        plugin_name: String,
        #[serde(default)]
        node: String,
    }
    let line = std::str::from_utf8(line).ok()?;
    let Ok(Line {
        time,
        msg,
        plugin_name,
        node,
    }) = serde_json::from_str::<Line>(line)
    else {
        let (time, rest) = line.strip_prefix("time=\"")?.split_once('"')?;
        return Some((time.parse().ok()?, head(rest.trim(), limits::QUOTE_BYTES).to_owned()));
    };
    let parts = [msg, plugin_name, node];
    let message = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ");
    Some((time.parse().ok()?, head(&message, limits::QUOTE_BYTES).to_owned()))
}
