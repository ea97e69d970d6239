//! Secrets with an SSH key and registry credentials.
//!
//! The contents are only in Secrets of the run's namespace, neither in a definition nor in the archive.

use k8s_openapi::ByteString;
use serde_json::{Value, json};
use sono_types::{Config, constants};

use crate::{Definition, change::E2E, containers};

/// Secret with the SSH key with which the tests log in to nodes.
const SSH_KEY: &str = "ssh-key";
const SSH_KEY_FILE: &str = "id_rsa";
const SSH_DIR: &str = "/root/.ssh";
const DOCKER_CONFIG_KEY: &str = ".dockerconfigjson";
const DOCKER_CONFIG_VOLUME: &str = "e2e-docker-config";
const DOCKER_CONFIG_DIR: &str = "/tmp/sonobuoy/credentials";
const EXTRA_ARGS: &str = "E2E_EXTRA_ARGS";

/// Default name of the pull secret that is created from Docker credentials.
pub const DOCKER_CONFIG_SECRET: &str = "auth-repo-cred";

/// The Secret with the content of an SSH key file.
pub fn ssh_key_secret(config: &Config, key: &[u8]) -> Value {
    secret(config, SSH_KEY, "Opaque", SSH_KEY_FILE, key)
}

/// The pull secret with the content of a Docker credentials file.
pub fn docker_config_secret(config: &Config, credentials: &[u8]) -> Value {
    let name = &config.image_pull_secrets;
    secret(
        config,
        name,
        "kubernetes.io/dockerconfigjson",
        DOCKER_CONFIG_KEY,
        credentials,
    )
}

fn secret(config: &Config, name: &str, kind: &str, key: &str, content: &[u8]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": config.namespace,
            "labels": { constants::COMPONENT.0: constants::COMPONENT.1 },
        },
        "type": kind,
        "data": { key: ByteString(content.to_vec()) },
    })
}

/// Mounts the SSH key in the plugin e2e.
pub(crate) fn mount_ssh_key(definition: &mut Definition) {
    if definition.name.as_str() != E2E {
        return;
    }
    let source = json!({ "secretName": SSH_KEY, "defaultMode": 0o400 });
    mount(definition, "sshkey-vol", &source, SSH_DIR);
    let path = format!("{SSH_DIR}/{SSH_KEY_FILE}");
    let variables = [
        ("LOCAL_SSH_KEY", SSH_KEY_FILE),
        ("AWS_SSH_KEY", &path),
        ("KUBE_SSH_KEY", SSH_KEY_FILE),
    ];
    containers::set_variables(&mut definition.spec, &variables);
}

/// Mounts the Docker credentials of the Secret in the plugin e2e, and passes their path to its tests.
pub(crate) fn mount_docker_config(definition: &mut Definition, secret: &str) {
    if definition.name.as_str() != E2E {
        return;
    }
    let items = json!([{ "key": DOCKER_CONFIG_KEY, "path": "config.json" }]);
    let source = json!({ "secretName": secret, "items": items });
    mount(definition, DOCKER_CONFIG_VOLUME, &source, DOCKER_CONFIG_DIR);
    let argument = format!("--e2e-docker-config-file={DOCKER_CONFIG_DIR}/config.json");
    let Some(variables) = containers::list_mut(&mut definition.spec, "env") else {
        return;
    };
    match variables
        .iter_mut()
        .find(|variable| containers::name(variable) == EXTRA_ARGS)
    {
        Some(variable) => {
            let arguments = variable.get("value").and_then(Value::as_str).unwrap_or_default();
            variable["value"] = json!(format!("{arguments} {argument}").trim_start());
        }
        None => variables.push(json!({ "name": EXTRA_ARGS, "value": argument })),
    }
}

fn mount(definition: &mut Definition, volume: &str, source: &Value, directory: &str) {
    if !definition
        .extra_volumes
        .iter()
        .any(|known| containers::name(known) == volume)
    {
        definition
            .extra_volumes
            .push(json!({ "name": volume, "secret": source }));
    }
    if let Some(mounts) = containers::list_mut(&mut definition.spec, "volumeMounts") {
        mounts.push(json!({ "name": volume, "mountPath": directory, "readOnly": true }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Images, builtin};

    fn config() -> Config {
        Config {
            namespace: "mine".to_owned(),
            image_pull_secrets: "pull".to_owned(),
            ..Config::default()
        }
    }

    /// BUG 4: the key's Secret is in the run's namespace, and its content is encoded once.
    #[test]
    fn the_key_is_in_a_secret_of_the_namespace_and_encoded_once() {
        assert_eq!(
            ssh_key_secret(&config(), b"key"),
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": { "id_rsa": "a2V5" },
                "metadata": { "name": "ssh-key", "namespace": "mine", "labels": { "component": "sonobuoy" } },
            })
        );
        let mut definition = builtin("e2e", &Images::default()).unwrap();
        mount_ssh_key(&mut definition);
        assert_eq!(
            definition.extra_volumes,
            [json!({ "name": "sshkey-vol", "secret": { "secretName": "ssh-key", "defaultMode": 256 } })]
        );
        let mount = json!({ "name": "sshkey-vol", "mountPath": "/root/.ssh", "readOnly": true });
        assert_eq!(definition.spec["volumeMounts"], json!([mount]));
        assert_eq!(
            definition.spec["env"][1],
            json!({ "name": "AWS_SSH_KEY", "value": "/root/.ssh/id_rsa" })
        );
    }

    /// BUG 13: credentials are only in a Secret; the definition in the archive contains only its name.
    #[test]
    fn credentials_are_in_the_secret_only() {
        let secret = docker_config_secret(&config(), b"{}");
        assert_eq!(
            (&secret["metadata"]["name"], &secret["type"], &secret["data"]),
            (
                &json!("pull"),
                &json!("kubernetes.io/dockerconfigjson"),
                &json!({ ".dockerconfigjson": "e30=" })
            )
        );
        let mut definition = builtin("e2e", &Images::default()).unwrap();
        mount_docker_config(&mut definition, "pull");
        assert_eq!(definition.config_map, std::collections::BTreeMap::new());
        let items = json!([{ "key": ".dockerconfigjson", "path": "config.json" }]);
        assert_eq!(
            definition.extra_volumes,
            [json!({ "name": "e2e-docker-config", "secret": { "secretName": "pull", "items": items } })]
        );
        assert_eq!(
            definition.spec["env"][4]["value"],
            "--progress-report-url=http://localhost:8099/progress --e2e-docker-config-file=/tmp/sonobuoy/credentials/config.json"
        );
    }
}
