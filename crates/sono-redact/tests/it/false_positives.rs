//! Ordinary texts stay as they are.

use std::time::Duration;

use serde_json::json;
use sono_redact::{Layers, Redactions, Redactor};

#[test]
fn ordinary_logs_stay() {
    let text = r#"
[sig-auth] ServiceAccounts should mount an API token into pods [Conformance]
[sig-storage] Secrets should be consumable from pods in volume with defaultMode set [LinuxOnly] [NodeConformance] [Conformance]
[sig-storage] Projected secret should be consumable in multiple volumes in a pod [NodeConformance] [Conformance]
[sig-api-machinery] ResourceQuota should create a ResourceQuota and capture the life of a secret. [Conformance]
[sig-node] Secrets should fail to create secret due to empty secret key [NodeConformance] [Conformance]
--- PASS: TestPasswordHash (0.00s)
INFO: Pod "pod-projected-secrets-4df4c370-3683-4c1c-9fe1-037c7059cdd2": Phase="Pending", Reason="", readiness=false
INFO: Pod "pod-subpath-test-secret-7hhr": Phase="Running" Pod "my-token": Phase="Running"
PASS: 12 FAIL: 0
    secrets_test.go:42: token: expected "a", got "b"
I1130 10:00:00.000000       1 reflector.go:351] Caches populated for *v1.Secret from k8s.io/client-go/informers/factory.go:160
E1130 10:00:00.000000       1 authentication.go:73] "Unable to authenticate the request" err="[invalid bearer token, service account token has expired]"
W1130 10:00:00.000000       1 reflector.go:561] failed to list *v1.Secret: secrets is forbidden: User "system:node:n1" cannot list resource "secrets"
I1130 10:00:00.000000       1 event.go:389] "Event occurred" object="default/my-tls" kind="Secret" reason="Issued" key="default/my-tls"
I1130 10:00:00.000000       1 controller.go:1] "reconciling" secret="cert-manager/my-tls" namespace="cert-manager"
I1130 10:00:00.000000       1 leaderelection.go:250] attempting to acquire leader lease kube-system/kube-scheduler...
time="2026-11-30T10:00:00Z" level=info msg="using token file /var/run/secrets/kubernetes.io/serviceaccount/token"
level=warn msg="unexpected token: end of file" token_count=12 max_tokens=4096
Error from server (NotFound): secrets "my-secret" not found
error validating token: unauthorized
"the password is wrong", password authentication failed for user "shop"
https://example.com:8443/a@b ssh://git@example.com docker-pullable://busybox:1.36@sha256:0123456789abcdef0123456789abcdef
registry.k8s.io/pause:3.10@sha256:ee6521f290b2168b6e0935a181d4cff9be1ac3f505666ef0e3c98fae8199917a
GET /api/v1/namespaces/kube-system/secrets?limit=500&resourceVersion=0 200 3ms
--token-auth-file=/etc/kubernetes/tokens.csv --service-account-key-file=/etc/kubernetes/pki/sa.pub --tls-private-key-file=/etc/kubernetes/pki/apiserver.key
--bootstrap-token-auth=true --requestheader-allowed-names=front-proxy-client --use-service-account-credentials=true
0000000000000000000000000000000000000000000000000000000000000000 aaaaaaaaaaaa
cache_key=abc partition_key=7 "key":"node.kubernetes.io/not-ready" topologyKey: kubernetes.io/hostname
Unable to use bearer authentication-configuration here, basic information: none
10.96.0.1:443:foo:bar 12:34:56 a::b::c token::Kind
password: ${PASSWORD} token: /var/run/token secret: true apiKey: {{ .Values.key }} token: <none>
tokenTTL: 24h secretName: my-secret passwordFile: /etc/p
"#;
    let redactor = Redactor::default();
    let mut found = Vec::new();
    for line in text.lines() {
        let mut redactions = Redactions::default();
        let out = redactor.text(line, Layers::All, &mut redactions);
        if out != line {
            found.push(out.into_owned());
        }
    }
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(redactor.text(text, Layers::All, &mut Redactions::default()), text);
}

#[test]
fn ordinary_objects_stay() {
    for object in [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}, "secrets": [{"name": "a-token-x1y2z"}], "imagePullSecrets": [{"name": "registry"}]}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": {"tls": [{"hosts": ["a.example.com"], "secretName": "a-tls"}]}}),
        json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "spec": {"secretName": "a-tls", "privateKey": {"algorithm": "ECDSA", "rotationPolicy": "Always"}, "issuerRef": {"name": "ca"}}}),
        json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "spec": {"data": [{"secretKey": "password", "remoteRef": {"key": "shop/db", "property": "password"}}], "secretStoreRef": {"name": "store"}}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "token", "annotations": {"deployment.kubernetes.io/revision": "1"}},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "registry.example.com/token:1", "args": ["--secret-name", "s", "--token-ttl=1h", "--v=2"],
                "env": [{"name": "TOKEN_PATH", "value": "/var/token"}, {"name": "MAX_TOKENS", "value": "12"}, {"name": "PARTITION_KEY", "value": "id"}]}]}}}}),
        json!({"apiVersion": "v1", "kind": "Node", "status": {"images": [{"names": ["a@sha256:0123456789abcdef"]}], "nodeInfo": {"bootID": "0b2f1c3e-1111-2222-3333-444455556666"}}}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": [{"resources": ["secrets", "tokenreviews"], "verbs": ["get"]}]}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kubeadm-config"}, "data": {"ClusterConfiguration": "apiServer:\n  extraArgs:\n  - name: authorization-mode\n    value: Node,RBAC\ncertificatesDir: /etc/kubernetes/pki\nencryptionAlgorithm: RSA-2048\nkind: ClusterConfiguration\n"}}),
    ] {
        let mut redacted = object.clone();
        Redactor::default().object(&mut redacted, &|| Duration::ZERO, &mut Redactions::default());
        assert_eq!(redacted, object);
    }
}
