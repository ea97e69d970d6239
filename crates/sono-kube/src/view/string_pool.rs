//! A pool of shared strings.

use std::{collections::HashSet, sync::Arc};

/// A string that may be shared.
pub type Text = Arc<str>;

/// Strings in the pool. A full pool is emptied; strings in use stay alive.
const CAPACITY: usize = 4096;
/// Longest string in the pool, in bytes. Longer ones hardly repeat.
const MAX_LENGTH: usize = 256;

/// Stores equal strings once.
#[derive(Debug, Default)]
pub struct StringPool(HashSet<Text>);

impl StringPool {
    /// The string, shared with earlier calls for an equal one.
    pub fn get(&mut self, text: &str) -> Text {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new = Text::from(text);
        if text.len() <= MAX_LENGTH {
            if self.0.len() >= CAPACITY {
                self.0.clear();
            }
            self.0.insert(Arc::clone(&new));
        }
        new
    }
}
