//! Archives of real Sonobuoy runs are readable, and give the same trees as in Sonobuoy.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sono_bundle::{Bundle, DirectoryFiles, unpack_tar_gz};
use sono_results::{
    Compatibility, PluginInput, TreeLimits, cluster_health, from_yaml, process_plugin, read_tree, to_yaml,
};
use sono_testkit::vectors;
use sono_types::{Item, PluginName, ResultFormat, UploadLimits, layout};

fn archives() -> Vec<PathBuf> {
    let archives: Vec<PathBuf> = fs_err::read_dir(vectors("archives"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!archives.is_empty());
    archives
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
#[ignore = "requires the test vectors: cargo xtask test"]
fn real_archives_read_and_process_as_they_did() {
    for path in archives() {
        let bundle = Bundle::open(&path).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let archive = fs_err::File::open(&path).unwrap();
        let unpacked = unpack_tar_gz(archive, directory.path(), &UploadLimits::default()).unwrap();
        assert_eq!(unpacked.dropped, Vec::<String>::new(), "{}", path.display());
        let mut files = 0;
        bundle
            .visit(&mut |name, content| {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                assert_eq!(fs_err::read(directory.path().join(name))?, bytes);
                files += 1;
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        assert!(files > 10, "{files} files in {}", path.display());

        let info = json(&bundle.read(layout::INFO).unwrap().unwrap());
        for plugin in info["plugins"].as_array().unwrap() {
            let name = PluginName::parse(plugin.as_str().unwrap()).unwrap();
            check_plugin(&bundle, directory.path(), &name);
        }
        // Older archives have no health.
        let Some(stored) = bundle.read(layout::CLUSTER_HEALTH).unwrap() else {
            continue;
        };
        let mut health = serde_json::to_value(cluster_health(&DirectoryFiles::new(directory.path()))).unwrap();
        // Sonobuoy computed the health before it wrote its own log.
        let mut stored = json(&stored);
        for health in [&mut health, &mut stored] {
            health.as_object_mut().unwrap().remove("error_summary");
        }
        assert_eq!(health, stored, "{}", path.display());
    }
}

fn check_plugin(bundle: &Bundle, directory: &Path, name: &PluginName) {
    let folder = layout::plugin_dir(name);
    let definitions = [layout::definition_file(name), format!("{folder}/defintion.json")];
    let definitions = bundle.read_many(&[&definitions[0], &definitions[1]]).unwrap();
    let definition = json(definitions.values().next().unwrap());
    let settings = &definition["Definition"]["SonobuoyConfig"];
    let settings = if settings.is_null() {
        &definition["Definition"]["sonobuoy-config"]
    } else {
        settings
    };
    let text = |key: &str| settings[key].as_str().unwrap_or_default();
    let result_files: Vec<String> = settings["result-files"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|file| file.as_str().unwrap().to_owned())
        .collect();
    let input = PluginInput {
        name,
        format: ResultFormat::from_name(text("result-format")),
        result_files: &result_files,
        per_node: text("driver").eq_ignore_ascii_case("daemonset"),
        compatibility: Compatibility::default(),
        limits: TreeLimits::PLUGIN,
    };
    let (mut spool, mut yaml, mut tree) = (Vec::new(), Vec::new(), Vec::new());
    let files = DirectoryFiles::new(directory.join(&folder));
    let collected = process_plugin(&input, &files, &mut spool).unwrap();
    collected.write(&mut spool.as_slice(), &mut yaml, &mut tree).unwrap();
    let item = read_tree(&yaml, Some(&tree)).unwrap();
    let stored = bundle.read(&layout::results_file(name)).unwrap().unwrap();
    let stored = from_yaml(std::str::from_utf8(&stored).unwrap()).unwrap();
    assert_eq!(collected.problems, [], "{folder}");
    assert_eq!(
        first_difference(&item, &stored),
        None,
        "{folder} in {}",
        bundle.path().display()
    );
    assert_eq!(from_yaml(&to_yaml(&item)), Ok(item), "{folder}");
}

/// Trees of seven thousand tests are not readable in a failed assertion.
fn first_difference(one: &Item, other: &Item) -> Option<(Item, Item)> {
    if one == other {
        return None;
    }
    one.items
        .iter()
        .zip(&other.items)
        .find_map(|(one, other)| first_difference(one, other))
        .or_else(|| Some((one.clone(), other.clone())))
}
