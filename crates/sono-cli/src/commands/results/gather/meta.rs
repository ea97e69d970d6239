//! Files below `meta/`.

use serde::Deserialize;
use serde_json::Value;
use sono_types::LeftOut;

/// Names and skipped nodes in `meta/info.json`; empty if invalid.
pub(super) fn info(text: &[u8]) -> (Vec<String>, Vec<LeftOut>) {
    #[derive(Default, Deserialize)]
    struct Info {
        plugins: Option<Vec<String>>,
        #[serde(rename = "left-out", default)]
        left_out: Vec<LeftOut>,
    }
    let info: Info = serde_json::from_slice(text).unwrap_or_default();
    (info.plugins.unwrap_or_default(), info.left_out)
}

/// The id of the run in `meta/config.json`.
pub(super) fn uuid(text: &[u8]) -> Option<String> {
    let config: Value = serde_json::from_slice(text).ok()?;
    let uuid = config.get("UUID")?.as_str()?;
    (!uuid.is_empty()).then(|| uuid.to_owned())
}
