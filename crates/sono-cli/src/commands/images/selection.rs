//! Images that a run needs, and their names in a private registry. Pure.

use std::collections::BTreeMap;

use serde_json::Value;
use sono_images::{Registries, SuiteImages, Translated, Translation};
use sono_manifest::Definition;
use sono_types::{constants, env};

/// Images by name, each with its name in the private registry.
pub(super) type Images = BTreeMap<String, Target>;

/// Name of an image in the private registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Renamed(String),
    Same,
    /// No rule applies to the image.
    Unknown,
    /// The suite expects that pulling the image fails, or it requires a login that does not exist.
    Unavailable,
}

/// Rules for the names in a private registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Renaming {
    None,
    By(Translation),
    /// All images of the suite in one repository, distinguished by tags; others by the last part of their name.
    Repository(String),
}

/// All images of `definitions` and of the run itself. `version` is the Kubernetes version, such as `v1.37.2`. `suite` is
/// required if a definition runs the Kubernetes suite, unless its images are `listed`.
pub(super) fn images(
    definitions: &[Definition],
    version: &str,
    suite: Option<&SuiteImages>,
    listed: &[String],
    renaming: &Renaming,
) -> Images {
    let placeholder = format!("${}", env::SONOBUOY_K8S_VERSION);
    let ours = [constants::AGGREGATOR_IMAGE, constants::WORKER_IMAGE].map(ToOwned::to_owned);
    let of_plugins = definitions.iter().flat_map(of_definition);
    let mut images: Images = of_plugins
        .map(|image| image.replace(&placeholder, version))
        .chain(ours)
        .chain(listed.iter().cloned())
        .map(|image| {
            let target = renaming.target(&image, None);
            (image, target)
        })
        .collect();
    for image in suite.map(|suite| suite.images.as_slice()).unwrap_or_default() {
        let target = match &image.mapped_tag {
            Some(tag) => renaming.target(&image.name, Some(tag)),
            None => Target::Unavailable,
        };
        images.insert(image.name.clone(), target);
    }
    images
}

/// Whether a definition runs the Kubernetes suite.
pub(super) fn runs_suite(definition: &Definition) -> bool {
    of_definition(definition).any(|image| {
        let name = image.rsplit('/').next().unwrap_or(&image);
        name.split([':', '@']).next() == Some("conformance")
    })
}

fn of_definition(definition: &Definition) -> impl Iterator<Item = String> {
    let containers = |key: &str| {
        let list = definition.pod_spec.as_ref().and_then(|spec| spec.get(key));
        list.and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let all = [
        vec![definition.spec.clone()],
        containers("initContainers"),
        containers("containers"),
    ];
    all.into_iter()
        .flatten()
        .filter_map(|container| Some(container.get("image")?.as_str()?.to_owned()))
}

impl Renaming {
    fn target(&self, image: &str, mapped_tag: Option<&str>) -> Target {
        match (self, mapped_tag) {
            (Self::None, _) => Target::Same,
            (Self::By(translation), _) => match translation.of(image) {
                Translated::Renamed(name) => Target::Renamed(name),
                Translated::Same => Target::Same,
                Translated::Unknown => Target::Unknown,
            },
            (Self::Repository(repository), Some(tag)) => Target::Renamed(format!("{repository}:{tag}")),
            // The suite defines no tag for the conformance image and sono's own images.
            (Self::Repository(_), None) => Target::Unknown,
        }
    }
}

/// Removes vendor suffixes, which image tags do not have: `v1.37.2` for `v1.37.2-gke.100`.
pub(super) fn released(version: &str) -> String {
    let version = version.strip_prefix('v').unwrap_or(version);
    let release = version.split(['-', '+']).next().unwrap_or(version);
    format!("v{release}")
}

/// Renaming by groups of images.
pub(super) fn groups(registries: Registries) -> Renaming {
    Renaming::By(Translation::Groups(Box::new(registries)))
}

#[cfg(test)]
mod tests {
    use sono_images::SuiteImage;

    use super::*;

    fn definition(text: &str) -> Definition {
        let (definition, problems) = sono_manifest::load("a.yaml", text);
        definition.unwrap_or_else(|| panic!("{problems:?}"))
    }

    const PLUGIN: &str = "sonobuoy-config: {driver: Job, plugin-name: a}\n\
        spec: {name: a, image: 'registry.k8s.io/conformance:$SONOBUOY_K8S_VERSION'}\n\
        podSpec: {containers: [{name: b, image: 'b.example/b:1'}], initContainers: [{name: c, image: 'c.example/c:1'}]}\n";

    fn suite() -> SuiteImages {
        let image = |name: &str, mapped_tag: Option<&str>| SuiteImage {
            name: name.to_owned(),
            mapped_tag: mapped_tag.map(ToOwned::to_owned),
        };
        SuiteImages {
            version: "1.37.2".to_owned(),
            images: vec![
                image("registry.k8s.io/e2e-test-images/agnhost:2.55", Some("e2e-1-agnhost")),
                image("invalid.example/alpine:3.1", None),
            ],
        }
    }

    fn listed(renaming: &Renaming) -> Vec<(String, Target)> {
        let definition = definition(PLUGIN);
        assert!(runs_suite(&definition));
        images(&[definition], "v1.37.2", Some(&suite()), &[], renaming)
            .into_iter()
            .collect()
    }

    fn expected(targets: [Target; 7]) -> Vec<(String, Target)> {
        let names = [
            "b.example/b:1",
            "c.example/c:1",
            "invalid.example/alpine:3.1",
            "registry.k8s.io/conformance:v1.37.2",
            "registry.k8s.io/e2e-test-images/agnhost:2.55",
            constants::WORKER_IMAGE,
            constants::AGGREGATOR_IMAGE,
        ];
        let mut all: Vec<_> = names.map(ToOwned::to_owned).into_iter().zip(targets).collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    #[test]
    fn images_of_all_containers_are_listed() {
        use Target::{Same, Unavailable};
        assert_eq!(
            listed(&Renaming::None),
            expected([Same, Same, Unavailable, Same, Same, Same, Same])
        );
    }

    /// B-7: one repository for the suite, with the tags that the suite expects.
    #[test]
    fn one_repository_for_the_suite() {
        use Target::{Renamed, Unavailable, Unknown};
        let agnhost = Renamed("mine.example/all:e2e-1-agnhost".to_owned());
        assert_eq!(
            listed(&Renaming::Repository("mine.example/all".to_owned())),
            expected([Unknown, Unknown, Unavailable, Unknown, agnhost, Unknown, Unknown])
        );
    }

    #[test]
    fn groups_are_renamed_by_their_registry() {
        use Target::{Renamed, Unavailable, Unknown};
        let registries = Registries {
            promoter_e2e_registry: "mine.example/e2e".to_owned(),
            gc_registry: "mine.example/gc".to_owned(),
            ..Registries::default()
        };
        let agnhost = Renamed("mine.example/e2e/agnhost:2.55".to_owned());
        let conformance = Renamed("mine.example/gc/conformance:v1.37.2".to_owned());
        assert_eq!(
            listed(&groups(registries)),
            expected([Unknown, Unknown, Unavailable, conformance, agnhost, Unknown, Unknown])
        );
    }

    /// B-21: tags have no vendor suffix.
    #[test]
    fn vendor_suffix_of_a_version_is_removed() {
        let versions = ["v1.37.2-gke.100", "1.37.2+k3s1", "v1.37.2"].map(released);
        assert_eq!(versions, ["v1.37.2", "v1.37.2", "v1.37.2"]);
    }
}
