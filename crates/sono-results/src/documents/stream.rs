//! A tree's leaves one by one, as its text is read: memory for one of them, not for all.
//!
//! Which lines belong to an item shows in their indentation alone: what stands in a scalar is indented more than its
//! key. The item itself is then read by [`super::direct`].

use std::io::{self, BufRead};

use sono_types::Item;

use super::direct;
use crate::select::{Leaf, LeafVisitor, file_of};

/// Calls `visit` for every leaf of the tree in `content`, depth first, and returns the tree's root without what is below
/// it. Nothing where the text has another shape than Sonobuoy and we write it in; leaves may have been visited by then,
/// and [`super::from_yaml`] has to read it instead.
pub fn stream_leaves(content: &mut dyn BufRead, visit: &mut LeafVisitor<'_>) -> io::Result<Option<Item>> {
    let mut above: Vec<Above> = Vec::new();
    let mut text = Vec::new();
    // Where the next item's first key stands in the text, which is its indentation too.
    let mut indent = 0;
    content.read_until(b'\n', &mut text)?;
    loop {
        let Some((next, end)) = item_end(content, &mut text, indent)? else {
            return Ok(None);
        };
        let Some(item) = part(&text[indent..next], indent) else {
            return Ok(None);
        };
        text.drain(..next);
        if end == End::Children {
            text.clear();
            content.read_until(b'\n', &mut text)?;
            let dash = spaces(&text);
            if dash < indent || above.len() >= direct::MAX_DEPTH {
                return Ok(None);
            }
            above.push(Above { item, dash });
        } else {
            let path: Vec<&str> = above.iter().map(|above| above.item.name.as_str()).collect();
            let file = above.iter().rev().find_map(|above| file_of(&above.item));
            visit(Leaf {
                item: &item,
                path: &path,
                file: file_of(&item).or(file),
            });
            if end == End::Text {
                return Ok(Some(above.into_iter().next().map_or(item, |above| above.item)));
            }
            let found = spaces(&text);
            while above.last().is_some_and(|above| above.dash > found) {
                above.pop();
            }
            if above.last().is_none_or(|above| above.dash != found) {
                return Ok(None);
            }
        }
        // A new item begins with a dash; its first key stands right behind.
        let dash = spaces(&text);
        if !text[dash..].starts_with(b"- ") {
            return Ok(None);
        }
        indent = dash + 2 + spaces(&text[dash + 2..]);
    }
}

/// An item that has others below it, without them.
struct Above {
    item: Item,
    /// Indentation of the dashes below it.
    dash: usize,
}

/// What follows an item.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The items below it.
    Children,
    /// Another item.
    Item,
    /// Nothing.
    Text,
}

/// Reads on until an item is complete. Where it ends in `text`, and what follows.
fn item_end(content: &mut dyn BufRead, text: &mut Vec<u8>, indent: usize) -> io::Result<Option<(usize, End)>> {
    loop {
        let start = text.len();
        if content.read_until(b'\n', text)? == 0 {
            return Ok(Some((start, End::Text)));
        }
        let line = &text[start..];
        let found = spaces(line);
        let rest = &line[found..];
        if rest == b"\n" || found > indent {
            continue;
        }
        if found < indent {
            return Ok(Some((start, End::Item)));
        }
        if rest == b"items:\n" {
            return Ok(Some((start, End::Children)));
        }
        if rest.starts_with(b"-") {
            return Ok(None);
        }
    }
}

fn part(text: &[u8], indent: usize) -> Option<Item> {
    let item = direct::read_part(str::from_utf8(text).ok()?, indent)?;
    // What came along as a part of it is not one of the leaves yet.
    item.items.is_empty().then_some(item)
}

fn spaces(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b' ').count()
}
