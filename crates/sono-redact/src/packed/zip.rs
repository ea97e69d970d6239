//! Members of zip archives, by their local headers, since the archive is read in one pass.

use std::io::{BufRead, Read};

use flate2::bufread::DeflateDecoder;

use super::{Opener, Position, Stop, below, drain};
use crate::bytes::{at, part};

const MEMBER: &[u8] = b"PK\x03\x04";
const DESCRIPTOR: &[u8] = b"PK\x07\x08";
/// Bytes of a header after its signature.
const HEADER: usize = 26;
/// Sizes follow in the extra fields.
const IN_EXTRA_FIELDS: u64 = 0xffff_ffff;

struct Header {
    flags: u16,
    method: u16,
    /// Packed bytes; 0 if a descriptor follows the member.
    size: u64,
    name: Vec<u8>,
    is_large: bool,
}

impl Header {
    fn is_encrypted(&self) -> bool {
        self.flags & 1 != 0
    }

    fn has_descriptor(&self) -> bool {
        self.flags & 8 != 0
    }

    fn read(content: &mut dyn BufRead) -> Result<Self, Stop> {
        let fields = take(content, HEADER)?;
        let name = take(content, usize::from(number(&fields, 22)))?;
        let extra = take(content, usize::from(number(&fields, 24)))?;
        let large = large_size(&extra);
        let size = u64::from(number(&fields, 14)) | u64::from(number(&fields, 16)) << 16;
        Ok(Self {
            flags: number(&fields, 2),
            method: number(&fields, 4),
            size: large.filter(|_| size == IN_EXTRA_FIELDS).unwrap_or(size),
            name,
            is_large: large.is_some(),
        })
    }
}

fn number(bytes: &[u8], index: usize) -> u16 {
    u16::from_le_bytes([at(bytes, index), at(bytes, index + 1)])
}

/// The packed size in the extra fields of a large member.
fn large_size(mut extra: &[u8]) -> Option<u64> {
    while extra.len() >= 4 {
        let length = usize::from(number(extra, 2));
        if number(extra, 0) == 1 {
            let size: Option<[u8; 8]> = part(extra, 12, 20).try_into().ok();
            return Some(size.map_or(0, u64::from_le_bytes));
        }
        extra = extra.get(4 + length..).unwrap_or_default();
    }
    None
}

fn take(content: &mut dyn BufRead, length: usize) -> Result<Vec<u8>, Stop> {
    let mut bytes = Vec::new();
    let read = content.take(length as u64).read_to_end(&mut bytes);
    match read {
        Ok(count) if count == length => Ok(bytes),
        Ok(_) => Err(Stop::Torn),
        Err(error) => Err(Stop::of(&error)),
    }
}

impl Opener<'_> {
    pub(super) fn zip(&mut self, path: &str, content: &mut dyn BufRead, position: Position) -> Result<(), Stop> {
        loop {
            let mut signature = Vec::new();
            let mut next = (&mut *content).take(4);
            next.read_to_end(&mut signature).map_err(|error| Stop::of(&error))?;
            if signature != MEMBER {
                // The directory: names and comments.
                let is_torn = signature.len() < MEMBER.len();
                let mut rest = signature.as_slice().chain(content);
                self.names(path, &mut rest)?;
                return if is_torn { Err(Stop::Torn) } else { Ok(()) };
            }
            let header = Header::read(content)?;
            if !self.member_of_zip(path, &header, content, position)? {
                return self.content(path, content);
            }
        }
    }

    /// Opens a member. Returns whether its end is known.
    fn member_of_zip(
        &mut self,
        path: &str,
        header: &Header,
        content: &mut dyn BufRead,
        position: Position,
    ) -> Result<bool, Stop> {
        let member = below(path, &header.name);
        let reason = match (header.is_encrypted(), header.method, header.has_descriptor()) {
            (true, ..) => Some("encrypted"),
            (_, 8, _) | (_, 0, false) => None,
            _ => Some("zip"),
        };
        if let Some(reason) = reason {
            self.contents.opaque(&member, reason);
            drain(&mut content.take(header.size))?;
            return Ok(!header.has_descriptor());
        }
        if header.has_descriptor() {
            let mut unpacked = self.counted(DeflateDecoder::new(&mut *content));
            self.member(&member, &mut unpacked, position)?;
            drain(&mut unpacked)?;
            return descriptor(content, header.is_large).map(|()| true);
        }
        let mut packed = (&mut *content).take(header.size);
        if header.method == 8 {
            let mut unpacked = self.counted(DeflateDecoder::new(&mut packed));
            self.member(&member, &mut unpacked, position)?;
        } else {
            self.member(&member, &mut packed, position)?;
        }
        drain(&mut packed)?;
        if packed.limit() > 0 {
            return Err(Stop::Torn);
        }
        Ok(true)
    }
}

/// Reads checksum and sizes after a member.
fn descriptor(content: &mut dyn BufRead, is_large: bool) -> Result<(), Stop> {
    let sizes = if is_large { 16 } else { 8 };
    let first = take(content, 4)?;
    let has_signature = first == DESCRIPTOR;
    take(content, sizes + 4 * usize::from(has_signature)).map(|_| ())
}
