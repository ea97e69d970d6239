//! Kubeconfigs up to the client, proxy variables, and the output of credential plugins.

use jiff::Timestamp;
use sono_kube::{Environment, check_credential, check_kubeconfig};

use super::Target;

pub(super) const KUBECONFIG: Target = Target {
    name: "kubeconfig",
    run: |input| {
        check(input, &Environment::default());
    },
    seeds,
    dictionary: &[
        "current-context: c\n",
        "server: ",
        "https://",
        "[::1]:6443",
        "user:p%40ss@",
        "proxy-url: socks5://127.0.0.1:1080\n",
        "tls-server-name: a.b\n",
        "insecure-skip-tls-verify: yes\n",
        "certificate-authority-data: !!binary |\n",
        "client-key-data: ",
        "as-user-extra: {a: [b]}\n",
        "as: \"\\u0000\"\n",
        "username: ",
        "token: \"a\\nb\"\n",
        "server: b\u{fc}cher:1\n",
        "auth-provider: {name: oidc, config: ~}\n",
        "exec: {command: x, env: [{name: a, value: 1}]}\n",
        "&a",
        "*a",
        "<<: ",
        "null",
        "~",
        "\u{feff}",
        "\0",
    ],
};

pub(super) const PROXY: Target = Target {
    name: "proxy-variables",
    // The first line is the server, the others are proxy variables.
    run: |input| {
        let text = String::from_utf8_lossy(input);
        let mut lines = text.lines();
        let server = lines.next().unwrap_or_default();
        let names = [
            "HTTPS_PROXY",
            "NO_PROXY",
            "HTTP_PROXY",
            "https_proxy",
            "no_proxy",
            "http_proxy",
        ];
        let environment: Environment = names.into_iter().zip(lines).collect();
        let server = serde_json::Value::from(server);
        let config = format!(
            "{{\"current-context\":\"c\",\"contexts\":[{{\"name\":\"c\",\"context\":{{\"cluster\":\"c\"}}}}],\"clusters\":[{{\"name\":\"c\",\"cluster\":{{\"insecure-skip-tls-verify\":true,\"server\":{server}}}}}]}}"
        );
        check(config.as_bytes(), &environment);
    },
    seeds: || {
        [
            "https://api.example.org:6443\nhttp://user:pass@proxy.corp:3128\n*.example.net, 10.0.0.0/8,,[::1]:443,a b",
            "api.example.org\nsocks5h://[::1]\n*\nproxy\n127.0.0.1:80",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
    },
    dictionary: &[
        "http://",
        "https://",
        "socks5://",
        "://",
        "[",
        "]",
        "]:",
        "::1",
        "::ffff:10.0.0.1",
        "/8",
        "/129",
        "*",
        "*.",
        ".",
        ",",
        "@",
        "%40",
        "%",
        ":99999",
        "\u{e9}",
        "\n",
    ],
};

/// Standard output of a credential plugin (`ExecCredential`).
pub(super) const CREDENTIAL: Target = Target {
    name: "exec-credential",
    run: |input| {
        let Err(error) = check_credential(input) else { return };
        let message = sono_types::error_chain(&error);
        // Errors never contain a token.
        for part in input
            .split(|byte| !byte.is_ascii_alphanumeric())
            .filter(|part| part.starts_with(b"SECRET"))
        {
            let part = String::from_utf8_lossy(part);
            assert!(!message.contains(&*part), "{part} is in the message: {message}");
        }
    },
    seeds: || {
        let authority = sono_tls::Authority::new(Timestamp::UNIX_EPOCH).expect("a CA");
        let status = serde_json::json!({"token": "SECRET1", "expirationTimestamp": "2030-01-01T00:00:00Z",
            "clientCertificateData": authority.certificate_pem(), "clientKeyData": authority.key_pem()});
        let answer = serde_json::json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "status": status});
        let other =
            "kind: ExecCredential\nstatus:\n  token: SECRET2\n  expirationTimestamp: 2030-01-01T00:00:00+02:00\n";
        vec![answer.to_string().into_bytes(), other.as_bytes().to_vec()]
    },
    dictionary: &[
        "\"status\":",
        "\"token\":",
        "\"SECRET3\"",
        "\"clientCertificateData\":",
        "\"clientKeyData\":",
        "\"expirationTimestamp\":",
        "-----BEGIN CERTIFICATE-----\\n",
        "-----BEGIN RSA PRIVATE KEY-----\\n",
        "-----END EC PRIVATE KEY-----\\n",
        "+9999-12-31T23:59:60Z",
        "null",
        "~",
        "{}",
        "[]",
        "\\u0000",
        "\u{feff}",
        "\0",
    ],
};

/// Checks a kubeconfig in a runtime of its own: a client starts a task, which ends with the runtime.
fn check(config: &[u8], environment: &Environment) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    if let Ok(server) = check_kubeconfig(config, environment) {
        assert_server(&server);
    }
}

/// Checks that the URL has a host: the client panics without one.
fn assert_server(server: &str) {
    let scheme = server
        .strip_prefix("https://")
        .or_else(|| server.strip_prefix("http://"));
    assert!(
        scheme.is_some_and(|rest| !rest.starts_with('/')),
        "a server without a host: {server}"
    );
}

fn seeds() -> Vec<Vec<u8>> {
    let authority = sono_tls::Authority::new(Timestamp::UNIX_EPOCH).expect("a CA");
    let (certificate, key) = (authority.certificate_pem(), authority.key_pem());
    // PEM is also accepted without base64, so that mutations reach the certificates.
    let block = |text: &str| text.lines().flat_map(|line| ["      ", line, "\n"]).collect::<String>();
    let whole = format!(
        "apiVersion: v1\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u, namespace: n}}}}]\nclusters:\n- name: c\n  cluster:\n    server: https://localhost:6443/a\n    certificate-authority-data: |\n{}users:\n- name: u\n  user:\n    as: jane\n    as-groups: [g]\n    client-certificate-data: |\n{}    client-key-data: |\n{}",
        block(certificate),
        block(certificate),
        block(key)
    );
    let others = [
        "{\"current-context\":\"c\",\"contexts\":[{\"name\":\"c\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"127.0.0.1:8080\",\"proxy-url\":\"http://p:1\",\"tls-server-name\":\"x\"}}],\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"t\"}}]}",
        "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://x', insecure-skip-tls-verify: yes}}]\nusers: [{name: u, user: {exec: {command: a/b, args: [1], env: [{name: a, value: b}], provideClusterInfo: true}}}]\n",
    ];
    let mut seeds = vec![whole.into_bytes()];
    seeds.extend(others.map(|text| text.as_bytes().to_vec()));
    seeds
}
