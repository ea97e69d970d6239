//! Names and addresses of the nodes in an archive.

use std::{collections::BTreeSet, io::Read as _, ops::ControlFlow, path::Path};

use serde_json::Value;
use sono_bundle::{Bundle, ReadLimits};
use sono_redact::{Identifier, Identifiers};
use sono_types::layout;

use crate::error::CliError;

/// Most bytes of the list of nodes.
const MAX_NODES: u64 = 64 << 20;
/// Fewest bytes of a key.
const MIN_KEY: usize = 16;

/// The tokens for the nodes of an archive; `None` if it names no nodes.
pub(super) fn read(archive: &Path, key: Option<&Path>, limits: &ReadLimits) -> Result<Option<Identifiers>, CliError> {
    let key = match key {
        Some(path) => {
            let unreadable = || CliError::new(format!("cannot read the key in `{}`", path.display()));
            let key = fs_err::read(path).map_err(|error| unreadable().caused_by(&error))?;
            if key.len() < MIN_KEY {
                return Err(unreadable().details([format!("cause: it has {} bytes, fewer than {MIN_KEY}", key.len())]));
            }
            key
        }
        None => [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat(),
    };
    let list = layout::cluster_resource("", "v1", "nodes");
    let mut found = BTreeSet::new();
    let visited = Bundle::open(archive).and_then(|bundle| {
        bundle.with_limits(*limits).visit(&mut |name, content| {
            if name == list {
                let mut bytes = Vec::new();
                content.take(MAX_NODES).read_to_end(&mut bytes)?;
                add_nodes(&bytes, &mut found);
            } else if let Some((node, _)) = name.strip_prefix("hosts/").and_then(|rest| rest.split_once('/')) {
                found.insert((false, node.to_owned()));
            }
            Ok(ControlFlow::Continue(()))
        })
    });
    visited.map_err(|error| CliError::of_archive("cannot read the names of nodes", &error))?;
    let values = found.into_iter().map(|(is_address, value)| {
        let kind = if is_address {
            Identifier::Address
        } else {
            Identifier::Node
        };
        (kind, value)
    });
    Ok(Identifiers::new(&key, values))
}

fn add_nodes(list: &[u8], found: &mut BTreeSet<(bool, String)>) {
    let list: Value = serde_json::from_slice(list).unwrap_or_default();
    for node in list.get("items").and_then(Value::as_array).into_iter().flatten() {
        let name = node.pointer("/metadata/name").and_then(Value::as_str);
        found.extend(name.map(|name| (false, name.to_owned())));
        let addresses = node.pointer("/status/addresses").and_then(Value::as_array);
        for address in addresses.into_iter().flatten() {
            if let Some(value) = address.get("address").and_then(Value::as_str) {
                found.insert((value.parse::<std::net::IpAddr>().is_ok(), value.to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_names_and_addresses() {
        let mut found = BTreeSet::new();
        let list = r#"{"items": [{"metadata": {"name": "n1"}, "status": {"addresses": [
            {"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "n1.example.com"}]}}, {}]}"#;
        add_nodes(list.as_bytes(), &mut found);
        add_nodes(b"damaged", &mut found);
        let expected = [(false, "n1"), (false, "n1.example.com"), (true, "10.0.0.1")];
        assert_eq!(found, expected.map(|(kind, text)| (kind, text.to_owned())).into());
    }
}
