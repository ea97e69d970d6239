//! Cases of syntax: wrapped data, nulls, encodings, shapes.

use super::{Case, World, anonymous, case, config, credential};
use crate::kubeconfigs::world::{base64, data, wrapped};

pub(super) fn wrapped_data(world: &World) -> Vec<Case> {
    let server = format!("server: https://127.0.0.1:{}\n", world.secure.port());
    let authority = base64(world.authority.pem());
    let (left, right) = authority.split_at(76);
    let (certificate, key) = (base64(world.client.pem()), base64(world.client.key_pem()));
    let user = |style: &str| {
        wrapped("client-certificate-data", style, &certificate) + &wrapped("client-key-data", style, &key)
    };
    vec![
        case(
            "base64: authority in lines",
            config(
                &(server.clone() + &wrapped("certificate-authority-data", "|", &authority)),
                "",
            ),
        ),
        case(
            "base64: authority in lines with line ends",
            config(
                &(server.clone() + &wrapped("certificate-authority-data", "|+", &authority)),
                "",
            ),
        ),
        case(
            "base64: authority with escaped line ends",
            config(
                &format!("{server}certificate-authority-data: \"{left}\\r\\n{right}\\n\""),
                "",
            ),
        ),
        case(
            "base64: authority as !!binary of base64",
            config(
                &(server.clone() + &wrapped("certificate-authority-data", "!!binary |", &base64(&authority))),
                "",
            ),
        ),
        case(
            "base64: authority as !!binary",
            config(
                &(server.clone() + &wrapped("certificate-authority-data", "!!binary |", &authority)),
                "",
            ),
        ),
        case(
            "base64: certificate and key in lines",
            config(&world.cluster(), &user("|")),
        ),
        case(
            "base64: certificate and key, last line end dropped",
            config(&world.cluster(), &user("|-")),
        ),
        case(
            "base64: certificate and key folded",
            config(&world.cluster(), &user(">")),
        ),
    ]
}

pub(super) fn nulls(world: &World) -> Vec<Case> {
    let unused = "- name: old\n  user:\n    auth-provider: {name: gcp, config: null}\n- name: older\n  user: ~\n";
    let mut whole = config(
        &world.cluster(),
        "token: t\nas-groups: null\nas-user-extra: ~\nextensions: null",
    );
    whole.push_str(unused);
    let plugin = "exec:\n  apiVersion: client.authentication.k8s.io/v1\n  command: DIR/helper\n  args: null\n  env: null\n  installHint: null\n  interactiveMode: Never\n  provideClusterInfo: null";
    let mut bare = anonymous(&format!("server: http://127.0.0.1:{}", world.plain.port()));
    bare.truncate(bare.find("users:").unwrap());
    vec![
        case("null: auth-provider of another user, and lists", whole),
        case(
            "null: lists and hint of a plugin",
            config(&world.cluster(), plugin)
                .replace("DIR/helper", "cat")
                .replace("args: null", "args: [DIR/credential]"),
        )
        .with("credential", credential("v1", "from cat")),
        case(
            "null: users",
            bare.clone() + "users: null\npreferences: null\nextensions: ~\n",
        ),
        case(
            "null: user and namespace",
            bare.replace("user: u}", "user: null, namespace: null, extensions: null}") + "users: []\n",
        ),
        case(
            "null: fields of the cluster",
            config(
                &format!(
                    "{}tls-server-name: null\nproxy-url: null\ncertificate-authority: ~\ninsecure-skip-tls-verify: null\nextensions: null\ndisable-compression: null",
                    world.cluster()
                ),
                "username: null\npassword: ~\ntoken: t",
            ),
        ),
        case(
            "null: entries of lists",
            config(&world.cluster(), "token: t")
                .replace("contexts:\n", "contexts:\n- {name: other, context: null}\n")
                .replace("clusters:\n", "clusters:\n- {name: other, cluster: null}\n"),
        ),
    ]
}

pub(super) fn encodings(world: &World) -> Vec<Case> {
    let text = config(&world.cluster(), "token: t");
    let marked = format!("\u{feff}{text}");
    let units: Vec<u16> = marked.encode_utf16().collect();
    vec![
        case("encoding: UTF-8 with a mark", marked.clone()),
        case("encoding: UTF-8 with a mark and CRLF", marked.replace('\n', "\r\n")),
        case(
            "encoding: UTF-16 LE",
            units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<u8>>(),
        ),
        case(
            "encoding: UTF-16 BE",
            units.iter().flat_map(|unit| unit.to_be_bytes()).collect::<Vec<u8>>(),
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
pub(super) fn shapes(world: &World) -> Vec<Case> {
    let whole = config(&world.cluster(), "token: t");
    let authority = base64(world.authority.pem());
    let json = format!(
        "{{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Config\",\n\t\"current-context\": \"c\",\n\t\"contexts\": [{{\"name\": \"c\", \"context\": {{\"cluster\": \"c\", \"user\": \"u\"}}}}],\n\t\"clusters\": [{{\"name\": \"c\", \"cluster\": {{\"server\": \"https://127.0.0.1:{}\", \"certificate-authority-data\": \"{authority}\"}}}}],\n\t\"users\": [{{\"name\": \"u\", \"user\": {{\"token\": \"t\"}}}}]\n}}\n",
        world.secure.port()
    );
    let plain = config(&format!("server: http://127.0.0.1:{}", world.plain.port()), "");
    let anchored = whole.replace("user:\n    token: t", "user: &u {token: t}") + "- name: v\n  user: {<<: *u}\n";
    let mut merged = anchored.replace("user: u}", "user: v}");
    merged.push_str("x-anchors: [*u]\n");
    vec![
        case("shape: JSON with tabs", json.clone()),
        case("shape: JSON in one line", json.replace(['\n', '\t'], "")),
        case("shape: anchors and merged maps", merged),
        case(
            "shape: unknown fields",
            whole
                .replace("current-context", "unknown: {a: [1, {b: ~}]}\ncurrent-context")
                .replace("    token: t", "    token: t\n    more: [x]\n    nested: {b: 1}")
                .replace("  context: {", "  more: 1\n  context: {z: 2, "),
        ),
        case(
            "shape: no version and no kind",
            whole.replace("apiVersion: v1\nkind: Config\n", ""),
        ),
        case(
            "shape: two documents",
            format!("{whole}---\ncurrent-context: other\nusers: [{{name: u, user: {{token: second}}}}]\n"),
        ),
        case(
            "shape: keys that stand twice",
            whole.replace("    token: t", "    token: first\n    token: second"),
        ),
        case(
            "shape: names that stand twice",
            whole.clone() + "- name: u\n  user: {token: second}\n",
        ),
        case(
            "shape: directive, document marks and comments",
            format!("%YAML 1.1\n# first\n---\n{whole}...\n# last\n"),
        ),
        case(
            "shape: tags and quotes",
            whole
                .replace("token: t", "token: !!str \"t\"")
                .replace("cluster: c,", "cluster: !!str 'c',"),
        ),
        case(
            "shape: token folded and in lines",
            whole.replace("token: t", "token: >-\n      t"),
        ),
        case(
            "shape: quoted keys",
            whole
                .replace("    token: t", "    \"token\": 't'")
                .replace("current-context:", "'current-context' :"),
        ),
        case(
            "shape: lists indented",
            whole.replace(
                "\n- name: u\n  user:\n    token",
                "\n  - name: u\n    user:\n      token",
            ),
        ),
        case(
            "shape: key of a map that is complex",
            whole.clone() + "? extra\n: {a: 1}\n",
        ),
        case(
            "shape: empty current context",
            whole.replace("current-context: c", "current-context: ''"),
        ),
        case("shape: context without a user", plain.replace(", user: u}", "}")),
        case(
            "shape: context with an unknown user",
            plain.replace(", user: u}", ", user: none}"),
        ),
        case(
            "shape: names with blanks and slashes",
            whole
                .replace("name: c", "name: 'arn:aws:eks/c 1'")
                .replace("current-context: c", "current-context: 'arn:aws:eks/c 1'")
                .replace("cluster: c,", "cluster: 'arn:aws:eks/c 1',"),
        ),
        case(
            "shape: directory named ~",
            config(
                &format!(
                    "server: https://127.0.0.1:{}\ncertificate-authority: ~/ca.pem",
                    world.secure.port()
                ),
                "",
            ),
        )
        .with("~/ca.pem", world.authority.pem()),
        case(
            "shape: key without a certificate",
            config(
                &world.cluster(),
                &format!("token: t\n{}", data("client-key-data", &world.client.key_pem())),
            ),
        ),
        case(
            "shape: extensions",
            whole
                .replace(
                    "clusters:\n- name: c\n",
                    "extensions: [{name: x, extension: {a: 1}}]\nclusters:\n- name: c\n",
                )
                .replace(
                    "    token: t",
                    "    token: t\n    extensions: [{name: z, extension: null}]",
                ),
        ),
        case("impersonation: user", config(&world.cluster(), "token: t\nas: jane")),
        case(
            "impersonation: groups, identifier and more",
            config(
                &world.cluster(),
                "token: t\nas: system:admin\nas-uid: '42'\nas-groups: [a, 'b c']\nas-user-extra: {reason: [a, b c], Example.org/Key: [z]}",
            ),
        ),
        case(
            "impersonation: groups without a user",
            config(&world.cluster(), "token: t\nas-groups: [a]"),
        ),
        case(
            "impersonation: by a certificate, no groups",
            config(
                &world.cluster(),
                &format!(
                    "as: jane\nas-groups: []\n{}{}",
                    data("client-certificate-data", world.client.pem()),
                    data("client-key-data", &world.client.key_pem())
                ),
            ),
        ),
    ]
}
