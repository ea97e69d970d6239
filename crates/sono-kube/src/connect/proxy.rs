//! Selects the proxy of a request by the rules of Go's clients (golang.org/x/net/http/httpproxy).

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;

use super::{
    environment::Environment,
    url::{self, Login, Parts},
};

/// The protocol of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Https,
    Socks5,
}

/// A proxy, its protocol and its login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    pub(super) protocol: Protocol,
    /// With port, without login.
    pub(super) uri: Uri,
    pub(super) login: Option<Login>,
}

impl Proxy {
    /// Parses `proxy-url` of a kubeconfig or the value of a variable; `None` if it is not a URL. As in Go, a missing or
    /// unknown scheme means `http`, and a value with spaces around it is not a URL.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts = if text.contains("://") {
            Parts::of(text)?
        } else {
            Parts::of(&format!("http://{text}"))?
        };
        let (protocol, scheme, port) = match parts.scheme.as_str() {
            "https" => (Protocol::Https, "https", 443),
            "socks5" | "socks5h" => (Protocol::Socks5, "socks5", 1080),
            _ => (Protocol::Http, "http", 80),
        };
        let uri = Parts {
            scheme: scheme.to_owned(),
            path: String::new(),
            ..parts.clone()
        }
        .uri()?;
        let uri = if uri.port_u16().is_some() {
            uri
        } else {
            let authority = format!("{}:{port}", uri.host()?);
            Uri::builder()
                .scheme(scheme)
                .authority(authority)
                .path_and_query("/")
                .build()
                .ok()?
        };
        Some(Self {
            protocol,
            uri,
            login: parts.login,
        })
    }

    /// The proxy for `server` from the environment. Values that are not URLs are ignored.
    pub(super) fn of_variables(environment: &Environment, server: &Uri) -> Option<Self> {
        let secure = server.scheme_str() == Some("https");
        let value = if secure {
            environment.either(["HTTPS_PROXY", "https_proxy"])?
        } else {
            environment.either(["HTTP_PROXY", "http_proxy"])?
        };
        let exceptions = environment.either(["NO_PROXY", "no_proxy"]).unwrap_or_default();
        let port = server.port_u16().unwrap_or(if secure { 443 } else { 80 });
        if is_direct(&exceptions, url::host(server), port) {
            return None;
        }
        Self::parse(&value)
    }
}

/// Whether a host is this machine, by its name or address.
pub(super) fn is_this_machine(host: &str) -> bool {
    let address = host.parse::<IpAddr>().map(|address| address.to_canonical());
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Whether a host is reached without a proxy: it is this machine, or an entry of `NO_PROXY` matches. Empty and
/// malformed entries are ignored.
fn is_direct(exceptions: &str, host: &str, port: u16) -> bool {
    let host = host.to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
    if is_this_machine(&host) {
        return true;
    }
    exceptions
        .split(',')
        .map(|entry| entry.trim().to_ascii_lowercase())
        .filter(|entry| !entry.is_empty())
        .any(|entry| names(&entry, &host, address, port))
}

fn names(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Ok(network) = entry.parse::<IpNet>() {
        return address.is_some_and(|address| network.contains(&address));
    }
    let Some((name, entry_port)) = split_port(entry) else {
        return false;
    };
    // Go compares ports as text.
    if !entry_port.is_empty() && entry_port != port.to_string() {
        return false;
    }
    if let Ok(named) = name.parse::<IpAddr>() {
        return address == Some(named.to_canonical());
    }
    if address.is_some() || name.is_empty() {
        return false;
    }
    match name.strip_prefix("*.").or_else(|| name.strip_prefix('.')) {
        Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
        None => host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')),
    }
}

/// Name and port of an entry; `None` for a port without a name.
fn split_port(entry: &str) -> Option<(&str, &str)> {
    if let Some(rest) = entry.strip_prefix('[') {
        return Some(match rest.split_once("]:") {
            Some((name, port)) => (name, port),
            None => (entry, ""),
        });
    }
    match entry.split_once(':') {
        Some(("", _)) if entry.matches(':').count() == 1 => None,
        Some((name, port)) if !port.contains(':') => Some((name, port)),
        _ => Some((entry, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases from httpproxy's own tests.
    #[test]
    fn no_proxy_entries_name_hosts_as_in_go() {
        const LIST: &str = "foobar.com, .barbaz.net, *.wildcard.io, 192.168.1.1, 192.168.1.2:81, 192.168.1.3:80, 10.0.0.0/30, 2001:db8::52:0:1, [2001:db8::52:0:2]:443, [2001:db8::52:0:3]:80, 2002:db8:a::45/64, with.port:8443,,  ,a b, 169.254/16, :80, ., [, [::, 300.1.1.1/8";
        for (host, port, direct) in [
            ("localhost", 443, true),
            ("LOCALHOST", 443, true),
            ("127.0.0.1", 443, true),
            ("127.0.0.2", 443, true),
            ("::1", 443, true),
            ("::ffff:127.0.0.1", 443, true),
            ("localhost.net", 443, false),
            ("local.localhost", 443, false),
            ("192.168.1.1", 443, true),
            ("192.168.1.2", 443, false),
            ("192.168.1.2", 81, true),
            ("192.168.1.3", 80, true),
            ("192.168.1.4", 443, false),
            ("10.0.0.2", 443, true),
            ("10.0.0.4", 443, false),
            ("::ffff:10.0.0.2", 443, true),
            ("2001:db8::52:0:1", 443, true),
            ("2001:db8::52:0:2", 443, true),
            ("2001:db8::52:0:3", 443, false),
            ("2002:db8:a::123", 443, true),
            ("fe80::424b:c8be:1643:a1b6", 443, false),
            ("barbaz.net", 443, false),
            ("www.barbaz.net", 443, true),
            ("foobar.com", 443, true),
            ("FOOBAR.com", 443, true),
            ("www.foobar.com", 443, true),
            ("foofoobar.com", 443, false),
            ("baz.com", 443, false),
            ("wildcard.io", 443, false),
            ("nested.sub.wildcard.io", 443, true),
            ("awildcard.io", 443, false),
            ("with.port", 8443, true),
            ("sub.with.port", 8443, true),
            ("with.port", 443, false),
            ("169.254.0.1", 443, false),
        ] {
            assert_eq!(is_direct(LIST, host, port), direct, "{host}:{port}");
        }
        assert!(is_direct("x, *", "example.org", 1) && is_direct("*", "10.0.0.1", 1));
        assert!(!is_direct("", "example.org", 1) && !is_direct("*.", "example.org", 1));
    }

    fn read(text: &str) -> String {
        Proxy::parse(text).map_or_else(
            || "no".to_owned(),
            |proxy| {
                let login = proxy.login.map(|login| format!(" {}/{}", login.user, login.password));
                format!("{}{}", proxy.uri, login.unwrap_or_default())
            },
        )
    }

    #[test]
    fn proxy_without_scheme_is_http_and_has_its_default_port() {
        for (text, read_as) in [
            ("proxy.corp:3128", "http://proxy.corp:3128/"),
            ("proxy.corp", "http://proxy.corp:80/"),
            ("127.0.0.1:3128", "http://127.0.0.1:3128/"),
            ("[::1]:3128", "http://[::1]:3128/"),
            ("http://[::1]", "http://[::1]:80/"),
            ("HTTP://proxy.corp/ignored?x", "http://proxy.corp:80/"),
            ("https://proxy.corp", "https://proxy.corp:443/"),
            ("socks5://proxy.corp", "socks5://proxy.corp:1080/"),
            ("socks5h://u:p@proxy.corp:1", "socks5://proxy.corp:1/ u/p"),
            ("u:p%40ss%3A@proxy.corp:3128", "http://proxy.corp:3128/ u/p@ss:"),
            ("http://u@proxy.corp", "http://proxy.corp:80/ u/"),
            ("://", "no"),
            ("http://", "no"),
            ("a b", "no"),
            ("", "no"),
        ] {
            assert_eq!(read(text), read_as, "{text}");
        }
    }

    #[test]
    fn proxy_variables_of_both_cases_count_and_the_scheme_chooses() {
        let of = |variables: &[(&str, &str)], server: &str| {
            let environment = variables.iter().copied().collect();
            Proxy::of_variables(&environment, &server.parse().unwrap()).map(|proxy| proxy.uri.to_string())
        };
        let (secure, plain) = ("https://api.example.org", "http://api.example.org");
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of(&[("https_proxy", "a:1")], secure), some("http://a:1/"));
        assert_eq!(
            of(&[("HTTPS_PROXY", "b:1"), ("https_proxy", "a:1")], secure),
            some("http://b:1/")
        );
        assert_eq!(
            of(&[("HTTPS_PROXY", ""), ("https_proxy", "a:1")], secure),
            some("http://a:1/")
        );
        assert_eq!(of(&[("HTTPS_PROXY", "a:1")], plain), None);
        assert_eq!(of(&[("HTTP_PROXY", "a:1")], plain), some("http://a:1/"));
        assert_eq!(of(&[("HTTP_PROXY", "a:1")], secure), None);
        for bogus in [
            "a b",
            " http://a:1",
            "http://a:1 ",
            "a:1 ",
            "http://a:1\r",
            "http://%zz",
        ] {
            assert_eq!(of(&[("HTTPS_PROXY", bogus)], secure), None, "{bogus:?}");
        }
        assert_eq!(
            of(&[("HTTPS_PROXY", "a:1"), ("no_proxy", "example.org:443")], secure),
            None
        );
        assert_eq!(
            of(&[("HTTPS_PROXY", "a:1"), ("NO_PROXY", "example.org:1")], secure),
            some("http://a:1/")
        );
    }
}
