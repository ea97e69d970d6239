//! The cases: kubeconfig files, variables, and a name that begins with the class.

#![expect(clippy::print_stderr, reason = "tests report skipped cases and responses")]

mod credentials;
mod forms;

use super::world::{ELSEWHERE, World};

/// A proxy address on which nothing listens.
const DEAD: &str = "http://127.0.0.1:9";

/// `DIR` in texts and variables stands for the directory of the case, which is also `HOME`.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
    /// Symbolic links and their targets.
    pub(super) links: Vec<(&'static str, &'static str)>,
    pub(super) variables: Vec<(&'static str, String)>,
    /// Whether `--kubeconfig` names the file `config`.
    pub(super) named: bool,
}

impl Case {
    fn with(mut self, name: &'static str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name, content.into()));
        self
    }

    fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Sets `KUBECONFIG` to this list of files.
    fn listed(mut self, list: &str) -> Self {
        self.named = false;
        self.variable("KUBECONFIG", list)
    }
}

/// A case with one file.
fn case(name: &'static str, config: impl Into<Vec<u8>>) -> Case {
    Case {
        name,
        files: vec![("config", config.into())],
        links: Vec::new(),
        variables: Vec::new(),
        named: true,
    }
}

fn indented(fields: &str) -> String {
    fields.lines().flat_map(|line| ["    ", line, "\n"]).collect()
}

/// A kubeconfig of one cluster and one user, by default with a token, since kubectl otherwise asks for a password.
fn config(cluster: &str, user: &str) -> String {
    let user = if user.is_empty() { "token: t" } else { user };
    format!(
        "{}  user:\n{}",
        anonymous(cluster).trim_end_matches("  user: {}\n"),
        indented(user)
    )
}

/// The kubeconfig without credentials.
fn anonymous(cluster: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\nclusters:\n- name: c\n  cluster:\n{}users:\n- name: u\n  user: {{}}\n",
        indented(cluster)
    )
}

fn credential(version: &str, token: &str) -> String {
    format!(
        "{{\"kind\":\"ExecCredential\",\"apiVersion\":\"client.authentication.k8s.io/{version}\",\"status\":{{\"token\":\"{token}\"}}}}\n"
    )
}

pub(super) fn cases(world: &World) -> Vec<Case> {
    let mut all = servers(world);
    all.extend(lists(world));
    all.extend(proxies(world));
    all.extend(proxy_fields(world));
    all.extend(forms::wrapped_data(world));
    all.extend(forms::nulls(world));
    all.extend(credentials::tokens(world));
    all.extend(credentials::certificates(world));
    all.extend(credentials::bundles(world));
    all.extend(credentials::plugins(world));
    all.extend(forms::encodings(world));
    all.extend(forms::shapes(world));
    if world.secure_ipv6.is_none() {
        eprintln!("this machine has no ::1: skipping the cases with IPv6");
        all.retain(|case| !case.name.contains("IPv6") && !case.name.contains("::1"));
    }
    all
}

fn servers(world: &World) -> Vec<Case> {
    let (port, plain, trust) = (world.secure.port(), world.plain.port(), world.trust());
    let (ipv6, proxy) = (world.ipv6_port(), world.proxy.address());
    vec![
        case(
            "server: host and port with an authority",
            config(&format!("server: 127.0.0.1:{port}\n{trust}"), ""),
        ),
        case(
            "server: host and port with an authority, but http",
            anonymous(&format!("server: 127.0.0.1:{plain}\n{trust}")),
        ),
        case(
            "server: host and port without TLS data",
            anonymous(&format!("server: 127.0.0.1:{plain}")),
        ),
        case(
            "server: localhost and port without TLS data",
            anonymous(&format!("server: localhost:{plain}")),
        ),
        case(
            "server: IPv6 address and port with an authority",
            config(&format!("server: '[::1]:{ipv6}'\n{trust}"), ""),
        ),
        case(
            "server: host and port, insecure",
            config(&format!("server: localhost:{port}\ninsecure-skip-tls-verify: true"), ""),
        ),
        case(
            "server: scheme in capitals and a slash",
            config(&format!("server: HTTPS://localhost:{port}/\n{trust}"), ""),
        ),
        case(
            "server: path",
            config(
                &format!("server: https://localhost:{port}/k8s/clusters/c-1/\n{trust}"),
                "",
            ),
        ),
        case(
            "server: path, query and fragment",
            config(&format!("server: https://localhost:{port}/a?x=1#y\n{trust}"), ""),
        ),
        case(
            "server: user and password",
            anonymous(&format!("server: http://jane:p%40ss@localhost:{plain}")),
        ),
        case(
            "server: final dot",
            config(
                &format!("server: https://{ELSEWHERE}.:{port}\n{trust}proxy-url: http://{proxy}"),
                "",
            ),
        ),
    ]
}

fn lists(world: &World) -> Vec<Case> {
    let whole = config(&world.cluster(), "token: first");
    let broken = config("server: https://127.0.0.1:9", "token: second");
    let cluster = format!(
        "clusters:\n- name: c\n  cluster:\n    server: https://127.0.0.1:{}\n    certificate-authority: ca.pem\n",
        world.secure.port()
    );
    let context = "contexts:\n- {name: c, context: {cluster: c, user: u}}\n";
    let users = "users:\n- {name: u, user: {tokenFile: token}}\ncurrent-context: c\n";
    vec![
        case("list: missing file first", whole.clone()).listed("DIR/none:DIR/config"),
        case("list: missing file last", whole.clone()).listed("DIR/config:DIR/none"),
        case("list: empty file and empty names", whole.clone())
            .with("empty", "")
            .listed(":DIR/empty::DIR/config:"),
        case("list: file of comments", whole.clone())
            .with("comments", "# nothing\n---\n")
            .listed("DIR/comments:DIR/config"),
        case("list: first file with a name counts", whole.clone())
            .with("second", broken.clone())
            .listed("DIR/config:DIR/second"),
        case(
            "list: current context of the second file",
            whole.replace("current-context: c", "current-context: ''"),
        )
        .with("second", "current-context: c\n")
        .listed("DIR/config:DIR/second"),
        case("list: entries and paths of three files", context)
            .with("one/config", cluster)
            .with("one/ca.pem", world.authority.pem())
            .with("two/config", users)
            .with("two/token", "of the second\n")
            .listed("DIR/config:DIR/one/config:DIR/two/config"),
        case("list: the same file twice", whole.clone()).listed("DIR/config:DIR/config"),
        case("list: empty variable and the file of HOME", "")
            .with(".kube/config", whole.clone())
            .listed(""),
        case("list: fields of a user in two files", whole.clone())
            .with(
                "second",
                "users:\n- {name: u, user: {as: jane, token: other}}\ncurrent-context: other\n",
            )
            .listed("DIR/config:DIR/second"),
        case("list: fields of a user in two files, turned", whole.clone())
            .with("second", "users:\n- {name: u, user: {as: jane, token: other}}\n")
            .listed("DIR/second:DIR/config"),
        case(
            "list: user of the first file without a cluster",
            "users:\n- {name: u, user: {token: other}}\n",
        )
        .with("second", whole)
        .listed("DIR/config:DIR/second"),
    ]
}

fn proxies(world: &World) -> Vec<Case> {
    let (port, trust) = (world.secure.port(), world.trust());
    let at = |host: &str| config(&format!("server: https://{host}:{port}\n{trust}"), "");
    let ipv6 = format!("server: https://[::1]:{}\n{trust}", world.ipv6_port());
    let elsewhere = || config(&world.elsewhere(), "");
    let proxy = world.proxy.address();
    vec![
        case("proxy: none for 127.0.0.1", at("127.0.0.1")).variable("HTTPS_PROXY", DEAD),
        case("proxy: none for localhost", at("localhost")).variable("https_proxy", DEAD),
        case("proxy: none for ::1", config(&ipv6, "")).variable("HTTPS_PROXY", DEAD),
        case("proxy: none for 127.0.0.1, empty entries", at("127.0.0.1"))
            .variable("HTTPS_PROXY", DEAD)
            .variable("NO_PROXY", ",127.0.0.1,"),
        case("proxy: of the variable", elsewhere()).variable("HTTPS_PROXY", format!("http://{proxy}")),
        case("proxy: without a scheme", elsewhere()).variable("HTTPS_PROXY", proxy.to_string()),
        case("proxy: variable in small letters", elsewhere()).variable("https_proxy", format!("http://{proxy}/")),
        case("proxy: empty variable in capitals", elsewhere())
            .variable("HTTPS_PROXY", "")
            .variable("https_proxy", proxy.to_string()),
        case("proxy: malformed exceptions", elsewhere())
            .variable("HTTPS_PROXY", proxy.to_string())
            .variable("NO_PROXY", ",a b,169.254/16,:80,[::,,10.0.0.0/99"),
        case("proxy: exceptions with another port or domain", elsewhere())
            .variable("HTTPS_PROXY", proxy.to_string())
            .variable("NO_PROXY", format!("{ELSEWHERE}:443,.{ELSEWHERE},uster.test,127.0.0.1")),
        case("proxy: exception with a port", at("0.0.0.0"))
            .variable("HTTPS_PROXY", DEAD)
            .variable("NO_PROXY", format!("x,0.0.0.0:{port}")),
        case("proxy: exception of a network", at("0.0.0.0"))
            .variable("HTTPS_PROXY", DEAD)
            .variable("no_proxy", "10.0.0.0/8, 0.0.0.0/8"),
        case("proxy: exception of everything", at("0.0.0.0"))
            .variable("HTTPS_PROXY", DEAD)
            .variable("NO_PROXY", "x, *"),
        case("proxy: with a login", elsewhere()).variable(
            "HTTPS_PROXY",
            format!("user:pass%3Aword%40@{}", world.guarded.address()),
        ),
        case("proxy: SOCKS 5", elsewhere()).variable("HTTPS_PROXY", format!("socks5h://{proxy}")),
        case(
            "proxy: for http",
            config(&format!("server: http://{ELSEWHERE}:8080"), ""),
        )
        .variable("HTTP_PROXY", world.plain_proxy.address().to_string())
        .variable("HTTPS_PROXY", DEAD),
        case("proxy: not a URL", at("0.0.0.0")).variable("HTTPS_PROXY", "http://a b"),
    ]
}

fn proxy_fields(world: &World) -> Vec<Case> {
    let through = |proxy: &str| config(&format!("{}proxy-url: {proxy}", world.elsewhere()), "");
    let (proxy, guarded) = (world.proxy.address(), world.guarded.address());
    let plain = |proxy: &str| config(&format!("server: http://{ELSEWHERE}\nproxy-url: {proxy}"), "");
    vec![
        case("proxy-url: http", through(&format!("http://{proxy}"))),
        case(
            "proxy-url: counts before variables",
            through(&format!("http://{proxy}")),
        )
        .variable("HTTPS_PROXY", DEAD)
        .variable("NO_PROXY", "*"),
        case(
            "proxy-url: with a login",
            through(&format!("http://user:pass%3Aword%40@{guarded}")),
        ),
        case("proxy-url: SOCKS 5", through(&format!("socks5://{proxy}"))),
        case(
            "proxy-url: SOCKS 5 with a login",
            through(&format!("socks5://user:pass%3Aword%40@{guarded}")),
        ),
        case(
            "proxy-url: for http",
            plain(&format!("http://{}", world.plain_proxy.address())),
        ),
        case(
            "proxy-url: for http with a login",
            plain(&format!("http://user:pass%3Aword%40@{}", world.guarded_plain.address())),
        ),
        case("proxy-url: without a scheme", through(&proxy.to_string())),
    ]
}
