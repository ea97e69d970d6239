//! Paths and queries of requests.

use std::collections::BTreeMap;

/// Where a request leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) part: Option<String>,
}

impl Place {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", "v1", rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => return None,
        };
        let owned = |text: &str| Some(text.to_owned());
        let place = |plural: &str, namespace, name, part| {
            Some(Self {
                group: group.to_owned(),
                plural: plural.to_owned(),
                namespace,
                name,
                part,
            })
        };
        match rest {
            ["namespaces", namespace, plural] => place(plural, owned(namespace), None, None),
            ["namespaces", namespace, plural, name] => place(plural, owned(namespace), owned(name), None),
            ["namespaces", namespace, plural, name, part] => place(plural, owned(namespace), owned(name), owned(part)),
            [plural] => place(plural, None, None, None),
            [plural, name] => place(plural, None, owned(name), None),
            _ => None,
        }
    }
}

/// Parameters of a query; of those with the same name the last.
pub(super) fn query(text: &str) -> BTreeMap<String, String> {
    pairs(text).collect()
}

/// Parameters of a query in their order.
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
