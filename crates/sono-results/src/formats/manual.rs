//! The `manual` format: the plugin writes the item tree itself.

use sono_types::Item;

use super::{Outcome, text::decode};
use crate::documents::from_yaml;

/// Takes status, items and details of the file's first document; its name and meta are dropped.
pub(crate) fn read(content: &[u8]) -> Outcome {
    match from_yaml(&decode(content)) {
        Ok(Item {
            name: _,
            status,
            meta: _,
            details,
            items,
        }) => Outcome {
            status,
            items,
            details,
            error: None,
        },
        Err(error) => Outcome::unreadable(error.to_string()),
    }
}
