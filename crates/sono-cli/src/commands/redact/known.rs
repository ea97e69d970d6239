//! The values to search for, from a file or from the cluster.

use std::io;

use serde_json::Value;
use sono_local::{AtStart, SecretValues, read_known};
use sono_redact::{Known, KnownValues};
use sono_types::{Config, yaml};

use crate::{args, error::CliError, settings::connect, text_file};

/// Most bytes of a file with values.
const MAX_BYTES: u64 = 256 << 20;

pub(super) async fn read(source: &args::KnownSource) -> Result<Known, CliError> {
    let args::KnownSource {
        known,
        known_from_cluster,
        cluster,
    } = source;
    if *known_from_cluster {
        let cluster = connect(cluster).await?;
        let read = read_known(&cluster, &Config::default(), SecretValues::Read, AtStart::NotRead).await;
        return match read {
            Known::NotSearched(reason) => Err(CliError::new("cannot read the values of Secrets")
                .details([format!("cause: {reason}")])
                .hint("use --known FILE with the output of `kubectl get secrets -A -o json` of an account that may list them")),
            known @ Known::Values(_) => Ok(known),
        };
    }
    let Some(path) = known else {
        return Ok(Known::NotSearched(
            "--known and --known-from-cluster are not set".to_owned(),
        ));
    };
    let text = if path.as_os_str() == "-" {
        text_file::read_from(io::stdin().lock(), MAX_BYTES)
    } else {
        fs_err::File::open(path).and_then(|file| text_file::read_from(file, MAX_BYTES))
    };
    let text = text
        .map_err(|error| CliError::new(format!("cannot read the values in `{}`", path.display())).caused_by(&error))?;
    let values = values(&text).ok_or_else(|| {
        CliError::new(format!("cannot find a Secret in `{}`", path.display()))
            .hint("use the output of `kubectl get secrets -A -o json`, or a file with one value a line")
    })?;
    Ok(Known::Values(values))
}

/// The values of the Secrets in a text, or the strings of a JSON array; a text without Kubernetes objects has one value a line.
/// `None` if there are objects and none of them is a Secret. An empty list of Secrets has no values.
fn values(text: &str) -> Option<KnownValues> {
    let mut values = KnownValues::default();
    let documents = match serde_json::from_str(text) {
        Ok(Value::Array(array)) if array.iter().all(Value::is_string) => {
            for value in array.iter().filter_map(Value::as_str) {
                values.add("", value.as_bytes());
            }
            return Some(values);
        }
        Ok(document) => vec![document],
        Err(_) => yaml::all_documents(text).unwrap_or_default(),
    };
    let kind = |object: &Value| object.get("kind").and_then(Value::as_str).map(str::to_owned);
    let (mut objects, mut secrets) = (0_usize, 0_usize);
    for document in &documents {
        let Some(of_document) = kind(document) else {
            continue;
        };
        let items = document.get("items").and_then(Value::as_array);
        for object in items.map_or_else(|| std::slice::from_ref(document), Vec::as_slice) {
            objects += 1;
            if of_document == "SecretList" || kind(object).as_deref() == Some("Secret") {
                secrets += 1;
                values.add_secret(object);
            }
        }
    }
    if documents.iter().all(|document| kind(document).is_none()) {
        for line in text.lines() {
            values.add("", line.trim().as_bytes());
        }
    } else if secrets == 0 && objects > 0 {
        return None;
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use sono_redact::{Layers, Redactions, Redactor};

    use super::*;

    fn searched(text: &str) -> (String, usize) {
        let redactor = Redactor::new(Known::Values(values(text).unwrap()));
        let found = redactor.text(
            "Zq8wL2mPx7Rt and Vb5kT9nQd3Ys",
            Layers::Known,
            &mut Redactions::default(),
        );
        (found.into_owned(), redactor.known().as_ref().unwrap().values)
    }

    #[test]
    fn values_are_secrets_or_lines() {
        let both = ("[redacted] and [redacted]".to_owned(), 2);
        let one = ("[redacted] and Vb5kT9nQd3Ys".to_owned(), 1);
        // Zq8wL2mPx7Rt in base64.
        let secret = r#"{"kind": "Secret", "data": {"a": "WnE4d0wybVB4N1J0"}}"#;
        assert_eq!(searched("Zq8wL2mPx7Rt\n\n  Vb5kT9nQd3Ys\r\n"), both);
        assert_eq!(searched(secret), one);
        assert_eq!(
            searched(&format!(
                r#"{{"kind": "List", "items": [{secret}, {{"kind": "Pod"}}]}}"#
            )),
            one
        );
        assert_eq!(
            searched(r#"{"kind": "SecretList", "items": [{"data": {"a": "WnE4d0wybVB4N1J0"}}]}"#),
            one
        );
        assert_eq!(
            searched("kind: Secret\nstringData: {a: Zq8wL2mPx7Rt}\n---\nkind: Secret\nstringData: {b: Vb5kT9nQd3Ys}\n"),
            both
        );
    }

    #[test]
    fn objects_without_secrets_have_no_lines() {
        let empty = "{\n\"kind\": \"List\",\n\"items\": [],\n\"metadata\": {\"resourceVersion\": \"Zq8wL2mPx7Rt\"}}";
        let none = ("Zq8wL2mPx7Rt and Vb5kT9nQd3Ys".to_owned(), 0);
        assert_eq!(searched(empty), none);
        assert_eq!(searched("kind: SecretList\nitems: []\nnote: Zq8wL2mPx7Rt\n"), none);
        assert!(values("kind: Pod\nspec: {}\n").is_none());
        assert!(values(r#"{"kind": "List", "items": [{"kind": "ConfigMap"}]}"#).is_none());
    }

    #[test]
    fn strings_of_an_array_are_values() {
        let both = ("[redacted] and [redacted]".to_owned(), 2);
        assert_eq!(searched("[\"Zq8wL2mPx7Rt\",\n \"Vb5kT9nQd3Ys\"]"), both);
    }
}
