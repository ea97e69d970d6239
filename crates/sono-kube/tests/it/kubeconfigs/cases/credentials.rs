//! Cases of credentials: tokens, passwords, certificates, plugins.

use super::{Case, World, case, config, credential};
use crate::kubeconfigs::world::data;

pub(super) fn tokens(world: &World) -> Vec<Case> {
    let with = |user: &str| config(&world.cluster(), user);
    vec![
        case("token: file with a line end", with("tokenFile: DIR/token")).with("token", "abc.def\n"),
        case(
            "token: file with blanks and CRLF, relative",
            with("tokenFile: sub/../sub/token"),
        )
        .with("sub/token", " \tabc\r\n\r\n"),
        case(
            "token: in the kubeconfig and in a file",
            with("token: inline\ntokenFile: token"),
        )
        .with("token", "of-the-file\n"),
        case(
            "token: in the kubeconfig, file missing",
            with("token: inline\ntokenFile: none"),
        ),
        case(
            "token: empty, and a certificate",
            with(&format!(
                "token: ''\ntokenFile: ''\n{}{}",
                data("client-certificate-data", world.client.pem()),
                data("client-key-data", &world.client.key_pem())
            )),
        ),
        case(
            "token: and a certificate",
            with(&format!(
                "token: t\n{}{}",
                data("client-certificate-data", world.client.pem()),
                data("client-key-data", &world.client.key_pem())
            )),
        ),
        case("token: of two lines", with("token: \"a\\nb\"")),
        case("token: with a line end", with("token: |\n  abc")),
        case("basic: user and password", with("username: jane\npassword: 'a:b c'")),
        case("basic: user without a password", with("username: jane")),
        case("basic: password that is empty", with("username: jane\npassword: ''")),
    ]
}

pub(super) fn certificates(world: &World) -> Vec<Case> {
    let trusting = |server: &sono_testkit::WhoamiServer, pem: &str, more: &str| {
        let authority = data("certificate-authority-data", pem);
        config(
            &format!("server: https://localhost:{}\n{authority}{more}", server.port()),
            "",
        )
    };
    let (own, own_server) = &world.own;
    let (lonely, lonely_server) = &world.lonely;
    let (expired, expired_server) = &world.expired;
    let insecure = |server: &sono_testkit::WhoamiServer| {
        config(
            &format!(
                "server: https://127.0.0.1:{}\ninsecure-skip-tls-verify: true",
                server.port()
            ),
            "",
        )
    };
    vec![
        case("tls: authority that serves itself", trusting(own_server, own.pem(), "")),
        case(
            "tls: authority that serves itself, by address",
            config(
                &format!(
                    "server: https://127.0.0.1:{}\ncertificate-authority: own.pem",
                    own_server.port()
                ),
                "",
            ),
        )
        .with("own.pem", own.pem()),
        case(
            "tls: authority that serves itself, another name",
            trusting(own_server, own.pem(), "tls-server-name: other.test"),
        ),
        case(
            "tls: the server's own certificate",
            trusting(&world.secure, world.leaf.pem(), ""),
        ),
        case(
            "tls: signed by itself, no authority",
            trusting(lonely_server, lonely.pem(), ""),
        ),
        case(
            "tls: the server's own certificate, expired",
            trusting(expired_server, expired.pem(), ""),
        ),
        case(
            "tls: expired, by the authority",
            trusting(expired_server, world.authority.pem(), ""),
        ),
        case(
            "tls: another authority",
            trusting(&world.secure, world.other_authority.pem(), ""),
        ),
        case(
            "tls: tls-server-name",
            trusting(
                &world.renamed,
                world.authority.pem(),
                "tls-server-name: kubernetes.internal",
            ),
        ),
        case(
            "tls: certificate of another authority's authority",
            trusting(&world.intermediate, world.authority.pem(), ""),
        ),
        case(
            "tls: tls-server-name is missing",
            trusting(&world.renamed, world.authority.pem(), ""),
        ),
        case(
            "tls: tls-server-name is an address",
            trusting(&world.secure, world.authority.pem(), "tls-server-name: 0.0.0.0"),
        ),
        case(
            "tls: tls-server-name is empty",
            trusting(&world.secure, world.authority.pem(), "tls-server-name: ''"),
        ),
        case("tls: insecure, expired", insecure(expired_server)),
        case("tls: insecure, another name", insecure(&world.renamed)),
        case(
            "tls: insecure and an authority",
            trusting(expired_server, world.authority.pem(), "insecure-skip-tls-verify: true"),
        ),
        case(
            "tls: insecure in the words of YAML 1.1",
            insecure(own_server).replace("verify: true", "verify: yes"),
        ),
        case(
            "tls: IPv6 address",
            config(
                &format!("server: https://[::1]:{}\n{}", world.ipv6_port(), world.trust()),
                "",
            ),
        ),
    ]
}

pub(super) fn bundles(world: &World) -> Vec<Case> {
    let server = format!("server: https://127.0.0.1:{}\n", world.secure.port());
    let with = |name, bundle: String| {
        case(
            name,
            config(&format!("{server}certificate-authority: 'the authorities/ca.pem'"), ""),
        )
        .with("the authorities/ca.pem", bundle)
    };
    let (authority, old, other) = (
        world.authority.pem(),
        world.expired_authority.pem(),
        world.other_authority.pem(),
    );
    let (certificate, key) = (world.client.pem(), world.client.key_pem());
    let files = |name, certificate: String, key: String| {
        case(
            name,
            config(
                &world.cluster(),
                "client-certificate: pki/client.pem\nclient-key: pki/client.key",
            ),
        )
        .with("pki/client.pem", certificate)
        .with("pki/client.key", key)
    };
    vec![
        with(
            "bundle: comments between",
            format!("# the first\nsubject=CN = x\n{other}\n\n# the second\n{authority}# the end"),
        ),
        with(
            "bundle: CRLF and blanks",
            format!("{other}{authority}").replace('\n', " \r\n"),
        ),
        with("bundle: mark in front", format!("\u{feff}{other}{authority}")),
        with(
            "bundle: expired and unreadable entries",
            format!("{old}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{authority}"),
        ),
        with("bundle: no line end at the end", authority.trim_end().to_owned()),
        with("bundle: a key in it", format!("{key}{authority}")),
        files(
            "bundle: certificate and key in files",
            certificate.to_owned(),
            key.clone(),
        ),
        files(
            "bundle: certificate with its authority",
            format!("# chain\n{certificate}{authority}"),
            key.clone(),
        ),
        files(
            "bundle: both in both files",
            format!("{key}{certificate}"),
            format!("{certificate}{key}"),
        ),
        files(
            "bundle: key with another label",
            certificate.to_owned(),
            key.replace("PRIVATE KEY", "EC PRIVATE KEY"),
        ),
        files(
            "bundle: key after its parameters",
            certificate.to_owned(),
            format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{key}"),
        ),
    ]
}

pub(super) fn plugins(world: &World) -> Vec<Case> {
    let exec = |more: &str| {
        config(
            &world.cluster(),
            &format!(
                "exec:\n  interactiveMode: Never\n{}",
                more.lines().flat_map(|line| ["  ", line, "\n"]).collect::<String>()
            ),
        )
    };
    let (v1, beta) = (
        "apiVersion: client.authentication.k8s.io/v1\n",
        "apiVersion: client.authentication.k8s.io/v1beta1\n",
    );
    let certificate = serde_json::json!({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {
        "clientCertificateData": world.client.pem(), "clientKeyData": world.client.key_pem()}});
    let mut relative = case(
        "exec: command relative to the kubeconfig",
        exec(&format!("{v1}command: ./bin/helper\nargs: [DIR/script]")),
    )
    .with("script", format!("cat <<END\n{}END\n", credential("v1", "relative")));
    relative.links.push(("bin/helper", "/bin/sh"));
    vec![
        case("exec: v1", exec(&format!("{v1}command: cat\nargs: [DIR/credential]"))).with("credential", credential("v1", "one")),
        case("exec: v1beta1 with variables", exec(&format!("{beta}command: sh\nargs: ['DIR/script']\nenv:\n- {{name: WORD, value: two}}\n- {{name: EMPTY, value: ''}}")))
            .with("script", format!("cat <<END\n{}END\n", credential("v1beta1", "$WORD$EMPTY"))),
        case("exec: cluster information", exec(&format!("{v1}command: sh\nargs: [DIR/script]\nprovideClusterInfo: true"))).with(
            "script",
            format!(
                "case \"$KUBERNETES_EXEC_INFO\" in\n*'\"server\":\"https://127.0.0.1:{}\"'*'\"certificate-authority-data\":'*|*'\"certificate-authority-data\":'*'\"server\":\"https://127.0.0.1:{}\"'*) ;;\n*) echo no >&2; exit 1 ;;\nesac\ncat <<END\n{}END\n",
                world.secure.port(), world.secure.port(), credential("v1", "informed")
            ),
        ),
        relative,
        case("exec: another PATH for the plugin", exec(&format!("{v1}command: sh\nargs: [DIR/script]\nenv:\n- {{name: PATH, value: /nowhere}}")))
            .with("script", format!("echo '{}'\n", credential("v1", "path").trim())),
        case("exec: client certificate", exec(&format!("{v1}command: cat\nargs: [DIR/credential]"))).with("credential", certificate.to_string()),
        case("exec: answer in many lines with a date", exec(&format!("{v1}command: cat\nargs: [DIR/credential]"))).with("credential", "{\n  \"kind\": \"ExecCredential\",\n  \"apiVersion\": \"client.authentication.k8s.io/v1\",\n  \"spec\": {\"interactive\": false},\n  \"status\": {\"expirationTimestamp\": \"2199-01-01T00:00:00Z\", \"token\": \"dated\"}\n}\n"),
        case("exec: token counts before", exec(&format!("{v1}command: 'false'\n")).replace("  user:\n", "  user:\n    token: inline\n")),
        case(
            "exec: absolute path and a terminal if there is one",
            exec(&format!("{v1}command: /bin/cat\nargs: [DIR/credential]")).replace("Mode: Never", "Mode: IfAvailable"),
        )
        .with("credential", credential("v1", "absolute")),
        case(
            "exec: v1beta1 without a mode",
            exec(&format!("{beta}command: cat\nargs: [DIR/credential]")).replace("interactiveMode: Never", "unknown: 1"),
        )
        .with("credential", credential("v1beta1", "beta")),
        case("exec: token and certificate", exec(&format!("{v1}command: cat\nargs: [DIR/credential]"))).with(
            "credential",
            certificate.to_string().replace("\"status\":{", "\"status\":{\"token\":\"both\","),
        ),
        case("exec: credential that has expired", exec(&format!("{v1}command: cat\nargs: [DIR/credential]"))).with(
            "credential",
            credential("v1", "old").replace("\"token\"", "\"expirationTimestamp\":\"2001-01-01T00:00:00Z\",\"token\""),
        ),
        case("exec: answer as YAML", exec(&format!("{v1}command: cat\nargs: [DIR/credential]"))).with(
            "credential",
            "kind: ExecCredential\napiVersion: client.authentication.k8s.io/v1\nstatus:\n  token: yaml\n",
        ),
        case("exec: empty answer", exec(&format!("{v1}command: 'true'"))),
        case("exec: and a client certificate", exec(&format!("{v1}command: cat\nargs: [DIR/credential]")).replace(
            "  user:\n",
            "  user:\n    client-certificate: client.pem\n    client-key: client.key\n",
        ))
        .with("credential", credential("v1", "unused"))
        .with("client.pem", world.client.pem())
        .with("client.key", world.client.key_pem()),
        case("exec: missing program", exec(&format!("{v1}command: no-such-helper\ninstallHint: install it"))),
        case("exec: missing program of another user", config(&world.cluster(), "token: t") + "- name: v\n  user:\n    exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-helper, interactiveMode: Never}\n"),
        case("exec: failing program", exec(&format!("{v1}command: 'false'"))),
    ]
}
