//! Passwords in URLs and connection strings.

use crate::{
    bytes::{at, part, run, run_back},
    finding::Finding,
    hits::Rule,
    values::{can_be_secret, looks_random},
};

/// Most bytes of a URL that are read.
const LONGEST: usize = 512;

/// The password of the URL with `://` from `colon` to `start`. A password may contain `@` and, against the rules, `/`.
pub(crate) fn password(text: &[u8], colon: usize, start: usize) -> Option<Finding> {
    let scheme = run_back(text, colon, 32, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-')
    });
    let is_end = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\' | 0);
    let end = run(text, start, LONGEST, |byte| !is_end(byte));
    let url = part(text, start, end);
    let last_at = url.iter().rposition(|byte| *byte == b'@')?;
    let slash = url
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(url.len());
    let in_authority = part(url, 0, slash).iter().rposition(|byte| *byte == b'@');
    let is_web = part(text, scheme, colon).to_ascii_lowercase().starts_with(b"http");
    let user_end = match in_authority {
        Some(found) if is_web => found,
        Some(found) => {
            // `postgres://u:p@ss/word@host/db`
            let path = url.iter().position(|byte| *byte == b'?').unwrap_or(url.len());
            part(url, 0, path)
                .iter()
                .rposition(|byte| *byte == b'@')
                .unwrap_or(found)
        }
        None => {
            let (_, port) = split(part(url, 0, slash))?;
            let is_port = port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
            (!is_port && is_host(part(url, last_at + 1, url.len()))).then_some(last_at)?
        }
    };
    let user = part(url, 0, user_end);
    if part(url, user_end + 1, user_end + 8) == b"sha256:" {
        return None;
    }
    let rule = Rule::Shape("url-password");
    let Some((name, password)) = split(user) else {
        // `https://TOKEN@github.com`
        let token = std::str::from_utf8(user).is_ok_and(|user| user.len() >= 20 && looks_random(user));
        return (token && is_web).then_some(Finding {
            start,
            end: start + user_end,
            rule,
        });
    };
    let text = String::from_utf8_lossy(password);
    (can_be_secret(&text) && !password.is_empty()).then_some(Finding {
        start: start + name.len() + 1,
        end: start + user_end,
        rule,
    })
}

fn split(user: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = user.iter().position(|byte| *byte == b':')?;
    Some((part(user, 0, colon), part(user, colon + 1, user.len())))
}

fn is_host(text: &[u8]) -> bool {
    let end = run(text, 0, 253, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
    });
    end > 0 && (end == text.len() || matches!(at(text, end), b':' | b'/' | b'?' | b',' | b';' | b')' | b'}'))
}

/// The password of `jdbc:oracle:thin:user/password@host`, whose user starts at `start`.
pub(crate) fn oracle(text: &[u8], start: usize) -> Option<Finding> {
    let user = run(text, start, 64, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'#' | b'-')
    });
    if at(text, user) != b'/' {
        return None;
    }
    let is_end = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>');
    let end = run(text, user + 1, 256, |byte| !is_end(byte));
    let password = part(text, user + 1, end).iter().rposition(|byte| *byte == b'@')?;
    (password > 0).then_some(Finding {
        start: user + 1,
        end: user + 1 + password,
        rule: Rule::Shape("url-password"),
    })
}

/// The password of `user:password@tcp(host)`, whose `@` is at `end`.
pub(crate) fn credentials_before(text: &[u8], end: usize) -> Option<Finding> {
    let is_end = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'=' | b'`');
    let start = run_back(text, end, 256, |byte| !is_end(byte));
    let (user, password) = split(part(text, start, end))?;
    let found = std::str::from_utf8(password).is_ok_and(can_be_secret);
    found.then_some(Finding {
        start: start + user.len() + 1,
        end,
        rule: Rule::Shape("url-password"),
    })
}
