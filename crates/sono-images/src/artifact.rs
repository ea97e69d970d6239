//! OCI artifacts in registries (ORAS and similar): one layer per file, with the file name as an annotation.

use futures::StreamExt as _;
use oci_client::RegistryOperation;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{ImageError, Registry, layout::format_digest, root::Root};

/// The annotation with a layer's file name (OCI image specification, "Pre-Defined Annotation Keys").
const TITLE: &str = "org.opencontainers.image.title";

/// A file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactFile {
    /// The file name, if the artifact has one.
    pub name: Option<String>,
    pub bytes: Vec<u8>,
}

/// Reads the single file of `artifact` with one of these name `endings`, or a single unnamed file, up to `max_bytes`.
pub async fn artifact_file(
    registry: &Registry,
    artifact: &str,
    endings: &[&str],
    max_bytes: u64,
) -> Result<ArtifactFile, ImageError> {
    let reference = Registry::reference(artifact)?;
    let root = Root::pull(registry, &reference).await?;
    let layers = root.manifest.get("layers").and_then(Value::as_array);
    let layers: Vec<&Value> = layers.into_iter().flatten().collect();
    let layer = choose(&layers, endings).ok_or_else(|| ImageError::ArtifactFile {
        artifact: artifact.to_owned(),
        endings: endings.join(" or "),
        found: names(&layers),
    })?;
    let digest = text(layer, "digest");
    let size = layer.get("size").and_then(Value::as_u64).unwrap_or_default();
    let too_large = || ImageError::ArtifactSize {
        artifact: artifact.to_owned(),
        max_bytes,
    };
    if size > max_bytes {
        return Err(too_large());
    }
    let failed = |source| ImageError::PullBlob {
        image: artifact.to_owned(),
        digest: digest.to_owned(),
        source,
    };
    registry.log_in(&reference, RegistryOperation::Pull).await?;
    let pulled = registry.client.pull_blob_stream(&reference, digest).await;
    let mut stream = pulled.map_err(failed)?;
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        bytes.extend_from_slice(&part.map_err(|error| failed(error.into()))?);
        if bytes.len() as u64 > max_bytes {
            return Err(too_large());
        }
    }
    let actual = format_digest(&Sha256::digest(&bytes));
    if actual != digest {
        return Err(ImageError::Digest {
            what: format!("{digest} of {artifact}"),
            found: actual,
        });
    }
    Ok(ArtifactFile {
        name: title(layer).map(ToOwned::to_owned),
        bytes,
    })
}

fn choose<'layers>(layers: &[&'layers Value], endings: &[&str]) -> Option<&'layers Value> {
    let fits = |layer: &&&Value| title(layer).is_some_and(|name| endings.iter().any(|ending| name.ends_with(ending)));
    let mut fitting = layers.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Some(one),
        (None, _) => match layers {
            [one] if title(one).is_none() => Some(one),
            _ => None,
        },
        (Some(_), Some(_)) => None,
    }
}

fn title(layer: &Value) -> Option<&str> {
    layer.get("annotations")?.get(TITLE)?.as_str()
}

fn text<'value>(value: &'value Value, key: &str) -> &'value str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// File names for an error message.
fn names(layers: &[&Value]) -> String {
    let names: Vec<&str> = layers
        .iter()
        .map(|layer| title(layer).unwrap_or("a file without a name"))
        .collect();
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn single_matching_file_is_chosen() {
        let named = |name: &str| json!({ "digest": name, "annotations": { TITLE: name } });
        let chosen = |layers: &[Value]| {
            let layers: Vec<&Value> = layers.iter().collect();
            choose(&layers, &[".yaml", ".yml"]).map(|layer| text(layer, "digest").to_owned())
        };
        let (yaml, other, unnamed) = (named("a.yaml"), named("README.md"), json!({ "digest": "d" }));
        assert_eq!(chosen(&[other.clone(), yaml.clone()]), Some("a.yaml".to_owned()));
        assert_eq!(chosen(std::slice::from_ref(&unnamed)), Some("d".to_owned()));
        // An ambiguous choice would install an unknown file.
        assert_eq!(chosen(&[yaml, named("b.yml")]), None);
        assert_eq!(chosen(&[unnamed.clone(), unnamed]), None);
        assert_eq!(chosen(&[other]), None);
    }
}
