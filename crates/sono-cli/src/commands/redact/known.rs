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
    Ok(Known::Values(values(&text)))
}

/// The values of the Secrets in a text. A text without Secrets has one value a line.
fn values(text: &str) -> KnownValues {
    let mut values = KnownValues::default();
    let documents = match serde_json::from_str(text) {
        Ok(document) => vec![document],
        Err(_) => yaml::all_documents(text).unwrap_or_default(),
    };
    let mut has_secrets = false;
    for document in &documents {
        let kind = |object: &Value| object.get("kind").and_then(Value::as_str).map(str::to_owned);
        let of_list = kind(document).is_some_and(|kind| kind == "SecretList");
        let items = document.get("items").and_then(Value::as_array);
        let objects = items.map_or_else(|| std::slice::from_ref(document), Vec::as_slice);
        for object in objects {
            if of_list || kind(object).as_deref() == Some("Secret") {
                has_secrets = true;
                values.add_secret(object);
            }
        }
    }
    if !has_secrets {
        for line in text.lines() {
            values.add("", line.trim().as_bytes());
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use sono_redact::{Layers, Redactions, Redactor};

    use super::*;

    fn searched(text: &str) -> (String, usize) {
        let redactor = Redactor::new(Known::Values(values(text)));
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
}
