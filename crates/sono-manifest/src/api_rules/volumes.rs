//! Rules for volumes.

use std::collections::BTreeSet;

use serde_json::Value;
use sono_types::constants;

use super::{Checker, container::number, formats};
use crate::{
    Definition,
    containers::{each, name},
};

/// Volume sources.
const SOURCES: [&str; 31] = [
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "hostPath",
    "image",
    "iscsi",
    "nfs",
    "persistentVolumeClaim",
    "photonPersistentDisk",
    "portworxVolume",
    "projected",
    "quobyte",
    "rbd",
    "scaleIO",
    "secret",
    "storageos",
    "vsphereVolume",
    "clusterTrustBundle",
];
const HOST_PATH_TYPES: [&str; 7] = [
    "DirectoryOrCreate",
    "Directory",
    "FileOrCreate",
    "File",
    "Socket",
    "CharDevice",
    "BlockDevice",
];
/// Maximum file mode.
const MAX_MODE: i64 = 0o777;

impl Checker {
    /// Checks the volumes of the definition and returns the names of all volumes of its pod.
    pub(super) fn volumes(&mut self, definition: &Definition, pod_spec: &Value) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = [constants::RESULTS_VOLUME.to_owned()].into();
        let own = definition.pod_spec.is_some();
        self.below("podSpec", |checker| {
            for (index, volume) in each(pod_spec, "volumes").enumerate() {
                if own {
                    checker.below("volumes", |checker| {
                        checker.below(&index.to_string(), |checker| checker.volume(volume, &mut names));
                    });
                } else {
                    names.insert(name(volume).to_owned());
                }
            }
        });
        self.below("extra-volumes", |checker| {
            for (index, volume) in definition.extra_volumes.iter().enumerate() {
                checker.below(&index.to_string(), |checker| checker.volume(volume, &mut names));
            }
        });
        // The run adds this volume for a config-map.
        names.insert(format!("sonobuoy-{}-vol", definition.name));
        names
    }

    fn volume(&mut self, volume: &Value, names: &mut BTreeSet<String>) {
        let own = name(volume);
        self.required("name", volume);
        self.format("name", volume, formats::label);
        if !own.is_empty() && !names.insert(own.to_owned()) {
            let why = if own == constants::RESULTS_VOLUME {
                format!("`{own}` is reserved for the results volume")
            } else {
                format!("duplicate volume name `{own}`")
            };
            self.refuse_at("name", &why);
        }
        // A volume without a source is an emptyDir.
        self.only_one(volume, &SOURCES, true);
        self.within("hostPath", volume, |checker, source| {
            checker.required("path", source);
            checker.format("path", source, formats::without_parents);
            checker.one_of("type", source, &HOST_PATH_TYPES);
        });
        self.within("configMap", volume, |checker, source| {
            checker.required("name", source);
            checker.files(source);
        });
        self.within("secret", volume, |checker, source| {
            checker.required("secretName", source);
            checker.files(source);
        });
        self.within("persistentVolumeClaim", volume, |checker, source| {
            checker.required("claimName", source);
        });
        self.within("nfs", volume, |checker, source| {
            checker.required("server", source);
            checker.required("path", source);
            checker.format("path", source, formats::absolute_path);
        });
        self.within("emptyDir", volume, |checker, source| {
            if let Some(limit) = source.get("sizeLimit").filter(|limit| !limit.is_null())
                && number(limit).is_none_or(|limit| limit < 0.0)
            {
                checker.refuse_at("sizeLimit", &format!("{limit} is not a size such as 500M or 1Gi"));
            }
        });
        self.within("projected", volume, |checker, source| {
            checker.range("defaultMode", source, 0, MAX_MODE);
            checker.each("sources", source, |checker, source| {
                for key in ["configMap", "secret"] {
                    checker.within(key, source, |checker, source| {
                        checker.required("name", source);
                        checker.files(source);
                    });
                }
            });
        });
    }

    /// Checks the files of a ConfigMap or Secret volume.
    fn files(&mut self, source: &Value) {
        self.range("defaultMode", source, 0, MAX_MODE);
        self.each("items", source, |checker, item| {
            checker.required("key", item);
            checker.required("path", item);
            checker.format("path", item, formats::relative_path);
            checker.range("mode", item, 0, MAX_MODE);
        });
    }
}
