//! Stable tokens for names and addresses of nodes.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, Read, Write},
};

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use sha2::{Digest as _, Sha256};

use crate::bytes::{at, before, part};

/// Bytes that are read at once.
const BLOCK: usize = 64 << 10;
/// Most searched names and addresses.
const MAX_IDENTIFIERS: usize = 20_000;
/// Fewest bytes of a searched name: shorter ones occur in ordinary words.
const MIN_BYTES: usize = 3;
/// Bytes of a token's digest.
const DIGEST_BYTES: usize = 6;
/// Addresses that mean nothing outside of a machine.
const LOCAL: [&str; 4] = ["127.0.0.1", "0.0.0.0", "::1", "::"];

/// The kind of an identifier, which its token begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifier {
    /// The name of a node.
    Node,
    /// An IP address.
    Address,
}

/// Replaces names and addresses by tokens such as `node-3f9a01c2d4e5`. The token of a value depends on the key only, and the
/// value cannot be computed from it without the key.
#[derive(Debug)]
pub struct Identifiers {
    automaton: AhoCorasick,
    tokens: Vec<(Identifier, String)>,
    longest: usize,
}

impl Identifiers {
    /// Prepares the replacement of these values. Values that are too short, local addresses, and those beyond 20,000 are not
    /// replaced. `None` without any value.
    pub fn new(key: &[u8], values: impl IntoIterator<Item = (Identifier, String)>) -> Option<Self> {
        let mut known = BTreeMap::new();
        for (kind, value) in values {
            if value.len() >= MIN_BYTES && !LOCAL.contains(&value.as_str()) && known.len() < MAX_IDENTIFIERS {
                known.entry(value).or_insert(kind);
            }
        }
        let tokens = known
            .iter()
            .map(|(value, kind)| (*kind, token(key, *kind, value)))
            .collect();
        let longest = known.keys().map(String::len).max()?;
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(known.keys())
            .ok()?;
        Some(Self {
            automaton,
            tokens,
            longest,
        })
    }

    /// Replaces the identifiers in a short text.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = Vec::new();
        let (_, count) = self.decide(text.as_bytes(), 0, text.len(), &mut out);
        if count == 0 {
            return Cow::Borrowed(text);
        }
        Cow::Owned(String::from_utf8_lossy(&out).into_owned())
    }

    /// Copies `content` with tokens to `out`. Returns the number of replaced identifiers.
    pub fn copy(&self, content: &mut dyn Read, out: &mut dyn Write) -> io::Result<u64> {
        // The bytes before the position are read again: they are the borders of the next identifier.
        let (mut buffer, mut position, mut total) = (Vec::new(), 0, 0);
        let reach = self.longest + 2;
        let mut decided = Vec::new();
        loop {
            let missing = (BLOCK + reach).saturating_sub(buffer.len() - position);
            let read = (&mut *content).take(missing as u64).read_to_end(&mut buffer)?;
            let is_last = read < missing;
            let limit = if is_last { buffer.len() } else { buffer.len() - reach };
            let (end, count) = self.decide(&buffer, position, limit, &mut decided);
            total += count;
            out.write_all(&decided)?;
            decided.clear();
            if is_last {
                return Ok(total);
            }
            let keep = end.saturating_sub(2);
            buffer.drain(..keep);
            position = end - keep;
        }
    }

    /// Appends the result for the bytes from `position` to `limit`, or to the end of an identifier across it. Returns that end
    /// and the number of identifiers.
    fn decide(&self, text: &[u8], mut position: usize, limit: usize, out: &mut Vec<u8>) -> (usize, u64) {
        let (mut from, mut count) = (position, 0);
        while from < limit {
            let Some(found) = self.automaton.find(Input::new(text).range(from..)) else {
                break;
            };
            if found.start() >= limit {
                break;
            }
            let token = self.tokens.get(found.pattern().as_usize());
            match token.filter(|(kind, _)| is_whole(text, found.start(), found.end(), *kind)) {
                Some((_, token)) => {
                    out.extend_from_slice(part(text, position, found.start()));
                    out.extend_from_slice(token.as_bytes());
                    (position, from) = (found.end(), found.end());
                    count += 1;
                }
                None => from = found.start() + 1,
            }
        }
        let end = limit.max(position);
        out.extend_from_slice(part(text, position, end));
        (end, count)
    }
}

/// Whether an identifier is not a part of a longer word or number.
fn is_whole(text: &[u8], start: usize, end: usize, kind: Identifier) -> bool {
    let (last, next) = (before(text, start), at(text, end));
    // The letter may belong to an escape of JSON, such as `\n`.
    let in_escape = matches!(last, b'n' | b't' | b'r') && start >= 2 && at(text, start - 2) == b'\\';
    let begins = in_escape || !last.is_ascii_alphanumeric();
    let ends = !next.is_ascii_alphanumeric();
    match kind {
        Identifier::Node => begins && ends,
        Identifier::Address => {
            let continues = next == b'.' && at(text, end + 1).is_ascii_digit();
            begins && ends && last != b'.' && !continues
        }
    }
}

fn token(key: &[u8], kind: Identifier, value: &str) -> String {
    let inner = Sha256::new().chain_update(key).chain_update(value).finalize();
    let outer = Sha256::new()
        .chain_update(key)
        .chain_update([0_u8])
        .chain_update(inner)
        .finalize();
    let mut token = match kind {
        Identifier::Node => "node-",
        Identifier::Address => "ip-",
    }
    .to_owned();
    for byte in outer.iter().take(DIGEST_BYTES) {
        write!(token, "{byte:02x}").expect("writing to a string cannot fail");
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identifiers() -> Identifiers {
        let values = [
            (Identifier::Node, "worker-1"),
            (Identifier::Node, "worker-10"),
            (Identifier::Node, "n1"),
            (Identifier::Address, "10.0.0.1"),
            (Identifier::Address, "127.0.0.1"),
        ];
        Identifiers::new(b"key", values.map(|(kind, value)| (kind, value.to_owned()))).unwrap()
    }

    fn tokens() -> [String; 3] {
        let of = |kind, value| token(b"key", kind, value);
        [
            of(Identifier::Node, "worker-1"),
            of(Identifier::Node, "worker-10"),
            of(Identifier::Address, "10.0.0.1"),
        ]
    }

    #[test]
    fn whole_identifiers_are_replaced_by_stable_tokens() {
        let [one, ten, address] = tokens();
        let cases = [
            ("worker-1 worker-10 worker-100", format!("{one} {ten} worker-100")),
            ("kube-proxy-worker-1.log", format!("kube-proxy-{one}.log")),
            ("\"a\\nworker-1\"", format!("\"a\\n{one}\"")),
            ("subworker-1 worker-1a", "subworker-1 worker-1a".to_owned()),
            ("https://10.0.0.1:6443", format!("https://{address}:6443")),
            (
                "10.0.0.1. 10.0.0.12 110.0.0.1 10.0.0.1.5",
                format!("{address}. 10.0.0.12 110.0.0.1 10.0.0.1.5"),
            ),
            ("n1 127.0.0.1", "n1 127.0.0.1".to_owned()),
        ];
        for (text, expected) in cases {
            assert_eq!(identifiers().text(text), expected, "{text}");
        }
        assert_ne!(
            token(b"key", Identifier::Node, "worker-1"),
            token(b"other", Identifier::Node, "worker-1")
        );
        assert!(Identifiers::new(b"key", []).is_none());
    }

    #[test]
    fn identifiers_across_blocks_are_replaced() {
        let [one, ..] = tokens();
        for offset in BLOCK - 12..BLOCK + 12 {
            let text = format!("{}worker-1 {}", ".".repeat(offset), ".".repeat(BLOCK));
            let mut out = Vec::new();
            assert_eq!(
                identifiers().copy(&mut text.as_bytes(), &mut out).unwrap(),
                1,
                "{offset}"
            );
            assert_eq!(
                String::from_utf8(out).unwrap(),
                text.replace("worker-1", &one),
                "{offset}"
            );
        }
    }
}
