//! Short reasons for failed image pulls, from the long messages of container runtimes.

/// Phrases in messages of runtimes and registries, and the short reason for each.
const KNOWN: &[(&str, &str)] = &[
    ("not found", "not found"),
    ("manifest unknown", "not found"),
    ("name unknown", "not found"),
    ("toomanyrequests", "the registry limits the rate of pulls"),
    ("too many requests", "the registry limits the rate of pulls"),
    ("unauthorized", "the registry requires credentials"),
    ("authentication required", "the registry requires credentials"),
    ("authorization failed", "the registry requires credentials"),
    ("access denied", "the registry denies access"),
    ("denied", "the registry denies access"),
    ("forbidden", "the registry denies access"),
    ("no such host", "the registry's name cannot be resolved"),
    ("no match for platform", "no image for this platform"),
    (
        "connection refused",
        "the registry cannot be reached: connection refused",
    ),
    ("i/o timeout", "the registry cannot be reached: no response"),
    (
        "context deadline exceeded",
        "the registry cannot be reached: no response",
    ),
    ("handshake timeout", "the registry cannot be reached: no response"),
    (
        "network is unreachable",
        "the registry cannot be reached: network is unreachable",
    ),
    ("x509", "the registry's certificate is not trusted"),
    ("no space left", "the node has no space left"),
];

/// The short reason, or the last part of a message that has no known phrase.
pub(crate) fn pull_reason(message: &str) -> String {
    let lower = message.to_lowercase();
    if let Some((_, reason)) = KNOWN.iter().find(|(phrase, _)| lower.contains(phrase)) {
        return (*reason).to_owned();
    }
    if lower.starts_with("back-off pulling image") && !message.contains(": ") {
        return "cannot be pulled".to_owned();
    }
    message
        .rsplit(": ")
        .next()
        .unwrap_or(message)
        .trim()
        .trim_matches('"')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_say_it_at_length() {
        for (message, reason) in [
            (
                "failed to pull and unpack image \"registry.k8s.io/x:0.9\": failed to resolve reference \"registry.k8s.io/x:0.9\": registry.k8s.io/x:0.9: not found",
                "not found",
            ),
            (
                "Back-off pulling image \"x\": ErrImagePull: dial tcp: lookup registry.example: no such host",
                "the registry's name cannot be resolved",
            ),
            (
                "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
                "the registry requires credentials",
            ),
            ("Back-off pulling image \"x:1\"", "cannot be pulled"),
            (
                "rpc error: code = Unknown desc = something: odd happened",
                "odd happened",
            ),
        ] {
            assert_eq!(pull_reason(message), reason, "{message}");
        }
    }
}
