//! The first pass over a text: where a window of a known value ends. It writes nothing for ordinary bytes.

use zeroize::Zeroize;

use super::normal::{escape, is_dropped, is_escape};
use crate::bytes::part;

/// Bytes of a window.
const WINDOW: u8 = 8;
/// Bits of the table for each window, at most 512 KiB, so that it stays in the cache of a core.
const BITS: usize = 32;
const MOST_BITS: usize = 1 << 22;

/// How a byte is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Ordinary,
    Dropped,
    Escape,
}

static CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut classes = [Class::Ordinary; 256];
    let (mut byte, mut index) = (0_u8, 0);
    while index < classes.len() {
        if is_dropped(byte) {
            classes[index] = Class::Dropped;
        } else if is_escape(byte) {
            classes[index] = Class::Escape;
        }
        byte = byte.wrapping_add(1);
        index += 1;
    }
    classes
}

/// A set of windows, with false positives.
pub(super) struct Filter {
    bits: Vec<u64>,
    shift: u32,
}

impl Drop for Filter {
    fn drop(&mut self) {
        self.bits.zeroize();
    }
}

impl Filter {
    /// The set of these windows.
    pub(super) fn new(windows: impl ExactSizeIterator<Item = u64>) -> Self {
        let size = (windows.len() * BITS).next_power_of_two().clamp(1 << 12, MOST_BITS);
        let mut filter = Self {
            bits: vec![0; size / 64],
            shift: 64 - size.trailing_zeros(),
        };
        for window in windows {
            let hash = first_hash(window);
            for hash in [hash, second_hash(hash)] {
                let (word, bit) = filter.place(hash);
                if let Some(word) = filter.bits.get_mut(word) {
                    *word |= bit;
                }
            }
        }
        filter
    }

    fn place(&self, hash: u64) -> (usize, u64) {
        let hash = hash >> self.shift;
        (usize::try_from(hash >> 6).unwrap_or_default(), 1 << (hash & 63))
    }

    fn has(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether the set may contain a window.
    pub(super) fn may_contain(&self, window: u64) -> bool {
        let hash = first_hash(window);
        self.has(hash) && self.has(second_hash(hash))
    }

    /// Calls `found` for each window that the set may contain, of the text with and without its escapes, with the place in
    /// the text where it ends.
    pub(super) fn scan(&self, text: &[u8], mut found: impl FnMut(u64, usize)) {
        let (mut plain, mut decoded) = (0_u64, 0_u64);
        // Bytes since the last escape: after a whole window, both texts have the same one.
        let mut since = WINDOW;
        let mut index = 0;
        while let Some(byte) = text.get(index) {
            let class = CLASSES.get(usize::from(*byte)).copied().unwrap_or(Class::Ordinary);
            if class == Class::Dropped {
                index += 1;
                continue;
            }
            if class == Class::Escape
                && let Some(escape) = escape(text, index)
            {
                let end = index + escape.length;
                for byte in part(text, index, end).iter().filter(|byte| !is_dropped(**byte)) {
                    plain = plain << 8 | u64::from(*byte);
                    if self.may_contain(plain) {
                        found(plain, end);
                    }
                }
                for byte in escape.bytes() {
                    decoded = decoded << 8 | u64::from(*byte);
                    if self.may_contain(decoded) {
                        found(decoded, end);
                    }
                }
                since = 0;
                index = end;
                continue;
            }
            index += 1;
            plain = plain << 8 | u64::from(*byte);
            decoded = decoded << 8 | u64::from(*byte);
            if self.may_contain(plain) {
                found(plain, index);
            }
            if since < WINDOW {
                since += 1;
                if plain != decoded && self.may_contain(decoded) {
                    found(decoded, index);
                }
            }
        }
    }
}

fn first_hash(window: u64) -> u64 {
    window.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn second_hash(first: u64) -> u64 {
    first.rotate_left(32).wrapping_mul(0xd6e8_feb8_6659_fd93)
}
