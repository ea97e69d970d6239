use serde_json::json;

use super::*;

fn check(mut object: Value, expected: Value, counted: &[(&str, &str, Reason, u64)]) {
    let mut redactions = Redactions::default();
    redact(&mut object, &mut redactions);
    assert_eq!(object, expected);
    let rows: Vec<_> = redactions
        .rows()
        .into_iter()
        .map(|row| (row.kind, row.path, row.reason, row.count))
        .collect();
    let counted: Vec<_> = counted
        .iter()
        .map(|(kind, path, reason, count)| ((*kind).to_owned(), (*path).to_owned(), *reason, *count))
        .collect();
    assert_eq!(rows, counted);
    // A second pass changes nothing.
    let mut again = Redactions::default();
    redact(&mut object, &mut again);
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
            ("Pod", "spec.containers[].args[]", Reason::Name, 2),
            ("Pod", "spec.containers[].env[].value", Reason::Name, 2),
            ("Pod", "spec.containers[].env[].value", Reason::OwnCertificate, 1),
            ("Pod", "spec.containers[].env[].value", Reason::UrlPassword, 1),
            (
                "Pod",
                "spec.containers[].livenessProbe.httpGet.httpHeaders[].value",
                Reason::Name,
                1,
            ),
        ],
    );
}

#[test]
fn config_maps_lose_secrets_only() {
    let map = |token: &str, password: &str, key: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"},
            "data": {
                "API_TOKEN": token,
                "application.yaml": format!("db:\n  user: u\n  password: {password}\n  tokenTTL: 24h\n"),
                "bundle.pem": format!("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n{key}"),
                "ca.crt": "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n",
                "secretName": "s"
            },
            "binaryData": {"x.bin": "AAEC"}
        })
    };
    check(
        map(
            "t0ken",
            "p w",
            "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----",
        ),
        map("[redacted]", "[redacted]", "[redacted]"),
        &[
            ("ConfigMap", "data.API_TOKEN", Reason::Name, 1),
            ("ConfigMap", "data.application.yaml", Reason::Name, 1),
            ("ConfigMap", "data.bundle.pem", Reason::PrivateKey, 1),
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
                Reason::Name,
                1,
            ),
            ("Deployment", "metadata.annotations.x/api-token", Reason::Name, 1),
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
            Reason::Name,
            1,
        )],
    );
}

#[test]
fn named_secrets_are_shown_but_not_those_of_our_runs() {
    let secret = |label: &str, value: &str| {
        json!({"kind": "Secret", "metadata": {"labels": {"component": label}}, "type": "kubernetes.io/tls",
            "data": {"tls.key": value}})
    };
    let key = "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCg==";
    check(secret("shop", key), secret("shop", key), &[]);
    check(
        secret("sonobuoy", key),
        secret("sonobuoy", "[redacted]"),
        &[("Secret", "data.tls.key", Reason::Name, 1)],
    );
}

#[test]
fn other_objects_are_judged_by_plain_names_and_shapes() {
    let custom = |password: &str, message: &str| {
        json!({"kind": "Database", "spec": {"adminPassword": password, "passwordSecretRef": {"name": "s"}, "token": "t",
            "schema": {"properties": {"password": {"type": "string"}}}}, "status": {"message": message}})
    };
    check(
        custom("p", "cannot reach redis://:pw@h"),
        custom("[redacted]", "cannot reach redis://:[redacted]@h"),
        &[
            ("Database", "spec.adminPassword", Reason::Name, 1),
            ("Database", "status.message", Reason::UrlPassword, 1),
        ],
    );
    for mut value in [json!(null), json!("text"), json!([1])] {
        let before = value.clone();
        redact(&mut value, &mut Redactions::default());
        assert_eq!(value, before);
    }
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
        map("\"[redacted]\""),
        &[("ConfigMap", "data.plugin-0.yaml.spec.env[].value", Reason::Name, 1)],
    );
}
