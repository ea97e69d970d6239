//! Values that are in many texts without being secrets.

use std::{collections::BTreeMap, net::IpAddr};

use super::{MIN_BYTES, normal::is_dropped};

/// Least bits of entropy for each byte.
const MIN_ENTROPY: f64 = 2.4;
/// Digits of a number that is not a secret: sizes, times in seconds.
const NUMBER: usize = 10;

/// Words whose combinations are not secrets.
const COMMON: &[&str] = &[
    "access",
    "account",
    "admin",
    "administrator",
    "agent",
    "alertmanager",
    "all",
    "allow",
    "always",
    "amd",
    "api",
    "apiserver",
    "app",
    "application",
    "argocd",
    "arm",
    "auth",
    "authentication",
    "aws",
    "azure",
    "backend",
    "backup",
    "base",
    "basic",
    "bearer",
    "bitnami",
    "bootstrap",
    "bootstrappers",
    "bucket",
    "ca",
    "cache",
    "calico",
    "ceph",
    "cert",
    "certificate",
    "change",
    "changeit",
    "changeme",
    "chart",
    "cilium",
    "client",
    "cloud",
    "cluster",
    "com",
    "config",
    "configmap",
    "console",
    "container",
    "controller",
    "coredns",
    "crd",
    "cron",
    "daemon",
    "dashboard",
    "data",
    "database",
    "db",
    "debug",
    "default",
    "demo",
    "deployment",
    "dev",
    "development",
    "disabled",
    "dns",
    "docker",
    "dockerconfigjson",
    "edit",
    "elastic",
    "elasticsearch",
    "enabled",
    "endpoint",
    "envoy",
    "error",
    "etcd",
    "example",
    "external",
    "false",
    "flux",
    "frontend",
    "gateway",
    "git",
    "github",
    "gitlab",
    "global",
    "google",
    "grafana",
    "group",
    "groups",
    "guest",
    "harbor",
    "health",
    "helm",
    "host",
    "http",
    "https",
    "image",
    "info",
    "ingress",
    "internal",
    "io",
    "istio",
    "job",
    "json",
    "kafka",
    "key",
    "keycloak",
    "kube",
    "kubeadm",
    "kubeconfig",
    "kubelet",
    "kubernetes",
    "latest",
    "ldap",
    "linux",
    "load",
    "local",
    "localhost",
    "log",
    "login",
    "logs",
    "loki",
    "longhorn",
    "main",
    "manager",
    "mariadb",
    "master",
    "memcached",
    "metrics",
    "minio",
    "mode",
    "mongo",
    "mongodb",
    "monitoring",
    "my",
    "mysql",
    "name",
    "namespace",
    "net",
    "network",
    "nginx",
    "node",
    "nodes",
    "none",
    "null",
    "oauth",
    "off",
    "oidc",
    "on",
    "opaque",
    "openshift",
    "operator",
    "org",
    "pass",
    "password",
    "path",
    "pod",
    "pods",
    "postgres",
    "postgresql",
    "prod",
    "production",
    "prometheus",
    "provider",
    "proxy",
    "public",
    "rabbitmq",
    "rancher",
    "read",
    "readonly",
    "redis",
    "registry",
    "release",
    "remote",
    "replica",
    "report",
    "root",
    "runtime",
    "s3",
    "scheduler",
    "secret",
    "server",
    "service",
    "serviceaccount",
    "session",
    "signing",
    "site",
    "smtp",
    "sonobuoy",
    "ssh",
    "staging",
    "standard",
    "state",
    "stateful",
    "storage",
    "svc",
    "system",
    "tekton",
    "temp",
    "test",
    "testing",
    "tls",
    "token",
    "traefik",
    "true",
    "type",
    "unknown",
    "user",
    "username",
    "velero",
    "version",
    "view",
    "volume",
    "web",
    "webhook",
    "worker",
    "write",
    "www",
    "yaml",
];

/// Whether a value is too short or too common to be searched.
pub(super) fn is_trivial(value: &[u8]) -> bool {
    if value.iter().filter(|byte| !is_dropped(**byte)).count() < MIN_BYTES || entropy(value) < MIN_ENTROPY {
        return true;
    }
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let text = text.trim();
    is_number(text) || is_address(text) || is_host(text) || is_plain_url(text) || is_common(text)
}

/// Whether a text consists of words only. Such parts of configuration are not searched unless their name marks a secret.
pub(super) fn is_wordy(text: &str) -> bool {
    let is_word = |word: &str| {
        let rest = word.get(1..).unwrap_or_default();
        let number = word.len() <= 4 && word.bytes().all(|byte| byte.is_ascii_digit());
        let letters = word.len() <= 18
            && word.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (rest.bytes().all(|byte| byte.is_ascii_lowercase())
                || word.bytes().all(|byte| byte.is_ascii_uppercase()));
        let version = word.len() <= 4
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        number || letters || version
    };
    text.split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .all(is_word)
}

fn entropy(value: &[u8]) -> f64 {
    let mut counts: BTreeMap<u8, u32> = BTreeMap::new();
    let sample = value.get(..4_096).unwrap_or(value);
    for byte in sample {
        *counts.entry(*byte).or_default() += 1;
    }
    let total = f64::from(u32::try_from(sample.len()).unwrap_or(u32::MAX));
    counts
        .values()
        .map(|count| f64::from(*count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

fn is_number(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let is_date = text.len() >= 10
        && text.get(4..5) == Some("-")
        && text.get(7..8) == Some("-")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b':' | b'.' | b'+' | b'T' | b'Z' | b' '));
    let is_decimal = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'-' | b'+' | b'e'));
    is_date || (is_decimal && digits <= NUMBER)
}

/// Addresses and networks, also in a list.
fn is_address(text: &str) -> bool {
    let is_one = |part: &str| {
        let part = part.split('/').next().unwrap_or_default();
        let without_port = part.rsplit_once(':').map_or(part, |(address, _)| address);
        part.parse::<IpAddr>().is_ok() || without_port.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
    };
    text.split([',', ' ']).filter(|part| !part.is_empty()).all(is_one)
}

/// Names of hosts, with or without a port.
fn is_host(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').unwrap_or((text, "1"));
    let labels: Vec<&str> = host.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let digits = |label: &&str| label.bytes().filter(u8::is_ascii_digit).count() <= 4 || label.len() > 40;
    let ends_in_letters = labels
        .last()
        .is_some_and(|last| last.len() >= 2 && last.bytes().all(|byte| byte.is_ascii_lowercase()));
    port.parse::<u16>().is_ok()
        && labels.len() > 1
        && ends_in_letters
        && labels.iter().all(|label| is_label(label) && digits(label))
}

/// Addresses and paths without a credential in them.
fn is_plain_url(text: &str) -> bool {
    let rest = text.split_once("://").map(|(_, rest)| rest);
    let Some(rest) = rest.or_else(|| text.starts_with('/').then_some(text)) else {
        return false;
    };
    let random = |part: &str| {
        let capitals = part.bytes().any(|byte| byte.is_ascii_uppercase());
        part.len() >= if capitals { 8 } else { 12 } && part.bytes().any(|byte| byte.is_ascii_digit())
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    !rest.contains(['@', '?', '=', ' ', '#'])
        && !path.split('/').any(random)
        && (host.is_empty() || !host.contains('%'))
}

fn is_common(text: &str) -> bool {
    if text.contains('@') {
        return false;
    }
    let lower = text.to_lowercase();
    lower
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .all(|word| {
            let bare = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
            let digits = word.len() - bare.len();
            bare.len() <= 1 && digits <= 4 || digits == 0 && COMMON.binary_search(&bare).is_ok()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_are_sorted() {
        assert!(COMMON.is_sorted());
    }

    #[test]
    fn common_values_are_trivial() {
        for value in [
            "true",
            "admin",
            "10.0.0.1",
            "10.0.0.1:8080",
            "administrator",
            "kube-system",
            "grafana-admin",
            "production",
            "postgresql",
            "postgres.default.svc.cluster.local",
            "registry.example.com:5000",
            "https://example.com/api/v1",
            "https://kubernetes.default.svc",
            "2026-11-30T10:00:00Z",
            "1073741824",
            "aaaaaaaaaaaa",
            "abababababab",
            "kubernetes.io/tls",
            "10.96.0.0/12",
            "fd00::1",
            "        a       ",
            "/etc/kubernetes/pki/ca.crt",
            "changeme",
            "system:bootstrappers:kubeadm:default-node-token",
        ] {
            assert!(is_trivial(value.as_bytes()), "{value}");
        }
        for value in [
            "hunter2hunter2",
            "swordfish",
            "correct-horse-battery-staple",
            "84629173550912",
            "P@ssw0rd",
            "s3cr3t-v4lue",
            "Admin123!",
            "https://u:p@example.com/",
            "https://hooks.slack.com/services/T0AB1CD2E/B0AB1CD2E/abc",
            "b7f3c1d2.a9",
            "password1",
            "\u{fc}ber-geheim",
        ] {
            assert!(!is_trivial(value.as_bytes()), "{value}");
        }
    }
}
