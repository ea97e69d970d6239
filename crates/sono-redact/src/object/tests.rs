use serde_json::json;

use super::*;
use crate::Redactor;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn redact_alone(object: &mut Value) -> Redactions {
    let mut redactions = Redactions::default();
    Redactor::default().object(object, &|| Duration::ZERO, &mut redactions);
    redactions
}

fn check(mut object: Value, expected: Value, counted: &[(&str, &str, &str, u64)]) {
    let redactions = redact_alone(&mut object);
    assert_eq!(object, expected);
    let rows: Vec<_> = redactions
        .rows()
        .into_iter()
        .map(|row| (row.kind, row.path, row.reason, row.count))
        .collect();
    let counted: Vec<_> = counted
        .iter()
        .map(|(kind, path, reason, count)| ((*kind).to_owned(), (*path).to_owned(), (*reason).to_owned(), *count))
        .collect();
    assert_eq!(rows, counted);
    // A second pass changes nothing.
    let again = redact_alone(&mut object);
    assert_eq!((object, again), (expected, Redactions::default()));
}

#[test]
fn pods_lose_secrets_and_nothing_else() {
    let pod = |password: &str, flag: &str, next: &str, header: &str, url: &str, cert: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "odd": [1, null, {"x": true}],
            "metadata": {"name": "p", "labels": {"token": "blue"}, "annotations": {"note": "the token is elsewhere"}},
            "spec": {
                "containers": [
                    {"name": "c", "args": ["--v=2", flag, "--api-token", next, "--secret-name", "s"],
                     "env": [
                        {"name": "DB_PASSWORD", "value": password},
                        {"name": "ADMIN_PASSWORD", "value": password},
                        {"name": "REFERRED_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}},
                        {"name": "EXPANDED_PASSWORD", "value": "$(DB_PASSWORD)"},
                        {"name": "DATABASE_URL", "value": url},
                        {"name": "CLIENT_CERT", "value": cert},
                        {"name": "MODE", "value": "on"}
                     ],
                     "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": header}]}}}
                ],
                "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"}],
                "imagePullSecrets": [{"name": "registry"}],
                "volumes": [{"name": "v", "secret": {"secretName": "s"}}, {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]
            }
        })
    };
    check(
        pod(
            "hunter2",
            "--db-password=hunter2",
            "abc",
            "Basic YTpi",
            "pg://u:p@h/d",
            "-----BEGIN CERTIFICATE-----\nMII",
        ),
        pod(
            "[redacted]",
            "--db-password=[redacted]",
            "[redacted]",
            "[redacted]",
            "pg://u:[redacted]@h/d",
            "[redacted]",
        ),
        &[
            ("Pod", "spec.containers[].args[]", "name", 2),
            ("Pod", "spec.containers[].env[].value", "name", 2),
            ("Pod", "spec.containers[].env[].value", "own-certificate", 1),
            ("Pod", "spec.containers[].env[].value", "url-password", 1),
            (
                "Pod",
                "spec.containers[].livenessProbe.httpGet.httpHeaders[].value",
                "name",
                1,
            ),
        ],
    );
}

#[test]
fn config_maps_lose_secrets_only() {
    let map = |token: &str, password: &str, key: &str, binary: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"},
            "data": {
                "API_TOKEN": token,
                "application.yaml": format!("db:\n  user: u\n  password: {password}\n  tokenTTL: 24h\n"),
                "bundle.pem": format!("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n{key}"),
                "ca.crt": "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n",
                "secretName": "s"
            },
            "binaryData": {"x.bin": binary}
        })
    };
    check(
        map(
            "t0ken",
            "p w",
            "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----",
            "AAEC",
        ),
        map("[redacted]", "[redacted]", "[redacted]", "[redacted]"),
        &[
            ("ConfigMap", "binaryData.x.bin", "name", 1),
            ("ConfigMap", "data.API_TOKEN", "name", 1),
            ("ConfigMap", "data.application.yaml", "name", 1),
            ("ConfigMap", "data.bundle.pem", "private-key", 1),
        ],
    );
}

#[test]
fn applied_annotation_is_redacted_as_an_object() {
    let applied = |value: &str| {
        let object = json!({"kind": "Deployment", "spec": {"template": {"spec": {"containers": [
            {"env": [{"name": "A_TOKEN", "value": value}]}]}}}});
        json!({"kind": "Deployment", "metadata": {"annotations": {LAST_APPLIED: object.to_string(), "x/api-token": value}}})
    };
    check(
        applied("abc"),
        applied("[redacted]"),
        &[
            (
                "Deployment",
                "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration.spec.template.spec.containers[].env[].value",
                "name",
                1,
            ),
            ("Deployment", "metadata.annotations.x/api-token", "name", 1),
        ],
    );
    // Without a secret the text is unchanged, whitespace and order included.
    let same = json!({"kind": "Pod", "metadata": {"annotations": {LAST_APPLIED: "{\"kind\": \"Pod\",\n \"a\": 1}\n"}}});
    check(same.clone(), same, &[]);
    let broken = |value: &str| json!({"kind": "Pod", "metadata": {"annotations": {LAST_APPLIED: format!("{{\"token\": \"{value}\"")}}});
    check(
        broken("abc"),
        broken("[redacted]"),
        &[(
            "Pod",
            "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration",
            "name",
            1,
        )],
    );
}

#[test]
fn secrets_lose_all_values() {
    let secret = |key: &str, text: &str| {
        let applied = json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": key}}).to_string();
        json!({"kind": "Secret", "metadata": {"name": "s", "annotations": {LAST_APPLIED: applied}}, "type": "kubernetes.io/tls",
            "data": {"tls.key": key, "empty": ""}, "stringData": {"b": text}})
    };
    check(
        secret("LS0tLS1CRUdJTg==", "x"),
        secret("[redacted]", "[redacted]"),
        &[
            ("Secret", "data.tls.key", "name", 1),
            (
                "Secret",
                "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration.data.a",
                "name",
                1,
            ),
            ("Secret", "stringData.b", "name", 1),
        ],
    );
}

#[test]
fn custom_resources_are_judged_by_names_and_values() {
    let custom = |password: &str, secret: &str, key: &str, message: &str| {
        json!({"apiVersion": "db.example.com/v1", "kind": "Database", "metadata": {"name": "token"},
            "spec": {"adminPassword": password, "passwordSecretRef": {"name": "s", "key": "password"}, "clientSecret": secret, "tlsSecret": "my-tls",
                "encryptionKey": key, "secretKey": "password", "partitionKey": "Id7", "port": 5432,
                "schema": {"properties": {"password": {"type": "string"}}}}, "status": {"message": message}})
    };
    check(
        custom("p", "s3cr3tV4lue", "0aB1", "cannot reach redis://:pw@h"),
        custom(
            "[redacted]",
            "[redacted]",
            "[redacted]",
            "cannot reach redis://:[redacted]@h",
        ),
        &[
            ("Database", "spec.adminPassword", "name", 1),
            ("Database", "spec.clientSecret", "name", 1),
            ("Database", "spec.encryptionKey", "name", 1),
            ("Database", "status.message", "url-password", 1),
        ],
    );
    for mut value in [json!(null), json!("text"), json!([1])] {
        let before = value.clone();
        redact_alone(&mut value);
        assert_eq!(value, before);
    }
}

#[test]
fn schemas_of_custom_resources_stay() {
    let same = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": {"versions": [{"schema":
        {"openAPIV3Schema": {"properties": {"spec": {"properties": {
            "password": {"type": "string", "description": "password: the password of the user. token=abc"},
            "secretKey": {"type": "string", "default": "password"}}}}}}}]}});
    check(same.clone(), same, &[]);
}

/// The ConfigMap with a run's plugins holds container specifications.
#[test]
fn definitions_in_a_config_map_lose_what_pods_lose() {
    let map = |value: &str| {
        let definition = format!(
            "sonobuoy-config:\n  driver: Job\n  plugin-name: p\nspec:\n  env:\n  - name: API_TOKEN\n    value: {value}\n  - name: MODE\n    value: fast\n  name: c\n"
        );
        json!({"kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"plugin-0.yaml": definition, "other.yaml": "a: 1 # kept\n"}})
    };
    check(
        map("hunter2"),
        map("[redacted]"),
        &[("ConfigMap", "data.plugin-0.yaml", "name", 1)],
    );
}

#[test]
fn object_beyond_its_time_is_replaced_and_counted() {
    let mut object = json!({"kind": "Pod", "status": {"message": "first text", "reason": "another text"}});
    let calls = std::cell::Cell::new(0);
    let clock = || {
        calls.set(calls.get() + 1);
        Duration::from_secs(if calls.get() > 3 { 60 } else { 0 })
    };
    let mut redactions = Redactions::default();
    Redactor::default().object(&mut object, &clock, &mut redactions);
    assert_eq!(
        object,
        json!({"kind": "Pod", "status": {"message": "first text", "reason": "[redacted]"}})
    );
    assert_eq!(redactions.by_rule().get("limit"), Some(&1));
}
