//! The aggregator as a Deployment, which survives the loss of its pod or node, with an optional volume for results.

use serde_json::{Value, json};
use sono_types::{Config, constants};

/// Name of the claim that a run creates.
const CLAIM: &str = "sonobuoy-results";
/// Seconds after which the aggregator is evicted from an unreachable node. Kubernetes' default is five minutes
/// (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions>).
const EVICTION_SECONDS: u64 = 30;

/// The volume on which results are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultsVolume {
    /// An existing claim.
    Existing {
        /// Name of the claim.
        name: String,
    },
    /// A claim that is created and deleted together with the run.
    New {
        /// A quantity such as `5Gi`.
        size: String,
        /// Storage class; `None` is the cluster's default.
        class: Option<String>,
    },
}

impl ResultsVolume {
    /// The claim to create, if any.
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

/// Converts the aggregator's pod to a Deployment, with an optional results volume.
///
/// A StatefulSet would not replace the pod while its node is unreachable.
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
                "tolerationSeconds": EVICTION_SECONDS,
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
            // Two aggregators must not share a volume or a run.
            "strategy": { "type": "Recreate" },
            "selector": { "matchLabels": { constants::COMPONENT_LABEL: "aggregator" } },
            "template": {
                "metadata": { "labels": metadata["labels"].take(), "annotations": annotations },
                "spec": spec,
            },
        },
    })
}

/// The podSpec of the aggregator if `object` is its pod or Deployment.
pub fn aggregator_spec_mut(object: &mut Value) -> Option<&mut Value> {
    let is_aggregator = object.pointer("/metadata/name").and_then(Value::as_str) == Some(constants::AGGREGATOR_POD);
    match object.get("kind").and_then(Value::as_str) {
        Some("Pod") if is_aggregator => object.pointer_mut("/spec"),
        Some("Deployment") if is_aggregator => object.pointer_mut("/spec/template/spec"),
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

    /// Without a volume the files are lost with the pod, but the pod is still replaced.
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
        let tolerations: Vec<&Value> = spec["tolerations"].as_array().unwrap().iter().rev().take(2).collect();
        assert!(
            tolerations
                .iter()
                .all(|toleration| toleration["tolerationSeconds"] == EVICTION_SECONDS)
        );
    }

    #[test]
    fn an_existing_claim_is_used_and_not_created() {
        let volume = ResultsVolume::Existing {
            name: "mine".to_owned(),
        };
        let objects = objects(Some(&volume));
        assert_eq!(of_kind(&objects, "PersistentVolumeClaim"), Vec::<&Value>::new());
        let volumes = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"]["volumes"];
        assert_eq!(volumes[2]["persistentVolumeClaim"]["claimName"], "mine");
    }
}
