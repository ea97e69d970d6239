//! The software bill of materials, as CycloneDX 1.6 JSON (<https://cyclonedx.org/docs/1.6/json/>).
//!
//! Not written with cargo-cyclonedx, because it writes a file next to every member's Cargo.toml, which makes the tree dirty, and
//! takes minutes to compile, while `cargo metadata` and the lock file already have all data.

use std::collections::BTreeSet;

use cargo_metadata::{Package, PackageId};
use serde_json::{Map, Value, json};

use super::{
    packages::{Packages, Part},
    source::Source,
};

/// The document for one target.
pub(super) fn document(packages: &Packages, source: &Source, triple: &str) -> Value {
    let present: BTreeSet<&PackageId> = packages.parts.iter().map(|part| &part.package.id).collect();
    let reference = |id: &PackageId| {
        let part = packages.parts.iter().find(|part| part.package.id == *id);
        part.map_or_else(|| id.repr.clone(), |part| package_url(&part.package))
    };
    let dependencies: Vec<Value> = packages
        .parts
        .iter()
        .map(|part| {
            let needs = part.needs.iter().filter(|id| present.contains(id));
            let mut needs: Vec<String> = needs.map(reference).collect();
            needs.sort();
            json!({ "ref": package_url(&part.package), "dependsOn": needs })
        })
        .collect();
    let is_root = |part: &&Part| part.package.id == packages.root;
    let program = packages.parts.iter().find(is_root).map(|part| {
        let mut program = component(part);
        program.insert("type".to_owned(), json!("application"));
        program.insert("name".to_owned(), json!("sono"));
        program.remove("scope");
        program
    });
    let components: Vec<Map<String, Value>> = packages
        .parts
        .iter()
        .filter(|part| !is_root(part))
        .map(component)
        .collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": source.timestamp,
            "component": program,
            "properties": [
                { "name": "sono:commit", "value": source.revision },
                { "name": "sono:target", "value": triple },
            ],
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn component(part: &Part) -> Map<String, Value> {
    let Part {
        package,
        is_linked,
        checksum,
        needs: _,
    } = part;
    let mut component = Map::new();
    let mut set = |key: &str, value: Value| component.insert(key.to_owned(), value);
    set("type", json!("library"));
    set("bom-ref", json!(package_url(package)));
    set("name", json!(package.name));
    set("version", json!(package.version.to_string()));
    set("purl", json!(package_url(package)));
    // Build dependencies are not in the delivered files.
    set("scope", json!(if *is_linked { "required" } else { "excluded" }));
    if let Some(description) = &package.description {
        set("description", json!(description.trim()));
    }
    if let Some(license) = &package.license {
        set("licenses", json!([{ "expression": expression(license) }]));
    }
    if let Some(checksum) = checksum {
        set("hashes", json!([{ "alg": "SHA-256", "content": checksum }]));
    }
    if let Some(repository) = &package.repository {
        set("externalReferences", json!([{ "type": "vcs", "url": repository }]));
    }
    component
}

/// The package URL (<https://github.com/package-url/purl-spec>); a `+` must be encoded.
fn package_url(package: &Package) -> String {
    let version = package.version.to_string().replace('+', "%2B");
    format!("pkg:cargo/{}@{version}", package.name)
}

/// The licence as an SPDX expression; old packages write `MIT/Apache-2.0`.
pub(super) fn expression(license: &str) -> String {
    let words: Vec<&str> = license.split('/').map(str::trim).collect();
    words.join(" OR ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        let triple = "x86_64-unknown-linux-gnu";
        let packages = Packages::of(&sono_testbed::repository::root(), triple).unwrap();
        let source = Source {
            revision: "0123".to_owned(),
            time: 1_700_000_000,
            timestamp: "2023-11-14T22:13:20Z".to_owned(),
        };
        document(&packages, &source, triple)
    }

    #[test]
    fn expressions_are_spdx() {
        for (license, expected) in [
            ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
            ("Apache-2.0 / MIT", "Apache-2.0 OR MIT"),
            (
                "(MIT OR Apache-2.0) AND Unicode-3.0",
                "(MIT OR Apache-2.0) AND Unicode-3.0",
            ),
        ] {
            assert_eq!(expression(license), expected);
        }
    }

    #[test]
    fn document_describes_program_in_metadata() {
        let document = sample();
        let metadata = &document["metadata"];
        assert_eq!(metadata["timestamp"], "2023-11-14T22:13:20Z");
        assert_eq!(metadata["component"]["name"], "sono");
        assert_eq!(metadata["component"]["type"], "application");
        assert_eq!(
            metadata["component"]["licenses"],
            json!([{ "expression": "Apache-2.0" }])
        );
        assert_eq!(
            metadata["properties"][0],
            json!({ "name": "sono:commit", "value": "0123" })
        );
    }

    /// Each reference must name exactly one component.
    #[test]
    fn references_name_distinct_components() {
        let document = sample();
        let components = document["components"].as_array().unwrap();
        let mut known: Vec<&str> = components.iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
        known.push(document["metadata"]["component"]["bom-ref"].as_str().unwrap());
        let distinct: BTreeSet<&str> = known.iter().copied().collect();
        assert_eq!(distinct.len(), known.len());
        let dependencies = document["dependencies"].as_array().unwrap();
        let owners: BTreeSet<&str> = dependencies.iter().map(|one| one["ref"].as_str().unwrap()).collect();
        assert_eq!(owners, distinct);
        for needed in dependencies.iter().flat_map(|one| one["dependsOn"].as_array().unwrap()) {
            assert!(distinct.contains(needed.as_str().unwrap()), "{needed}");
        }
    }
}
