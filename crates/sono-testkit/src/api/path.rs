//! Paths and queries of requests.

use std::collections::BTreeMap;

/// The resource that a request's path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResourcePath {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) subresource: Option<String>,
}

impl ResourcePath {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", "v1", rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => return None,
        };
        let owned = |text: &str| Some(text.to_owned());
        let resource = |plural: &str, namespace, name, subresource| {
            Some(Self {
                group: group.to_owned(),
                plural: plural.to_owned(),
                namespace,
                name,
                subresource,
            })
        };
        match rest {
            ["namespaces", namespace, plural] => resource(plural, owned(namespace), None, None),
            ["namespaces", namespace, plural, name] => resource(plural, owned(namespace), owned(name), None),
            ["namespaces", namespace, plural, name, subresource] => {
                resource(plural, owned(namespace), owned(name), owned(subresource))
            }
            [plural] => resource(plural, None, None, None),
            [plural, name] => resource(plural, None, owned(name), None),
            _ => None,
        }
    }
}

/// Parameters of a query; the last one wins for repeated names.
pub(super) fn query(text: &str) -> BTreeMap<String, String> {
    pairs(text).collect()
}

/// Parameters of a query in order.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let escaped = (*first == b'%')
            .then(|| std::str::from_utf8(after.get(..2)?).ok())
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => bytes.push(if *first == b'+' { b' ' } else { *first }),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
