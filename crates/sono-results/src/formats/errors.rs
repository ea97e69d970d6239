//! `error.json`: why there is no result.

use serde_json::{Map, Value};
use sono_types::{Item, constants, item::status};

use crate::go_print::sprint;

/// An item that is named by the error and has every key of the file as a detail.
pub(crate) fn read(content: &[u8]) -> Result<Item, String> {
    let fields: Map<String, Value> = serde_json::from_slice(content).map_err(|error| error.to_string())?;
    let message = sprint(fields.get("error").unwrap_or(&Value::Null));
    // Weakness W-41, kept for those who look for it: any message with that word counts as a timeout.
    let status = if fields.contains_key("error") && message.contains("timeout") {
        status::TIMEOUT
    } else {
        status::FAILED
    };
    Ok(Item {
        name: message,
        status: status.to_owned(),
        details: fields
            .iter()
            .map(|(key, value)| (key.clone(), Value::String(sprint(value))))
            .collect(),
        ..Item::default()
    })
}

/// What stands for a file that cannot be read.
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

    #[test]
    fn every_key_becomes_text() {
        let read =
            |value: Value| read(value.to_string().as_bytes()).map(|item| (item.name, item.status, json!(item.details)));
        assert_eq!(
            read(json!({"error": "testerr", "pod": {"b": 1, "a": [null]}})),
            Ok((
                "testerr".to_owned(),
                "failed".to_owned(),
                json!({"error": "testerr", "pod": "map[a:[<nil>] b:1]"})
            ))
        );
        assert_eq!(
            read(json!({"error": constants::TIMEOUT_MESSAGE.to_lowercase()})).map(|(_, status, _)| status),
            Ok("timeout".to_owned())
        );
        assert_eq!(
            read(json!({"error": "Timeout"})).map(|(_, status, _)| status),
            Ok("failed".to_owned())
        );
        assert_eq!(
            read(json!({})),
            Ok(("<nil>".to_owned(), "failed".to_owned(), json!({})))
        );
        assert!(super::read(b"[]").is_err());
        assert!(super::read(b"").is_err());
    }
}
