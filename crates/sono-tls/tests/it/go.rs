//! Sonobuoy's worker is a Go program, so Go must accept our keys and certificates.

use std::process::Command;

use sono_tls::Authority;

use crate::{now, plugin};

const PROGRAM: &str = r#"package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"time"
)

func read(name string) []byte {
	data, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return data
}

func main() {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read("ca.pem")) {
		panic("the CA does not parse")
	}
	for _, side := range []struct {
		name, host string
		usage      x509.ExtKeyUsage
	}{
		{"server", "10.0.0.7", x509.ExtKeyUsageServerAuth},
		{"server", "sonobuoy-aggregator", x509.ExtKeyUsageServerAuth},
		{"client", "", x509.ExtKeyUsageClientAuth},
	} {
		block, _ := pem.Decode(read(side.name + ".key"))
		key, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			panic(err)
		}
		if _, err := tls.X509KeyPair(read(side.name+".pem"), read(side.name+".key")); err != nil {
			panic(err)
		}
		block, _ = pem.Decode(read(side.name + ".pem"))
		leaf, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			panic(err)
		}
		_, err = leaf.Verify(x509.VerifyOptions{
			DNSName: side.host, Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{side.usage},
		})
		if err != nil {
			panic(err)
		}
		fmt.Println(side.name, block.Type, key.Curve.Params().Name, leaf.DNSNames, leaf.IPAddresses)
	}
}
"#;

#[test]
fn go_takes_keys_and_certificates() {
    if Command::new("go").arg("version").output().is_err() {
        eprintln!("no `go` in PATH: the key format is checked only by the unit test of its bytes");
        return;
    }
    let authority = Authority::new(now()).unwrap();
    let server = authority
        .server(now(), &["10.0.0.7".to_owned(), "sonobuoy-aggregator".to_owned()])
        .unwrap();
    let client = authority.client(now(), &plugin("cis-1.8")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    for (name, content) in [
        ("main.go", PROGRAM),
        ("ca.pem", authority.certificate_pem()),
        ("server.pem", &server.certificate_pem),
        ("server.key", &server.key_pem),
        ("client.pem", &client.certificate_pem),
        ("client.key", &client.key_pem),
    ] {
        fs_err::write(path.join(name), content).unwrap();
    }
    let output = Command::new("go")
        .args(["run", "main.go"])
        .current_dir(path)
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "")
        .env("GO111MODULE", "off")
        .output()
        .unwrap();
    assert_eq!(
        (
            String::from_utf8_lossy(&output.stdout).as_ref(),
            String::from_utf8_lossy(&output.stderr).as_ref()
        ),
        (
            "server CERTIFICATE P-256 [sonobuoy-aggregator] [10.0.0.7]\n\
             server CERTIFICATE P-256 [sonobuoy-aggregator] [10.0.0.7]\n\
             client CERTIFICATE P-256 [cis-1.8] []\n",
            ""
        )
    );
}
