//! The aggregator as a workload that is replaced when its pod or node goes, with or without a volume for the run's results.

use serde_json::{Value, json};
use sono_types::{Config, constants};

/// Name of the claim that a run makes.
const CLAIM: &str = "sonobuoy-results";
/// Seconds after which the aggregator is taken off a node that does not answer. Kubernetes' own default is five minutes
/// (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions>).
const NODE_PATIENCE: u64 = 30;

/// The volume that results are kept on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultsVolume {
    /// A claim that is there.
    Existing {
        /// Its name.
        name: String,
    },
    /// A claim that the run makes, and that goes with it.
    New {
        /// A quantity such as `5Gi`.
        size: String,
        /// Its storage class; otherwise the cluster's default.
        class: Option<String>,
    },
}

impl ResultsVolume {
    /// The claim to be made, if one is.
    pub(crate) fn claim(&self, config: &Config) -> Option<Value> {
        let Self::New { size, class } = self else { return None };
        let mut spec = json!({
            "accessModes": ["ReadWriteOnce"],
            "resources": { "requests": { "storage": size } },
        });
        if let Some(class) = class {
            spec["storageClassName"] = json!(class);
        }
        Some(json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": CLAIM,
                "namespace": config.namespace,
                "labels": { constants::COMPONENT.0: constants::COMPONENT.1 },
            },
            "spec": spec,
        }))
    }

    fn claim_name(&self) -> &str {
        match self {
            Self::Existing { name } => name,
            Self::New { .. } => CLAIM,
        }
    }
}

/// The aggregator's pod as a Deployment, with results on that volume if there is one. Not a StatefulSet: that one is not
/// replaced while its node does not answer.
pub(crate) fn workload(mut pod: Value, volume: Option<&ResultsVolume>) -> Value {
    let mut metadata = pod["metadata"].take();
    let mut spec = pod["spec"].take();
    spec["restartPolicy"] = json!("Always");
    if let (Some(volumes), Some(volume)) = (spec["volumes"].as_array_mut(), volume) {
        volumes.retain(|volume| volume["name"] != "output-volume");
        let claim = json!({ "claimName": volume.claim_name() });
        volumes.push(json!({ "name": "output-volume", "persistentVolumeClaim": claim }));
    }
    if let Some(tolerations) = spec["tolerations"].as_array_mut() {
        tolerations.extend(["not-ready", "unreachable"].map(|state| {
            json!({
                "key": format!("node.kubernetes.io/{state}"),
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": NODE_PATIENCE,
            })
        }));
    }
    let labels = metadata["labels"].clone();
    let annotations = metadata["annotations"].take();
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": metadata["name"].take(),
            "namespace": metadata["namespace"].take(),
            "labels": labels,
        },
        "spec": {
            "replicas": 1,
            // Two of them would want one volume, or one run.
            "strategy": { "type": "Recreate" },
            "selector": { "matchLabels": { constants::COMPONENT_LABEL: "aggregator" } },
            "template": {
                "metadata": { "labels": metadata["labels"].take(), "annotations": annotations },
                "spec": spec,
            },
        },
    })
}

/// The pod spec of the aggregator, where `object` is its pod or its Deployment.
pub fn aggregator_spec_mut(object: &mut Value) -> Option<&mut Value> {
    let is_its = object.pointer("/metadata/name").and_then(Value::as_str) == Some(constants::AGGREGATOR_POD);
    match object.get("kind").and_then(Value::as_str) {
        Some("Pod") if is_its => object.pointer_mut("/spec"),
        Some("Deployment") if is_its => object.pointer_mut("/spec/template/spec"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RunObjects, run_objects};

    fn objects(volume: Option<&ResultsVolume>) -> Vec<Value> {
        objects_of("", volume)
    }

    fn objects_of(workload: &str, volume: Option<&ResultsVolume>) -> Vec<Value> {
        let config = Config {
            aggregator_workload: workload.to_owned(),
            ..Config::default()
        };
        run_objects(&RunObjects {
            config: &config,
            definitions: &[],
            aggregator_image: "sono:1",
            rbac: true,
            log_level: "info",
            sizes: &crate::Sizes::default(),
            network_policy: false,
            results_volume: volume,
        })
    }

    fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
        objects.iter().filter(|object| object["kind"] == kind).collect()
    }

    #[test]
    fn the_pod_becomes_a_deployment_with_the_same_labels() {
        let volume = ResultsVolume::New {
            size: "5Gi".to_owned(),
            class: Some("fast".to_owned()),
        };
        let (single, replaced) = (objects(None), objects(Some(&volume)));
        assert_eq!(of_kind(&replaced, "Pod"), Vec::<&Value>::new());
        let (pod, deployment) = (of_kind(&single, "Pod")[0], of_kind(&replaced, "Deployment")[0]);
        assert_eq!(deployment["metadata"]["name"], "sonobuoy");
        let template = &deployment["spec"]["template"];
        assert_eq!(template["metadata"]["labels"], pod["metadata"]["labels"]);
        assert_eq!(template["metadata"]["annotations"], pod["metadata"]["annotations"]);
        assert_eq!(template["spec"]["containers"], pod["spec"]["containers"]);
        assert_eq!(template["spec"]["restartPolicy"], "Always");
        assert_eq!(
            template["spec"]["volumes"][2],
            json!({ "name": "output-volume", "persistentVolumeClaim": { "claimName": "sonobuoy-results" } })
        );
        assert_eq!(
            of_kind(&replaced, "PersistentVolumeClaim"),
            [&json!({
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": { "name": "sonobuoy-results", "namespace": "sonobuoy", "labels": { "component": "sonobuoy" } },
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": { "requests": { "storage": "5Gi" } },
                    "storageClassName": "fast",
                },
            })]
        );
    }

    /// Without a volume its files go with the pod, and the pod is replaced all the same.
    #[test]
    fn a_deployment_needs_no_volume() {
        let single = objects_of(constants::WORKLOAD_POD, None);
        assert_eq!(of_kind(&single, "Deployment"), Vec::<&Value>::new());
        let replaced = objects_of(constants::WORKLOAD_DEPLOYMENT, None);
        assert_eq!(of_kind(&replaced, "Pod"), Vec::<&Value>::new());
        assert_eq!(of_kind(&replaced, "PersistentVolumeClaim"), Vec::<&Value>::new());
        let (pod, deployment) = (of_kind(&single, "Pod")[0], of_kind(&replaced, "Deployment")[0]);
        let spec = &deployment["spec"]["template"]["spec"];
        assert_eq!(spec["volumes"], pod["spec"]["volumes"]);
        assert_eq!(spec["containers"], pod["spec"]["containers"]);
        let patience: Vec<&Value> = spec["tolerations"].as_array().unwrap().iter().rev().take(2).collect();
        assert!(
            patience
                .iter()
                .all(|toleration| toleration["tolerationSeconds"] == NODE_PATIENCE)
        );
    }

    #[test]
    fn a_claim_that_is_there_is_used_and_not_made() {
        let volume = ResultsVolume::Existing {
            name: "mine".to_owned(),
        };
        let objects = objects(Some(&volume));
        assert_eq!(of_kind(&objects, "PersistentVolumeClaim"), Vec::<&Value>::new());
        let volumes = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"]["volumes"];
        assert_eq!(volumes[2]["persistentVolumeClaim"]["claimName"], "mine");
    }
}
