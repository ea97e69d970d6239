//! Members of tar archives. Only what a search needs: formats of long names and sparse files are contents like others.

use std::io::{BufRead, Read as _};

use super::{Opener, Position, Stop, below, drain};
use crate::bytes::{at, part};

const BLOCK: usize = 512;
const BLOCK_BYTES: u64 = 512;
/// Most bytes of headers, which contain names, that are searched as one content.
const MAX_HEADERS: usize = 4 << 20;

/// Whether a block is the header of a member.
pub(super) fn is_header(block: &[u8]) -> bool {
    let Some(block) = block.get(..BLOCK) else {
        return false;
    };
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = part(block, 148, 156).iter().map(|byte| u64::from(*byte)).sum();
    at(block, 0) != 0 && octal(part(block, 148, 156)) == Some(sum - own + 8 * u64::from(b' '))
}

/// A number of a header: octal digits between blanks, or binary with the highest bit set.
fn octal(field: &[u8]) -> Option<u64> {
    if at(field, 0) & 0x80 != 0 {
        let start = field.len().checked_sub(8)?;
        let bytes: [u8; 8] = field.get(start..)?.try_into().ok()?;
        let zeros = part(field, 1, start).iter().all(|byte| *byte == 0);
        return zeros.then_some(u64::from_be_bytes(bytes));
    }
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(['\0', ' ']);
    u64::from_str_radix(digits, 8).ok()
}

impl Opener<'_> {
    pub(super) fn tar(&mut self, path: &str, content: &mut dyn BufRead, position: Position) -> Result<(), Stop> {
        let mut headers = Vec::new();
        let outcome = self.members_of_tar(path, content, position, &mut headers);
        self.names_in_memory(path, &headers);
        outcome
    }

    fn members_of_tar(
        &mut self,
        path: &str,
        content: &mut dyn BufRead,
        position: Position,
        headers: &mut Vec<u8>,
    ) -> Result<(), Stop> {
        loop {
            let mut block = Vec::with_capacity(BLOCK);
            let mut next = (&mut *content).take(BLOCK_BYTES);
            next.read_to_end(&mut block).map_err(|error| Stop::of(&error))?;
            if block.is_empty() {
                return Ok(());
            }
            if block.iter().all(|byte| *byte == 0) {
                continue;
            }
            let size = octal(part(&block, 124, 136)).filter(|_| is_header(&block));
            let Some(size) = size else {
                self.contents.opaque(path, "torn");
                let mut rest = block.as_slice().chain(content);
                return self.content(path, &mut rest);
            };
            if headers.len() >= MAX_HEADERS {
                self.names_in_memory(path, headers);
                headers.clear();
            }
            // The other fields of the header (mode, owner, time, checksum) are numbers.
            headers.extend_from_slice(part(&block, 0, 100));
            headers.extend_from_slice(part(&block, 156, BLOCK));
            let name = part(&block, 0, 100).split(|byte| *byte == 0).next().unwrap_or_default();
            let member = below(path, name);
            let mut bytes = (&mut *content).take(size);
            self.member(&member, &mut bytes, position)?;
            drain(&mut bytes)?;
            if bytes.limit() > 0 {
                return Err(Stop::Torn);
            }
            drain(&mut (&mut *content).take(size.wrapping_neg() % BLOCK_BYTES))?;
        }
    }
}
