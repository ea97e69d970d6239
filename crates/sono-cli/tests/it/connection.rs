//! Connections to a cluster, and their errors. `sono-kube` tests unusual kubeconfigs.

use sono_testkit::{Identity, Template, Validity, WhoamiServer};

use crate::{bad_input::with_files, command, failure, finished};

fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "current-context: c\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

#[test]
fn credential_plugin_missing_is_named_with_its_install_hint() {
    let exec = |command: &str, hint: &str| {
        let user = format!("exec: {{apiVersion: client.authentication.k8s.io/v1, command: {command}{hint}}}");
        with_files(
            &[("k.yaml", &kubeconfig("server: 'http://127.0.0.1:9'", &user))],
            &["--kubeconfig", "k.yaml", "status"],
        )
    };
    assert_eq!(
        exec(
            "gke-gcloud-auth-plugin",
            ", installHint: 'Install it: gcloud components install gke-gcloud-auth-plugin'"
        ),
        failure(
            "error: cannot use the credential plugin `gke-gcloud-auth-plugin` of the kubeconfig\n  cause: no such program in PATH\n  hint:  Install it: gcloud components install gke-gcloud-auth-plugin\n"
        )
    );
    assert_eq!(
        exec("./bin/helper", ""),
        failure(
            "error: cannot use the credential plugin `./bin/helper` of the kubeconfig\n  cause: ./bin/helper: no such file\n"
        )
    );
    assert_eq!(
        exec("./k.yaml", ""),
        failure(
            "error: cannot use the credential plugin `./k.yaml` of the kubeconfig\n  cause: ./k.yaml is not an executable file\n"
        )
    );
    assert_eq!(
        exec(
            "/bin/sh, args: ['-c', 'echo first >&2; echo the login has expired >&2; echo a-token; exit 3'], interactiveMode: Never",
            ""
        ),
        failure(
            "error: cannot use the credential plugin `/bin/sh` of the kubeconfig\n  cause: exit status: 3: the login has expired\n"
        )
    );
    assert_eq!(
        exec(
            "/bin/sh, args: ['-c', 'while :; do echo an endless output of one line after the other; done'], interactiveMode: Never",
            ""
        ),
        failure(
            "error: cannot use the credential plugin `/bin/sh` of the kubeconfig\n  cause: its output is longer than 1048576 bytes\n"
        )
    );
}

#[test]
fn rejected_certificate_is_explained() {
    let authority = Identity::self_signed(&Template {
        name: "root",
        hosts: &[],
        authority: true,
        ..Template::default()
    });
    let other = Identity::self_signed(&Template {
        name: "other",
        hosts: &[],
        authority: true,
        ..Template::default()
    });
    let refused = |template: &Template<'_>, own: bool, trusted: Option<&Identity>, more: &str| {
        let server = if own {
            Identity::self_signed(template)
        } else {
            authority.issue(template)
        };
        let listener = WhoamiServer::secure([127, 0, 0, 1].into(), &server, &authority);
        let cluster = format!(
            "server: 'https://localhost:{}', certificate-authority: ca.pem{more}",
            listener.port()
        );
        let files = [
            ("k.yaml", kubeconfig(&cluster, "")),
            ("ca.pem", trusted.unwrap_or(&server).pem().to_owned()),
        ];
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        // --watch retries an error like this only after the server has answered.
        let finished = with_files(&files, &["--kubeconfig", "k.yaml", "status", "--watch"]);
        assert_eq!(finished.code, 1, "{}", finished.stderr);
        let port = listener.port().to_string();
        let hint = "\n  hint:  compare the server with certificate-authority and tls-server-name: kubectl config view --minify\n";
        let cause = finished.stderr.replace(&port, "PORT");
        let cause = cause.strip_prefix("error: cannot search for a run in namespace `sonobuoy`\n  cause: cannot verify the certificate of https://localhost:PORT\n  cause: ");
        let cause = cause.and_then(|cause| cause.strip_suffix(hint)).map(str::to_owned);
        cause.unwrap_or(finished.stderr)
    };
    let usual = Template::default();
    assert_eq!(
        refused(&usual, false, Some(&other), ""),
        "it is not signed by any of the configured authorities"
    );
    let past = Template {
        validity: Validity::Past,
        ..Template::default()
    };
    assert_eq!(
        refused(&past, false, Some(&authority), ""),
        "it expired on 2001-01-01T00:00:00Z"
    );
    assert_eq!(
        refused(&usual, false, Some(&authority), ", tls-server-name: other.test"),
        "it is not valid for other.test, only for localhost, 127.0.0.1"
    );
    // The same for certificates that are trusted directly.
    assert_eq!(refused(&past, false, None, ""), "it expired on 2001-01-01T00:00:00Z");
    let future = Template {
        validity: Validity::Future,
        ..Template::default()
    };
    assert_eq!(
        refused(&future, false, None, ""),
        "it is not valid before 2200-01-01T00:00:00Z: check this machine's clock"
    );
    let own = Template {
        authority: true,
        ..Template::default()
    };
    assert_eq!(
        refused(&own, true, None, ", tls-server-name: other.test"),
        "it is not valid for other.test, only for localhost, 127.0.0.1"
    );
    let client = Template {
        client: true,
        ..Template::default()
    };
    assert_eq!(
        refused(&client, false, None, ""),
        "it is not meant for servers (extended key usage)"
    );
    assert_eq!(
        refused(&own, false, Some(&authority), ""),
        "it is a CA certificate (CA:TRUE) that is not among the configured authorities"
    );
}

/// The system's certificate store, or the file in `SSL_CERT_FILE`.
#[test]
fn certificate_in_the_system_store_is_trusted_as_a_server_certificate() {
    let own = Identity::self_signed(&Template {
        authority: true,
        ..Template::default()
    });
    let server = WhoamiServer::secure([127, 0, 0, 1].into(), &own, &own);
    let directory = tempfile::tempdir().unwrap();
    let cluster = format!("server: 'https://localhost:{}'", server.port());
    fs_err::write(directory.path().join("k.yaml"), kubeconfig(&cluster, "token: t")).unwrap();
    fs_err::write(directory.path().join("store.pem"), own.pem()).unwrap();
    let version = |store: &str| {
        let mut command = command(directory.path());
        command
            .env("SSL_CERT_FILE", directory.path().join(store))
            .env("SSL_CERT_DIR", directory.path().join("none"));
        finished(
            &command
                .args(["--kubeconfig", "k.yaml", "version", "-o", "json"])
                .output()
                .unwrap(),
        )
    };
    let found = version("store.pem");
    assert!(found.stdout.contains("v1.37.2"), "{found:?}");
    let missing = version("none.pem");
    assert!(
        missing
            .stderr
            .contains("sets no certificate-authority, and the system's trust store is empty"),
        "{missing:?}"
    );
}
