//! Parses `error.json`, the reason of a missing result.

use serde_json::{Map, Value};
use sono_types::{Item, constants, item::status, text::decode_with_replacement};

use crate::{Compatibility, go_print::sprint};

/// Timeout message of Sonobuoy's first versions.
const OLD_TIMEOUT_MESSAGE: &str = "timeout waiting for results";

/// Parses the file into an item named by the error, with all keys of the file as details.
pub(crate) fn read(content: &[u8], compatibility: Compatibility) -> Result<Item, String> {
    let fields: Map<String, Value> =
        serde_json::from_str(&decode_with_replacement(content).text).map_err(|error| error.to_string())?;
    let error = fields.get(ERROR).unwrap_or(&Value::Null);
    let is_timeout = if compatibility.timeout_by_word {
        fields.contains_key(ERROR) && sprint(error).contains("timeout")
    } else {
        error
            .as_str()
            .is_some_and(|message| message.starts_with(constants::TIMEOUT_MESSAGE) || message == OLD_TIMEOUT_MESSAGE)
    };
    let name = match error {
        Value::String(message) => message.clone(),
        other if compatibility.printed_details => sprint(other),
        Value::Null => constants::ERROR_FILE.to_owned(),
        other => other.to_string(),
    };
    let status = if is_timeout { status::TIMEOUT } else { status::FAILED };
    let details = if compatibility.printed_details {
        fields
            .iter()
            .map(|(key, value)| (key.clone(), Value::String(sprint(value))))
            .collect()
    } else {
        fields.into_iter().collect()
    };
    Ok(Item {
        name,
        status: status.to_owned(),
        details,
        ..Item::default()
    })
}

/// The key of the error's message.
const ERROR: &str = "error";

/// The item of an unreadable file.
pub(crate) fn unreadable() -> Item {
    Item {
        name: constants::ERROR_FILE.to_owned(),
        status: status::FAILED.to_owned(),
        ..Item::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: &Value, compatibility: Compatibility, name: &str, status: &str, details: &Value) {
        let item = read(value.to_string().as_bytes(), compatibility).unwrap();
        assert_eq!(
            (item.name.as_str(), item.status.as_str(), &json!(item.details)),
            (name, status, details),
            "{value} {compatibility:?}"
        );
    }

    /// W-51: details are structured values.
    #[test]
    fn details_are_structured_values() {
        let file = json!({"error": "testerr", "pod": {"b": 1, "a": [null]}});
        check(&file, Compatibility::default(), "testerr", "failed", &file);
        let printed = json!({"error": "testerr", "pod": "map[a:[<nil>] b:1]"});
        check(&file, Compatibility::SONOBUOY, "testerr", "failed", &printed);
    }

    /// W-41: only the timeout error of the aggregator is a timeout.
    #[test]
    fn other_errors_with_the_word_timeout_are_failures() {
        for (message, expected, by_word) in [
            (constants::TIMEOUT_MESSAGE, "timeout", "timeout"),
            ("timeout waiting for results", "timeout", "timeout"),
            ("dial tcp: i/o timeout", "failed", "timeout"),
            ("Timeout", "failed", "failed"),
        ] {
            let file = json!({"error": message});
            check(&file, Compatibility::default(), message, expected, &file);
            check(&file, Compatibility::SONOBUOY, message, by_word, &file);
        }
    }

    #[test]
    fn errors_that_are_not_text_have_names_too() {
        for (error, expected, printed) in [
            (json!(null), "error.json", "<nil>"),
            (json!({"a": 1}), "{\"a\":1}", "map[a:1]"),
        ] {
            let read = |compatibility| read(json!({"error": error}).to_string().as_bytes(), compatibility).unwrap();
            assert_eq!(read(Compatibility::default()).name, expected);
            assert_eq!(read(Compatibility::SONOBUOY).name, printed);
        }
        check(&json!({}), Compatibility::default(), "error.json", "failed", &json!({}));
        check(&json!({}), Compatibility::SONOBUOY, "<nil>", "failed", &json!({}));
        for broken in [&b"[]"[..], b"", b"\xff"] {
            assert!(read(broken, Compatibility::default()).is_err());
        }
    }
}
