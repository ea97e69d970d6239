//! The CNCF registry server as a process on loopback. `cargo xtask e2e` builds it and names it in `SONO_TEST_REGISTRY`.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use fs_err as fs;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

/// Environment variable with the path of the program.
pub const REGISTRY_PROGRAM: &str = "SONO_TEST_REGISTRY";

/// `user:secret` in the format of `htpasswd -B`; the server only accepts bcrypt.
const PASSWORDS: &str = "user:$2b$04$MMFT1JRJ0nZT/pQfBodgZOrO4J7uUqXXxY2.KoiofdLGxWe685EPa\n";
/// The same login in the format of Docker's configuration file.
const AUTH: &str = "dXNlcjpzZWNyZXQ=";

/// Options of a registry server.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerOptions {
    /// Serve TLS with a certificate of a private authority.
    pub tls: bool,
    /// Require the login of one user.
    pub password: bool,
}

/// A registry server process; dropping it kills the process.
#[derive(Debug)]
pub struct RegistryServer {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl RegistryServer {
    /// Starts a server with an empty store and waits until it listens.
    pub fn start(options: ServerOptions) -> Self {
        let ServerOptions { tls, password } = options;
        let program = std::env::var_os(REGISTRY_PROGRAM).expect("SONO_TEST_REGISTRY is set; run `cargo xtask e2e`");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut http = json!({ "addr": "127.0.0.1:0", "secret": "of this test" });
        if tls {
            certify(folder.path());
            http["tls"] = json!({
                "certificate": folder.path().join("server.pem"),
                "key": folder.path().join("server.key"),
            });
        }
        let mut configuration = json!({
            "version": 0.1,
            "log": { "accesslog": { "disabled": true } },
            "storage": { "filesystem": { "rootdirectory": folder.path().join("store") } },
            "http": http,
        });
        if password {
            let path = folder.path().join("passwords");
            fs::write(&path, PASSWORDS).expect("the folder is ours");
            configuration["auth"] = json!({ "htpasswd": { "realm": "test", "path": path } });
        }
        let path = folder.path().join("configuration.yaml");
        // JSON is YAML.
        fs::write(&path, configuration.to_string()).expect("the folder is ours");
        let mut process = Command::new(program)
            .arg("serve")
            .arg(&path)
            // The default exporter would send traces to a collector on this machine.
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the registry server starts");
        let address = wait_for_address(&mut process);
        Self {
            process,
            address,
            folder,
        }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Path of the certificate authority of a server with TLS.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Creates a folder for `DOCKER_CONFIG` with the user's login at `registry` (`host:port`).
    pub fn docker_config(&self, registry: &str) -> PathBuf {
        let folder = self.folder.path().join("docker");
        fs::create_dir_all(&folder).expect("the folder is ours");
        let file: Value = json!({ "auths": { registry: { "auth": AUTH } } });
        fs::write(folder.join("config.json"), file.to_string()).expect("the folder is ours");
        folder
    }

    /// The tags of a repository, sorted; empty for an unknown repository.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let store = self.folder.path().join("store/docker/registry/v2/repositories");
        let folder = store.join(repository).join("_manifests/tags");
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("the server's store is readable").file_name();
        let mut tags: Vec<String> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        tags.sort();
        tags
    }
}

impl Drop for RegistryServer {
    fn drop(&mut self) {
        // The process may already have exited.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn wait_for_address(process: &mut Child) -> String {
    let errors = process.stderr.take().expect("it was piped");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut log = String::new();
        // Read to the end: the server blocks when the pipe is full.
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest.find(|character: char| !character.is_ascii_digit() && !".:".contains(character));
                sender.send(Ok(rest[..end.unwrap_or(rest.len())].to_owned())).ok();
            }
            log.push_str(&line);
            log.push('\n');
        }
        sender.send(Err(log)).ok();
    });
    let first = receiver.recv_timeout(Duration::from_mins(1));
    first
        .expect("the registry server logs its address")
        .expect("the registry server runs")
}

fn certify(folder: &Path) {
    let parameters = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        CertificateParams::new(names).expect("the names are valid")
    };
    let key = KeyPair::generate().expect("a key");
    let mut authority = parameters(&[]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = authority.self_signed(&key).expect("a certificate");
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("the folder is ours");
    write("authority.pem", certificate.pem());
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().expect("a key");
    let server = parameters(&["127.0.0.1"])
        .signed_by(&key, &issuer)
        .expect("a certificate");
    write("server.pem", server.pem());
    write("server.key", key.serialize_pem());
}
