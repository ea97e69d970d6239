//! Texts that many objects share.

use std::{collections::HashSet, sync::Arc};

/// A text that may be shared.
pub type Text = Arc<str>;

/// Texts that are held: more make room for others. What is in use stays.
const MOST: usize = 4096;
/// Longer ones hardly repeat.
const LONGEST: usize = 256;

/// Gives equal texts one place in memory.
#[derive(Debug, Default)]
pub struct Strings(HashSet<Text>);

impl Strings {
    /// The text, shared with all that asked for it before.
    pub fn get(&mut self, text: &str) -> Text {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let new = Text::from(text);
        if text.len() <= LONGEST {
            if self.0.len() >= MOST {
                self.0.clear();
            }
            self.0.insert(Arc::clone(&new));
        }
        new
    }
}
