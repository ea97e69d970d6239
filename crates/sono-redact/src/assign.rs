//! Values assigned to names that mark secrets, in any format of text: YAML, JSON, properties, flags, XML, queries of URLs.

mod command;
mod extent;

pub(crate) use self::command::{PROGRAMS, flags_of, in_line as command_line};
use self::extent::{Extent, Separator};
use crate::{
    bytes::{at, before, find, has_word, is_blank, part, run, run_back},
    finding::Finding,
    hits::Rule,
    names::{Mark, mark, may_name_object},
    shapes::is_user_and_password,
    values::{can_be_secret, is_object_name, is_prose, is_small_number, looks_random},
};

/// Parts of names that mark secrets, in lower case.
pub(crate) const KEYWORDS: &[&str] = &[
    "pass",
    "pwd",
    "pw",
    "secret",
    "token",
    "key",
    "credential",
    "creds",
    "auth",
    "sig=",
    "signature=",
    "jwt",
    "bearer",
    "psk",
    "cookie",
    "mnemonic",
];
/// Names whose value follows after a blank, besides flags.
const BLANK_NAMES: &[&str] = &[
    "requirepass",
    "masterauth",
    "bindpw",
    "rootpw",
    "userpassword",
    "masteruser",
];
/// Most characters of a name on each side of its keyword.
const NAME: usize = 96;

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// The bounds of the name around the keyword from `start` to `end`.
pub(crate) fn name_around(text: &[u8], start: usize, end: usize) -> (usize, usize) {
    let mut first = run_back(text, start, NAME, is_name);
    // The letter of an escape: `\npassword`.
    if first < start && before(text, first) == b'\\' && matches!(at(text, first), b'n' | b't' | b'r') {
        first += 1;
    }
    (first, run(text, end, NAME, is_name))
}

/// The secret assigned to the name from `start` to `end`, and the end of what was read.
pub(crate) fn assignment(text: &[u8], start: usize, end: usize) -> Option<Finding> {
    let raw = std::str::from_utf8(part(text, start, end)).ok()?;
    let dashes = raw.len() - raw.trim_start_matches('-').len();
    let name = raw.trim_matches(['-', '.']);
    let marked = mark(name);
    let is_auth = matches!(name.rsplit(['.', '_', ':', '-']).next(), Some("auth"));
    let is_signature = is_signature(text, start, name);
    if marked == Mark::Plain && !is_auth && !is_signature {
        return None;
    }
    let context = Context {
        start,
        end,
        is_flag: dashes > 0 && !is_name_of_markup(text, start),
        may_have_blank: BLANK_NAMES.iter().any(|blank| blank.eq_ignore_ascii_case(name)) || is_login(text, start, name),
    };
    let extent = extent::after(text, &context)?;
    let value = String::from_utf8_lossy(part(text, extent.start, extent.end));
    let found = if is_signature {
        value.len() >= 16
    } else if is_auth && marked == Mark::Plain {
        is_user_and_password(value.as_bytes())
    } else {
        can_be_secret(&value) && is_accepted(text, name, marked, &extent, &value)
    };
    found.then_some(Finding {
        start: extent.start,
        end: extent.end,
        rule: Rule::Name,
    })
}

/// What is known about a name before its value is read.
pub(crate) struct Context {
    start: usize,
    end: usize,
    is_flag: bool,
    may_have_blank: bool,
}

/// Whether the value of a marked name is a secret, by its form and the text around it.
fn is_accepted(text: &[u8], name: &str, marked: Mark, extent: &Extent, value: &str) -> bool {
    let names_object = may_name_object(name) && is_object_name(value);
    let is_password = name.to_ascii_lowercase().contains("pass");
    // `"pod-token": Phase="Pending"`
    if !extent.quoted && value.ends_with('=') && matches!(at(text, extent.end), b'"' | b'\'') {
        return false;
    }
    match marked {
        Mark::Strong => {
            let sentence = !extent.quoted && extent.separator == Separator::Colon && extent.blank && is_prose(value);
            let continues = !extent.quoted
                && !extent.starts_line
                && extent.blank
                && value.bytes().all(|byte| byte.is_ascii_lowercase())
                && at(text, extent.end) == b' '
                && at(text, extent.end + 1).is_ascii_alphabetic();
            let short = if is_password {
                value.len() < 2
            } else {
                is_small_number(value)
            };
            let flag = extent.separator == Separator::Blank && value.starts_with('-');
            !sentence && !continues && !names_object && !short && !flag
        }
        Mark::Weak => {
            let configured =
                extent.starts_line && !value.contains(' ') && !is_object_name(value) && !value.contains("://");
            looks_random(value) || (configured && !is_small_number(value) && value.len() >= 6 && !value.contains('/'))
        }
        Mark::Bare => {
            let assigned = extent.separator == Separator::Equals
                || extent.quoted_name
                || extent.starts_line
                || extent.separator == Separator::Markup;
            let shouted = name.bytes().all(|byte| byte.is_ascii_uppercase())
                && extent.separator == Separator::Colon
                && !extent.quoted_name;
            assigned
                && !shouted
                && !value.starts_with('/')
                && !value.contains(' ')
                && !is_small_number(value)
                && !is_prose(value)
        }
        Mark::Plain => false,
    }
}

/// The signature of a signed URL.
fn is_signature(text: &[u8], start: usize, name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let in_query = matches!(before(text, start), b'?' | b'&' | b';')
        || part(text, start.saturating_sub(5), start).ends_with(b"0026");
    (in_query && ["sig", "signature"].contains(&lower.as_str()))
        || ["amz-signature", "goog-signature"]
            .iter()
            .any(|end| lower.ends_with(end))
}

/// Whether `password` follows a login, as in `.netrc`.
fn is_login(text: &[u8], start: usize, name: &str) -> bool {
    let window = start.saturating_sub(160);
    name == "password"
        && [&b"login "[..], b"machine "]
            .iter()
            .any(|word| find(text, window, start - window, word).is_some())
}

/// Whether a name is one of an element: `<password>`, `<ns:password>`.
pub(crate) fn is_name_of_markup(text: &[u8], start: usize) -> bool {
    match before(text, start) {
        b'<' => true,
        b':' => {
            let prefix = run_back(text, start - 1, 32, |byte| byte.is_ascii_alphanumeric());
            prefix < start - 1 && before(text, prefix) == b'<'
        }
        _ => false,
    }
}

/// The password of `PASSWORD 'x'` and `IDENTIFIED BY 'x'`, after the keyword's end.
pub(crate) fn statement(text: &[u8], end: usize) -> Option<Finding> {
    let quote = run(text, end, 4, is_blank);
    let mark = at(text, quote);
    if quote == end || !matches!(mark, b'\'' | b'"') {
        return None;
    }
    let close = run(text, quote + 1, 256, |byte| byte != mark && byte != b'\n');
    let value = std::str::from_utf8(part(text, quote + 1, close)).ok()?;
    (at(text, close) == mark && can_be_secret(value) && value.len() >= 3).then_some(Finding {
        start: quote + 1,
        end: close,
        rule: Rule::Name,
    })
}

/// Whether the name from `start` to `end` is the value of `name` or `key`, as in `name: DB_PASSWORD`.
pub(crate) fn is_named(text: &[u8], start: usize) -> bool {
    let before_quotes = run_back(text, start, 8, |byte| matches!(byte, b'"' | b'\'' | b'\\' | b' '));
    if !matches!(before(text, before_quotes), b':' | b'=') {
        return false;
    }
    let word = run_back(text, before_quotes - 1, 8, |byte| {
        matches!(byte, b'"' | b'\'' | b'\\' | b' ')
    });
    ["name", "key", "Name", "Key"]
        .iter()
        .any(|name| word >= name.len() && has_word(text, word - name.len(), name))
}
