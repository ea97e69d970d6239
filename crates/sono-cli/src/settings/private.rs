//! `--registry`: one private registry for all images.

use serde_json::Value;
use sono_images::{Registries, Translated, Translation};
use sono_types::yaml;

/// Groups of deliberately unavailable images that some tests require.
const EXCLUDED_GROUPS: [&str; 3] = ["invalidRegistry", "gcAuthenticatedRegistry", "privateRegistry"];

/// A private registry.
#[derive(Debug)]
pub(super) struct PrivateRegistry {
    registry: String,
}

impl PrivateRegistry {
    pub(super) fn new(registry: &str) -> Self {
        let registry = registry.trim_end_matches('/').to_owned();
        Self { registry }
    }

    /// Name of an image in this registry.
    pub(super) fn image(&self, image: &str) -> String {
        match Translation::Custom(self.registry.clone()).of(image) {
            Translated::Renamed(name) => name,
            Translated::Same | Translated::Unknown => image.to_owned(),
        }
    }

    /// File from which the tests read the registry of each group of their images.
    pub(super) fn groups(&self) -> String {
        let mut groups = serde_json::to_value(Registries::default()).expect("a struct of texts");
        for (group, registry) in groups.as_object_mut().into_iter().flatten() {
            if !EXCLUDED_GROUPS.contains(&group.as_str()) {
                *registry = Value::String(self.registry.clone());
            }
        }
        yaml::to_string(&groups).expect("JSON values can be written as YAML")
    }
}
