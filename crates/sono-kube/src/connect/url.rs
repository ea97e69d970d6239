//! URLs as Go's clients parse them.

use std::borrow::Cow;

use http::Uri;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// Characters that are escaped in a path.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'\\')
    .add(b'^')
    .add(b'|');

/// The decoded user and password of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// The parts of a URL that has a scheme and an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    /// In lower case.
    pub(super) scheme: String,
    pub(super) login: Option<Login>,
    /// Host and port, as written.
    pub(super) authority: String,
    /// From the first slash, without query and fragment; may be empty.
    pub(super) path: String,
}

impl Parts {
    /// `None` if `text` has no scheme or no host. Like Go, finds neither in `localhost:8443`.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let mut letters = scheme.chars();
        let valid = letters.next()?.is_ascii_alphabetic()
            && letters.all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.'));
        if !valid {
            return None;
        }
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (login, authority) = match authority.rsplit_once('@') {
            Some((login, authority)) => (Some(decoded(login)), authority),
            None => (None, authority),
        };
        if authority.is_empty() || authority.starts_with(':') {
            return None;
        }
        Some(Self {
            scheme: scheme.to_ascii_lowercase(),
            login,
            authority: authority.to_owned(),
            path: path.to_owned(),
        })
    }

    /// The URL without its login; `None` if it is invalid.
    pub(super) fn uri(&self) -> Option<Uri> {
        let path = utf8_percent_encode(&self.path, IN_PATH).to_string();
        Uri::builder()
            .scheme(self.scheme.as_str())
            .authority(ascii(&self.authority)?.as_ref())
            .path_and_query(if path.is_empty() { "/".to_owned() } else { path })
            .build()
            .ok()
            .filter(has_valid_authority)
    }
}

/// Converts an internationalized host to its ASCII form, as Go does.
fn ascii(authority: &str) -> Option<Cow<'_, str>> {
    if authority.is_ascii() {
        return Some(authority.into());
    }
    let end = authority.rfind(':').unwrap_or(authority.len());
    let (host, port) = authority.split_at(end);
    let host = idna::domain_to_ascii(host).ok()?;
    Some(format!("{host}{port}").into())
}

/// Excludes ports that are not 16-bit numbers, which the crate drops silently.
fn has_valid_authority(uri: &Uri) -> bool {
    let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
        return false;
    };
    let port = authority.as_str().strip_prefix(host).unwrap_or_default();
    !host.is_empty() && (matches!(port, "" | ":") || uri.port_u16().is_some())
}

fn decoded(login: &str) -> Login {
    let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    Login {
        user: text(user),
        password: text(password),
    }
}

/// The URL of an API server as in client-go (rest.DefaultServerURL): the default scheme is `https` if TLS is
/// configured, otherwise `http`.
pub(super) fn server(text: &str, tls: bool) -> Option<(Uri, Option<Login>)> {
    let text = text.trim();
    let parts = Parts::of(text).or_else(|| {
        let scheme = if tls { "https" } else { "http" };
        Parts::of(&format!("{scheme}://{text}")).filter(|parts| matches!(parts.path.as_str(), "" | "/"))
    })?;
    matches!(parts.scheme.as_str(), "http" | "https").then_some(())?;
    Some((parts.uri()?, parts.login))
}

/// Host of a URL, without the brackets of an IPv6 address.
pub(super) fn host(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, tls: bool) -> String {
        match server(text, tls) {
            Some((uri, None)) => uri.to_string(),
            Some((uri, Some(login))) => format!("{uri} {}/{}", login.user, login.password),
            None => "no".to_owned(),
        }
    }

    #[test]
    fn server_without_scheme_gets_the_scheme_that_fits_its_tls_data() {
        for (text, plain, tls) in [
            ("localhost:8080", "http://localhost:8080/", "https://localhost:8080/"),
            ("127.0.0.1:8080", "http://127.0.0.1:8080/", "https://127.0.0.1:8080/"),
            ("[::1]:8080", "http://[::1]:8080/", "https://[::1]:8080/"),
            ("example.org", "http://example.org/", "https://example.org/"),
            (
                "https://example.org/a/b/",
                "https://example.org/a/b/",
                "https://example.org/a/b/",
            ),
            ("HTTPS://example.org", "https://example.org/", "https://example.org/"),
            (
                " https://example.org:1 ",
                "https://example.org:1/",
                "https://example.org:1/",
            ),
            (
                "https://example.org/a b?x=1#y",
                "https://example.org/a%20b",
                "https://example.org/a%20b",
            ),
            (
                "https://Bücher.example:1/a",
                "https://xn--bcher-kva.example:1/a",
                "https://xn--bcher-kva.example:1/a",
            ),
            (
                "例え.テスト",
                "http://xn--r8jz45g.xn--zckzah/",
                "https://xn--r8jz45g.xn--zckzah/",
            ),
            (
                "https://u:p%40@example.org",
                "https://example.org/ u/p@",
                "https://example.org/ u/p@",
            ),
        ] {
            assert_eq!(
                (read(text, false), read(text, true)),
                (plain.to_owned(), tls.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn server_that_is_not_a_url_is_refused() {
        for text in [
            "",
            " ",
            "://x",
            "https://",
            "https://:1",
            "ftp://x",
            "unix:///x",
            "http://a b",
            "a:b:c",
            "example.org/a",
            "\0",
            "https://x:99999999",
            "https://b\u{fc}cher:x",
            "https://\u{ad}:1",
        ] {
            assert_eq!(server(text, true), None, "{text:?}");
        }
    }
}
