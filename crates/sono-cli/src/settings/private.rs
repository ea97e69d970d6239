//! `--registry`: one private registry for all images.

use serde_json::Value;
use sono_images::{Registries, Translated, Translation};
use sono_types::yaml;

/// Groups of images that are not to be had, which some tests rely on.
const NOT_MOVED: [&str; 3] = ["invalidRegistry", "gcAuthenticatedRegistry", "privateRegistry"];

/// The registry.
#[derive(Debug)]
pub(super) struct Private {
    registry: String,
}

impl Private {
    pub(super) fn new(registry: &str) -> Self {
        let registry = registry.trim_end_matches('/').to_owned();
        Self { registry }
    }

    /// What an image is called there.
    pub(super) fn home(&self, image: &str) -> String {
        match Translation::Custom(self.registry.clone()).of(image) {
            Translated::Renamed(name) => name,
            Translated::Same | Translated::Unknown => image.to_owned(),
        }
    }

    /// The file that the tests read to know where each group of their images is.
    pub(super) fn groups(&self) -> String {
        let mut groups = serde_json::to_value(Registries::default()).expect("a struct of texts");
        for (group, registry) in groups.as_object_mut().into_iter().flatten() {
            if !NOT_MOVED.contains(&group.as_str()) {
                *registry = Value::String(self.registry.clone());
            }
        }
        yaml::to_string(&groups).expect("JSON values can be written as YAML")
    }
}
