//! The servers, proxies and certificates of the cases.

use std::net::{IpAddr, TcpListener};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sono_testkit::{Identity, ProxyLogin, ProxyServer, Template, Validity, WhoamiServer};

/// `user` and `pass:word@`.
const LOGIN: ProxyLogin = ProxyLogin {
    header: "Basic dXNlcjpwYXNzOndvcmRA",
    user: "user",
    password: "pass:word@",
};
/// A host name that is reachable only through a proxy.
pub(super) const ELSEWHERE: &str = "api.cluster.test";

pub(super) struct World {
    pub(super) authority: Identity,
    pub(super) other_authority: Identity,
    pub(super) expired_authority: Identity,
    /// The certificate of [`World::secure`], signed by the authority.
    pub(super) leaf: Identity,
    pub(super) secure: WhoamiServer,
    /// `None` if this machine has no IPv6.
    pub(super) secure_ipv6: Option<WhoamiServer>,
    /// A server without TLS.
    pub(super) plain: WhoamiServer,
    /// A CA certificate and a server that uses it.
    pub(super) own: (Identity, WhoamiServer),
    /// A self-signed certificate without CA flag, and its server.
    pub(super) lonely: (Identity, WhoamiServer),
    /// A server with a certificate for `kubernetes.internal` only.
    pub(super) renamed: WhoamiServer,
    /// A server with a CA certificate that the authority signed.
    pub(super) intermediate: WhoamiServer,
    pub(super) expired: (Identity, WhoamiServer),
    /// The client certificate.
    pub(super) client: Identity,
    pub(super) proxy: ProxyServer,
    pub(super) guarded: ProxyServer,
    pub(super) plain_proxy: ProxyServer,
    pub(super) guarded_plain: ProxyServer,
}

impl World {
    pub(super) fn new() -> Self {
        let root = |name, validity| {
            Identity::self_signed(&Template {
                name,
                hosts: &[],
                authority: true,
                client: false,
                validity,
            })
        };
        let authority = root("sono-test-root", Validity::Current);
        let local: IpAddr = [127, 0, 0, 1].into();
        let start = |identity: &Identity| WhoamiServer::secure(local, identity, &authority);
        let leaf = authority.issue(&Template {
            hosts: &["localhost", "127.0.0.1", "0.0.0.0", "::1", ELSEWHERE],
            ..Template::default()
        });
        let own = Identity::self_signed(&Template {
            name: "own",
            authority: true,
            ..Template::default()
        });
        let lonely = Identity::self_signed(&Template {
            name: "lonely",
            ..Template::default()
        });
        let expired = authority.issue(&Template {
            validity: Validity::Past,
            ..Template::default()
        });
        let renamed = authority.issue(&Template {
            hosts: &["kubernetes.internal"],
            ..Template::default()
        });
        let intermediate = authority.issue(&Template {
            authority: true,
            ..Template::default()
        });
        let secure = start(&leaf);
        let plain = WhoamiServer::plain();
        Self {
            secure_ipv6: TcpListener::bind("[::1]:0")
                .is_ok()
                .then(|| WhoamiServer::secure("::1".parse().unwrap(), &leaf, &authority)),
            client: authority.issue(&Template {
                name: "jane",
                hosts: &[],
                client: true,
                ..Template::default()
            }),
            proxy: ProxyServer::before(secure.address(), None),
            guarded: ProxyServer::before(secure.address(), Some(LOGIN)),
            plain_proxy: ProxyServer::before(plain.address(), None),
            guarded_plain: ProxyServer::before(plain.address(), Some(LOGIN)),
            own: {
                let server = start(&own);
                (own, server)
            },
            lonely: {
                let server = start(&lonely);
                (lonely, server)
            },
            expired: {
                let server = start(&expired);
                (expired, server)
            },
            renamed: start(&renamed),
            intermediate: start(&intermediate),
            other_authority: root("another-root", Validity::Current),
            expired_authority: root("an-old-root", Validity::Past),
            secure,
            plain,
            leaf,
            authority,
        }
    }

    pub(super) fn ipv6_port(&self) -> u16 {
        self.secure_ipv6.as_ref().map_or(0, WhoamiServer::port)
    }

    /// The server and authority of [`World::secure`].
    pub(super) fn cluster(&self) -> String {
        format!("server: https://127.0.0.1:{}\n{}", self.secure.port(), self.trust())
    }

    /// The authority in a `-data` field.
    pub(super) fn trust(&self) -> String {
        data("certificate-authority-data", self.authority.pem())
    }

    /// [`World::secure`] by a name that only a proxy resolves.
    pub(super) fn elsewhere(&self) -> String {
        format!("server: https://{ELSEWHERE}:6443\n{}", self.trust())
    }
}

pub(super) fn base64(text: impl AsRef<[u8]>) -> String {
    STANDARD.encode(text)
}

/// A field with base64 text.
pub(super) fn data(field: &str, text: &str) -> String {
    format!("{field}: {}\n", base64(text))
}

/// A field with base64 text in lines of 76 characters, after `style`.
pub(super) fn wrapped(field: &str, style: &str, encoded: &str) -> String {
    let mut lines = format!("{field}: {style}\n");
    for chunk in encoded.as_bytes().chunks(76) {
        lines.push_str("  ");
        lines.push_str(std::str::from_utf8(chunk).unwrap());
        lines.push('\n');
    }
    lines
}
