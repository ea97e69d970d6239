//! Sonobuoy's own plugins and those of its example repository.

use sono_manifest::{Definition, load};

use crate::{vectors, yaml_files};

#[test]
fn real_plugins_load_without_a_complaint_and_are_written_back_whole() {
    let Some(folder) = vectors("plugins") else { return };
    let files = yaml_files(&folder);
    assert!(files.len() > 20, "{} files", files.len());
    for (file, text) in files {
        let (definition, problems) = load(&file, &text);
        let complaints: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(complaints, Vec::<String>::new());
        let definition = definition.unwrap();
        let again = load(&file, &definition.to_yaml());
        assert_eq!(again, (Some(without_empty_resources(definition)), Vec::new()), "{file}");
    }
}

/// Those are left out when a definition is written.
fn without_empty_resources(mut definition: Definition) -> Definition {
    let others = definition
        .pod_spec
        .as_mut()
        .and_then(|pod| pod.get_mut("containers")?.as_array_mut());
    for container in std::iter::once(&mut definition.spec).chain(others.into_iter().flatten()) {
        let fields = container.as_object_mut().unwrap();
        fields.retain(|key, value| key != "resources" || *value != serde_json::json!({}));
    }
    definition
}
