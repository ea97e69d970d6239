//! Names of images in a private registry.
//!
//! The map is that of the Kubernetes suite (`KUBE_TEST_REPO_LIST`, `test/utils/image/manifest.go`), so pushed images
//! have the names that the suite uses.

use serde::{Deserialize, Serialize};

/// The registry of each group of images, with the suite's keys and defaults. A file may set some of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Registries {
    pub build_image_registry: String,
    pub docker_gluster: String,
    pub docker_library_registry: String,
    pub e2e_registry: String,
    pub e2e_volume_registry: String,
    pub etcd_registry: String,
    pub gc_authenticated_registry: String,
    pub gc_registry: String,
    pub gc_etcd_registry: String,
    pub gcr_release_registry: String,
    pub google_container_registry: String,
    pub invalid_registry: String,
    pub private_registry: String,
    pub promoter_e2e_registry: String,
    pub quay_incubator: String,
    #[serde(rename = "quayK8sCSI")]
    pub quay_k8s_csi: String,
    pub sample_registry: String,
    pub sig_storage_registry: String,
}

impl Default for Registries {
    fn default() -> Self {
        Self {
            build_image_registry: "registry.k8s.io/build-image".to_owned(),
            docker_gluster: "docker.io/gluster".to_owned(),
            docker_library_registry: "docker.io/library".to_owned(),
            e2e_registry: "gcr.io/kubernetes-e2e-test-images".to_owned(),
            e2e_volume_registry: "gcr.io/kubernetes-e2e-test-images/volume".to_owned(),
            etcd_registry: "quay.io/coreos".to_owned(),
            gc_authenticated_registry: "gcr.io/authenticated-image-pulling".to_owned(),
            gc_registry: "registry.k8s.io".to_owned(),
            gc_etcd_registry: "registry.k8s.io".to_owned(),
            gcr_release_registry: "gcr.io/gke-release".to_owned(),
            google_container_registry: "gcr.io/google-containers".to_owned(),
            invalid_registry: "invalid.com/invalid".to_owned(),
            private_registry: "gcr.io/k8s-authenticated-test".to_owned(),
            promoter_e2e_registry: "registry.k8s.io/e2e-test-images".to_owned(),
            quay_incubator: "quay.io/kubernetes_incubator".to_owned(),
            quay_k8s_csi: "quay.io/k8scsi".to_owned(),
            sample_registry: "gcr.io/google-samples".to_owned(),
            sig_storage_registry: "registry.k8s.io/sig-storage".to_owned(),
        }
    }
}

/// How image names are translated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Translation {
    /// To `REGISTRY/<last part>`.
    Custom(String),
    /// By group, the part before the last `/`.
    Groups(Box<Registries>),
}

/// The name of an image in the private registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Translated {
    /// The new name.
    Renamed(String),
    /// Unchanged, since its group is not translated.
    Same,
    /// Unchanged, since its group is unknown.
    Unknown,
}

impl Translation {
    /// Translates the name of `image`.
    pub fn of(&self, image: &str) -> Translated {
        let (group, name) = match image.rsplit_once('/') {
            Some((group, name)) => (Some(group), name),
            None => (None, image),
        };
        let registry = match self {
            Self::Custom(registry) => registry.trim_end_matches('/'),
            Self::Groups(registries) => match registries.home_of(group) {
                Home::At(registry) => registry,
                Home::Ours => return Translated::Same,
                Home::Unknown => return Translated::Unknown,
            },
        };
        let renamed = format!("{registry}/{name}");
        // Names without a registry are in Docker's library.
        if renamed == image || group.is_none() && registry == "docker.io/library" {
            Translated::Same
        } else {
            Translated::Renamed(renamed)
        }
    }
}

enum Home<'map> {
    At(&'map str),
    /// Sonobuoy's own images are not in the map.
    Ours,
    Unknown,
}

impl Registries {
    fn home_of(&self, group: Option<&str>) -> Home<'_> {
        let Some(group) = group else {
            return Home::At(&self.docker_library_registry);
        };
        let registry = match group {
            "gcr.io/e2e-test-images" | "registry.k8s.io/e2e-test-images" | "k8s.gcr.io/e2e-test-images" => {
                &self.promoter_e2e_registry
            }
            "registry.k8s.io/build-image" | "k8s.gcr.io/build-image" => &self.build_image_registry,
            "gcr.io/kubernetes-e2e-test-images" => &self.e2e_registry,
            "gcr.io/kubernetes-e2e-test-images/volume" => &self.e2e_volume_registry,
            "k8s.gcr.io" | "registry.k8s.io" => &self.gc_registry,
            "k8s.gcr.io/sig-storage" | "registry.k8s.io/sig-storage" => &self.sig_storage_registry,
            "gcr.io/k8s-authenticated-test" => &self.private_registry,
            "gcr.io/google-samples" => &self.sample_registry,
            "gcr.io/gke-release" => &self.gcr_release_registry,
            "docker.io/library" => &self.docker_library_registry,
            "docker.io/gluster" => &self.docker_gluster,
            "sonobuoy" => return Home::Ours,
            // For nested groups such as `e2e-test-images/volume`, the suite uses the last part of the group.
            _ => return Home::Unknown,
        };
        Home::At(registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(registries: Registries) -> Translation {
        Translation::Groups(Box::new(registries))
    }

    /// B-7: nearly all test images are in a group that Sonobuoy's table lacks.
    #[test]
    fn images_get_the_names_that_the_suite_uses() {
        let private = groups(Registries {
            promoter_e2e_registry: "mine.example/e2e".to_owned(),
            gc_registry: "mine.example/gc".to_owned(),
            docker_library_registry: "mine.example/library".to_owned(),
            build_image_registry: "mine.example/build".to_owned(),
            ..Registries::default()
        });
        let renamed = |name: &str| Translated::Renamed(name.to_owned());
        let cases = [
            (
                "registry.k8s.io/e2e-test-images/agnhost:2.55",
                renamed("mine.example/e2e/agnhost:2.55"),
            ),
            (
                "registry.k8s.io/build-image/distroless-iptables:v0.9.9",
                renamed("mine.example/build/distroless-iptables:v0.9.9"),
            ),
            (
                "registry.k8s.io/conformance:v1.37.2",
                renamed("mine.example/gc/conformance:v1.37.2"),
            ),
            ("httpd:2.4", renamed("mine.example/library/httpd:2.4")),
            ("registry.k8s.io/sig-storage/nfs:v4", Translated::Same),
            ("sonobuoy/sonobuoy:v1", Translated::Same),
            ("quay.io/other/thing:v1", Translated::Unknown),
        ];
        for (image, expected) in cases {
            assert_eq!(private.of(image), expected, "{image}");
        }
    }

    #[test]
    fn custom_registry_applies_to_all_images() {
        let custom = Translation::Custom("mine.example/all/".to_owned());
        assert_eq!(
            custom.of("quay.io/other/thing:v1"),
            Translated::Renamed("mine.example/all/thing:v1".to_owned())
        );
        assert_eq!(custom.of("mine.example/all/thing:v1"), Translated::Same);
    }

    #[test]
    fn the_defaults_change_nothing() {
        let default = groups(Registries::default());
        for image in [
            "registry.k8s.io/e2e-test-images/agnhost:2.55",
            "registry.k8s.io/pause:3.10",
            "busybox",
        ] {
            assert_eq!(default.of(image), Translated::Same, "{image}");
        }
    }
}
