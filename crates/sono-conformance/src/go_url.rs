//! URLs as Go's `url.ParseRequestURI` accepts them, which the bot uses.

use std::net::Ipv6Addr;

/// Reason why Go refuses a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(&'static str);

/// Where an escape stands: its rules differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Host,
    Zone,
    Other,
}

/// Checks a URL, or an absolute path.
pub fn check(url: &str) -> Result<(), UrlError> {
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err(UrlError("invalid control character in the URL"));
    }
    match url {
        "" => return Err(UrlError("empty URL")),
        "*" => return Ok(()),
        _ => {}
    }
    let (scheme, rest) = scheme(url)?;
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    if !rest.starts_with('/') {
        return if scheme.is_empty() {
            Err(UrlError("invalid URI for a request"))
        } else {
            // A path without root, which Go does not look into.
            Ok(())
        };
    }
    let path = match rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            check_authority(scheme, authority)?;
            path
        }
        None => rest,
    };
    unescape(path, Part::Other).map(drop)
}

fn scheme(url: &str) -> Result<(&str, &str), UrlError> {
    for (position, letter) in url.char_indices() {
        match letter {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if position > 0 => {}
            ':' if position == 0 => return Err(UrlError("missing protocol scheme")),
            ':' => {
                let (scheme, rest) = url.split_at(position);
                return Ok((scheme, rest.strip_prefix(':').unwrap_or(rest)));
            }
            _ => break,
        }
    }
    Ok(("", url))
}

fn check_authority(scheme: &str, authority: &str) -> Result<(), UrlError> {
    let Some((user, host)) = authority.rsplit_once('@') else {
        return check_host(scheme, authority);
    };
    check_host(scheme, host)?;
    let is_valid = |letter: char| letter.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(letter);
    if !user.chars().all(is_valid) {
        return Err(UrlError("invalid user information"));
    }
    // Name and password are unescaped one by one.
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    unescape(name, Part::Other)?;
    unescape(password, Part::Other).map(drop)
}

fn check_host(scheme: &str, host: &str) -> Result<(), UrlError> {
    match host.rfind('[') {
        Some(0) => return check_literal(host),
        Some(_) => return Err(UrlError("invalid IP literal")),
        None => {}
    }
    let first = host.find(':');
    // Only http and https are strict about several colons.
    let colon = if matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
        first
    } else {
        host.rfind(':')
    };
    if let Some(colon) = colon {
        check_port(host.get(colon..).unwrap_or_default())?;
    }
    unescape(host, Part::Host).map(drop)
}

/// Checks an address in brackets, with an optional port.
fn check_literal(host: &str) -> Result<(), UrlError> {
    let Some((address, port)) = host.get(1..).and_then(|rest| rest.rsplit_once(']')) else {
        return Err(UrlError("missing ']' in the host"));
    };
    check_port(port)?;
    let address = match address.find("%25") {
        Some(zone) => {
            let (address, zone) = address.split_at(zone);
            if unescape(zone, Part::Zone)?.len() < 2 {
                return Err(UrlError("invalid host"));
            }
            unescape(address, Part::Host)?
        }
        None => unescape(address, Part::Host)?,
    };
    let text = std::str::from_utf8(&address).ok();
    match text.and_then(|text| text.parse::<Ipv6Addr>().ok()) {
        Some(_) => Ok(()),
        None => Err(UrlError("invalid host")),
    }
}

fn check_port(port: &str) -> Result<(), UrlError> {
    let digits = port.strip_prefix(':');
    if port.is_empty() || digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())) {
        Ok(())
    } else {
        Err(UrlError("invalid port after the host"))
    }
}

fn unescape(text: &str, part: Part) -> Result<Vec<u8>, UrlError> {
    let mut found = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
            let (Some(high), Some(low)) = (digit(), digit()) else {
                return Err(UrlError("invalid URL escape"));
            };
            let value = u8::try_from(high * 16 + low).unwrap_or_default();
            let refused = match part {
                Part::Host => value < 0x80 && value != b'%',
                Part::Zone => value != b'%' && value != b' ' && !is_host_byte(value),
                Part::Other => false,
            };
            if refused {
                return Err(UrlError("invalid URL escape in the host"));
            }
            found.push(value);
            continue;
        }
        if part != Part::Other && byte < 0x80 && !is_host_byte(byte) {
            return Err(UrlError("invalid character in the host"));
        }
        found.push(byte);
    }
    Ok(found)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_go_accepts_are_valid() {
        for url in [
            "https://example.com",
            "HTTP://example.com:8080/a%20b?c=%zz#d",
            "/path/only",
            "mailto:a@example.com",
            "example.com:80",
            "https:opaque %",
            "https://",
            "https://user:p%20w@example.com/",
            "https://[::1]:80/",
            "https://[fe80::1%25en0]/",
            "ftp://a:1:2/",
            "https://exämple.com/ä",
            "https://example.com/a b",
            "*",
            "x:",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn urls_that_go_refuses_are_errors() {
        for url in [
            "",
            "example.com",
            "www.example.com/a",
            ":a",
            "1http://a",
            "http://a b/",
            "http://a:b/",
            "http://a:1:2/",
            "http://[::1/",
            "http://[127.0.0.1]/",
            "http://a[::1]/",
            "http://%41/",
            "http://a/%zz",
            "http://a/%2",
            "http://us er@a/",
            "http://a/\u{7f}",
            "?a",
            "#a",
        ] {
            assert!(check(url).is_err(), "{url}");
        }
    }
}
