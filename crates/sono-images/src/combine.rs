//! Combines images of one name for different platforms into one index.

use std::collections::{BTreeMap, BTreeSet};

use oci_client::manifest::OCI_IMAGE_INDEX_MEDIA_TYPE;
use serde_json::{Value, json};

use crate::{
    ImageError, Layout, Platform, Stored,
    layout::{Descriptor, blobs},
};

/// An image for several platforms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combined {
    pub image: String,
    /// `sha256:…`, of the index.
    pub digest: String,
    pub platforms: BTreeSet<Platform>,
}

/// Combines images of the same name into one index each, which replaces the name in the layout. Their blobs must be in
/// the layout ([`crate::import`]). The result does not depend on the order of the images. Two different images of one
/// name and platform are an error.
pub fn combine(layout: &Layout, images: &[Stored]) -> Result<Vec<Combined>, ImageError> {
    let mut names: BTreeMap<&str, BTreeMap<Platform, Descriptor>> = BTreeMap::new();
    for Stored { image, descriptor } in images {
        let platform = platform(layout, image, descriptor)?;
        let others = names.entry(image).or_default();
        if let Some(other) = others.insert(platform.clone(), descriptor.clone())
            && other.digest != descriptor.digest
        {
            return Err(ImageError::DuplicatePlatform {
                image: image.clone(),
                platform: platform.to_string(),
                digests: format!("{} and {}", other.digest, descriptor.digest),
            });
        }
    }
    let combined = names.into_iter().map(|(image, platforms)| {
        let descriptor = layout.write(OCI_IMAGE_INDEX_MEDIA_TYPE, index(&platforms).to_string().as_bytes())?;
        layout.name(image, descriptor.clone())?;
        Ok(Combined {
            image: image.to_owned(),
            digest: descriptor.digest,
            platforms: platforms.into_keys().collect(),
        })
    });
    combined.collect()
}

/// Entries are sorted by platform; the keys of a `Value` are sorted, too.
fn index(platforms: &BTreeMap<Platform, Descriptor>) -> Value {
    let entries = platforms.iter().map(|(platform, descriptor)| {
        json!({
            "mediaType": descriptor.media_type,
            "digest": descriptor.digest,
            "size": descriptor.size,
            "platform": platform,
        })
    });
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE,
        "manifests": entries.collect::<Vec<_>>(),
    })
}

/// The platform in the image's configuration.
fn platform(layout: &Layout, image: &str, manifest: &Descriptor) -> Result<Platform, ImageError> {
    let read = |digest: &str| {
        serde_json::from_slice::<Value>(&layout.read(digest)?).map_err(|source| ImageError::Manifest {
            image: image.to_owned(),
            source,
        })
    };
    let unknown = || ImageError::UnknownPlatform {
        image: image.to_owned(),
        digest: manifest.digest.clone(),
    };
    let config = blobs(&read(&manifest.digest)?).into_iter().next().ok_or_else(unknown)?;
    serde_json::from_value(read(&config.digest)?).map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

    /// An image for this architecture with a single layer `content`.
    fn image(layout: &Layout, name: &str, architecture: &str, content: &str) -> Stored {
        let config = json!({ "os": "linux", "architecture": architecture }).to_string();
        let config = layout.write(CONFIG, config.as_bytes()).unwrap();
        let layer = layout.write(LAYER, content.as_bytes()).unwrap();
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        Stored {
            image: name.to_owned(),
            descriptor: layout.write(MANIFEST, manifest.to_string().as_bytes()).unwrap(),
        }
    }

    fn platforms(names: &[&str]) -> BTreeSet<Platform> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// BUG 57: one name for all architectures.
    #[test]
    fn images_of_one_name_become_one_index() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::at(directory.path());
        let arm = image(&layout, "a.example/tool:1", "arm64", "arm");
        let intel = image(&layout, "a.example/tool:1", "amd64", "intel");
        let alone = image(&layout, "a.example/alone:1", "amd64", "alone");
        let combined = combine(&layout, &[arm.clone(), alone, intel.clone()]).unwrap();
        let digest = |name: &str| layout.find(name).unwrap().digest;
        assert_eq!(
            combined,
            [
                Combined {
                    image: "a.example/alone:1".to_owned(),
                    digest: digest("a.example/alone:1"),
                    platforms: platforms(&["linux/amd64"]),
                },
                Combined {
                    image: "a.example/tool:1".to_owned(),
                    digest: digest("a.example/tool:1"),
                    platforms: platforms(&["linux/amd64", "linux/arm64"]),
                },
            ]
        );
        // The exact bytes, since the digest identifies the image permanently.
        let Descriptor {
            digest: intel_digest,
            size: intel_size,
            ..
        } = &intel.descriptor;
        let Descriptor {
            digest: arm_digest,
            size: arm_size,
            ..
        } = &arm.descriptor;
        let expected = [
            r#"{"manifests":[{"digest":""#,
            intel_digest,
            r#"","mediaType":"application/vnd.oci.image.manifest.v1+json","#,
            r#""platform":{"architecture":"amd64","os":"linux"},"size":"#,
            &intel_size.to_string(),
            r#"},{"digest":""#,
            arm_digest,
            r#"","mediaType":"application/vnd.oci.image.manifest.v1+json","#,
            r#""platform":{"architecture":"arm64","os":"linux"},"size":"#,
            &arm_size.to_string(),
            r#"}],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}"#,
        ];
        let bytes = layout.read(&digest("a.example/tool:1")).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected.concat());
        // The result is the same in another order and with duplicates.
        let again = combine(&layout, &[intel, arm.clone(), arm]).unwrap();
        assert_eq!(again, combined[1..]);
    }

    #[test]
    fn two_images_of_one_platform_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::at(directory.path());
        let one = image(&layout, "a.example/tool:1", "amd64", "one");
        let other = image(&layout, "a.example/tool:1", "amd64", "other");
        let error = combine(&layout, &[one.clone(), other.clone()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "a.example/tool:1 has two different images for linux/amd64: {} and {}",
                one.descriptor.digest, other.descriptor.digest
            )
        );
        assert_eq!(layout.stored().unwrap(), []);
    }

    #[test]
    fn image_without_platform_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::at(directory.path());
        let config = layout.write(CONFIG, b"{}").unwrap();
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [] }).to_string();
        let descriptor = layout.write(MANIFEST, manifest.as_bytes()).unwrap();
        let stored = Stored {
            image: "a.example/tool:1".to_owned(),
            descriptor: descriptor.clone(),
        };
        let error = combine(&layout, &[stored]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the configuration of image a.example/tool:1 ({}) has no platform",
                descriptor.digest
            )
        );
    }
}
