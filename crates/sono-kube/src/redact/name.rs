//! Recognises secrets by the name of a variable, key or header.

/// Last words of names for the location or a property of a secret.
const PROPERTIES: &[&str] = &[
    "name",
    "names",
    "namespace",
    "namespaces",
    "ref",
    "refs",
    "path",
    "paths",
    "file",
    "files",
    "dir",
    "directory",
    "url",
    "uri",
    "endpoint",
    "host",
    "port",
    "type",
    "kind",
    "mode",
    "version",
    "enabled",
    "disabled",
    "enable",
    "disable",
    "ttl",
    "timeout",
    "expiry",
    "expiration",
    "expires",
    "interval",
    "age",
    "length",
    "size",
    "count",
    "provider",
    "issuer",
    "audience",
    "audiences",
    "algorithm",
    "class",
    "store",
    "controller",
    "manager",
    "policy",
    "format",
    "header",
    "prefix",
    "suffix",
    "field",
    "rotation",
    "refresh",
    "secrets",
    "tokens",
    "mount",
    "mounts",
    "resource",
    "resources",
    "usage",
    "id",
    "hash",
    "seen",
];
/// Words before a final `key` that mark a secret.
const KEY_PREFIXES: &[&str] = &[
    "api",
    "access",
    "private",
    "secret",
    "encryption",
    "signing",
    "auth",
    "master",
    "account",
    "shared",
    "storage",
    "client",
    "tls",
    "ssh",
    "session",
    "deploy",
];
/// Words that mark a secret only as a whole, since other words end like them.
const WHOLE_WORDS: &[&str] = &["apikey", "accesskey", "privatekey", "credential", "credentials"];
const ENDINGS: &[&str] = &["password", "passwd", "passphrase", "token"];
/// Words for the encoding of a value.
const ENCODINGS: &[&str] = &["data", "value", "b64", "base64"];

/// Whether the value of a variable, key or header of this name is a secret: `DB_PASSWORD`, `apiToken`,
/// `client-key-data`, but not `TOKEN_URL`, `passwordFile`, `secretName`.
pub(super) fn is_secret(name: &str) -> bool {
    let words = words(name);
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    while words.len() > 1 && words.last().is_some_and(|last| ENCODINGS.contains(last)) {
        words.pop();
    }
    let Some((last, before)) = words.split_last() else {
        return false;
    };
    let previous = before.last().copied().unwrap_or_default();
    // Names of Secrets, as in charts and image pull secrets.
    let names_object = words.iter().any(|word| ["pull", "existing"].contains(word));
    if PROPERTIES.contains(last) || names_object {
        return false;
    }
    let short = match *last {
        // Alone, `pwd` is the working directory; nginx's `proxy_pass` names a server.
        "pwd" => !["", "old"].contains(&previous),
        "pass" => !["", "proxy"].contains(&previous),
        "key" => KEY_PREFIXES.contains(&previous),
        _ => false,
    };
    short
        || WHOLE_WORDS.contains(last)
        || ENDINGS.iter().any(|ending| last.ends_with(ending))
        || words.iter().any(|word| word.contains("secret"))
}

/// Like [`is_secret`], for fields of any object: excludes names that may refer to a Secret.
pub(super) fn is_plainly_secret(name: &str) -> bool {
    let words = words(name);
    let mut last = words.iter().rev().map(String::as_str);
    match (last.next().unwrap_or_default(), last.next().unwrap_or_default()) {
        (last, _) if ["password", "passwd", "passphrase"].contains(&last) => true,
        (last, previous) => [
            ("token", "access"),
            ("token", "auth"),
            ("token", "bearer"),
            ("token", "api"),
            ("key", "api"),
        ]
        .contains(&(last, previous)),
    }
}

/// Whether an HTTP header of this name carries a credential.
pub(super) fn is_secret_header(name: &str) -> bool {
    let known = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
    ];
    known.iter().any(|header| header.eq_ignore_ascii_case(name)) || is_secret(name)
}

/// Lower-case words of `SNAKE_CASE`, `kebab-case`, `dotted.names` and `camelCase`, without trailing digits.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for character in name.chars() {
        let starts = character.is_ascii_uppercase() && was_lower;
        if starts || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if character.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(character.to_ascii_lowercase());
        }
        was_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
    }
    words
        .into_iter()
        .map(|word| match word.as_str() {
            "b64" | "base64" => word,
            _ => word
                .trim_end_matches(|character: char| character.is_ascii_digit())
                .to_owned(),
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// Whether a value can be a secret: not empty, not a boolean, not a reference, not a path.
pub(super) fn can_be_secret(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    let words = [
        "", "true", "false", "null", "nil", "none", "~", "yes", "no", "on", "off", "|", "|-", ">", ">-", "{}", "[]",
    ];
    let roots = [
        "/var/",
        "/etc/",
        "/run/",
        "/tmp/",
        "/opt/",
        "/usr/",
        "/home/",
        "/mnt/",
        "/secrets/",
        "/root/",
        "./",
        "file:",
    ];
    let reference = value.starts_with("$(")
        || value.starts_with("${")
        || value.starts_with("{{")
        || (value.starts_with('<') && value.ends_with('>'))
        || value.strip_prefix('$').is_some_and(|name| {
            name.starts_with(|first: char| first.is_ascii_uppercase())
                && name
                    .chars()
                    .all(|character| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_')
        });
    !words.iter().any(|word| word.eq_ignore_ascii_case(value))
        && !roots.iter().any(|root| value.starts_with(root))
        && !reference
        && !value.contains(super::REDACTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mark_secrets() {
        let secret = "DB_PASSWORD PGPASSWORD dbPassword password2 PASSWORD_1 GITHUB_TOKEN authToken token DB_PASS DB_PWD \
            SECRET_KEY_BASE AWS_SECRET_ACCESS_KEY clientSecret APIKEY api-key CLIENT_KEY client-key-data tls.key \
            spring.datasource.password SSH_PRIVATE_KEY MYSQL_ROOT_PASSWORD GOOGLE_CREDENTIALS";
        for name in secret.split_whitespace() {
            assert!(is_secret(name), "{name}");
        }
        let plain = "PATH PWD OLDPWD TOKEN_URL TOKEN_TTL passwordFile secretName SECRET_NAMESPACE tokenReviewVersion \
            max_tokens proxy_pass BYPASS imagePullSecret existingSecret KEY keyboard monkey AWS_ACCESS_KEY_ID \
            AWS_WEB_IDENTITY_TOKEN_FILE SECRETS_STORE_ENABLED kubernetes.io/legacy-token-last-seen compass \
            public-key service-account-issuer token-webhook";
        for name in plain.split_whitespace() {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn fields_of_any_object_must_be_plain() {
        for (name, expected) in [
            ("password", true),
            ("adminPassword", true),
            ("accessToken", true),
            ("apiKey", true),
            ("token", false),
            ("clientSecret", false),
            ("passwordSecretRef", false),
        ] {
            assert_eq!(is_plainly_secret(name), expected, "{name}");
        }
    }

    #[test]
    fn switches_references_and_paths_are_not_secrets() {
        for value in [
            "",
            "true",
            "\"\"",
            "$(DB_PASSWORD)",
            "${P}",
            "$PASSWORD",
            "{{ .Values.p }}",
            "<password>",
            "/etc/token",
        ] {
            assert!(!can_be_secret(value), "{value}");
        }
        for value in ["hunter2", "0123", "/abc+def", "$ecret", "P@ss w0rd"] {
            assert!(can_be_secret(value), "{value}");
        }
    }
}
