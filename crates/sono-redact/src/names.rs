//! The one word list: which names of variables, keys, fields, flags and headers mark a secret.

/// How strongly a name marks its value as a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mark {
    /// Not at all.
    Plain,
    /// A single word that also has other meanings: `pass`, `auth`.
    Bare,
    /// A key or a similar word: a secret if the value looks like one.
    Weak,
    /// A password, token or secret.
    Strong,
}

/// Last words of names for the location or a property of a secret.
const PROPERTIES: &[&str] = &[
    "age",
    "algorithm",
    "attempts",
    "audience",
    "audiences",
    "class",
    "controller",
    "count",
    "dir",
    "directory",
    "disable",
    "disabled",
    "enable",
    "enabled",
    "endpoint",
    "expiration",
    "expires",
    "expiry",
    "field",
    "file",
    "files",
    "format",
    "hash",
    "header",
    "host",
    "id",
    "interval",
    "issuer",
    "kind",
    "label",
    "length",
    "limit",
    "list",
    "manager",
    "mode",
    "mount",
    "mounts",
    "name",
    "names",
    "namespace",
    "namespaces",
    "path",
    "paths",
    "policy",
    "port",
    "prefix",
    "provider",
    "rate",
    "ref",
    "reference",
    "references",
    "refresh",
    "refs",
    "required",
    "resource",
    "resources",
    "review",
    "rotation",
    "schema",
    "seen",
    "selector",
    "size",
    "store",
    "suffix",
    "timeout",
    "ttl",
    "type",
    "uri",
    "url",
    "usage",
    "version",
    // Files.
    "cc",
    "cpp",
    "go",
    "html",
    "java",
    "js",
    "json",
    "md",
    "py",
    "rs",
    "sh",
    "ts",
    "txt",
    "yaml",
    "yml",
];
/// Words before a final `key` that mark a secret.
const SECRET_KEYS: &[&str] = &[
    "access",
    "account",
    "api",
    "app",
    "auth",
    "client",
    "deploy",
    "encryption",
    "license",
    "master",
    "private",
    "secret",
    "session",
    "shared",
    "signing",
    "ssh",
    "storage",
    "stripe",
    "tls",
    "jwt",
    "service",
];
/// Words before a final `key` that mark a public value.
const PUBLIC_KEYS: &[&str] = &[
    "alias",
    "annotation",
    "app_id",
    "cache",
    "column",
    "composite",
    "config",
    "context",
    "data",
    "dedup",
    "domain",
    "event",
    "field",
    "foreign",
    "group",
    "grouping",
    "hash",
    "header",
    "host",
    "idempotency",
    "index",
    "join",
    "label",
    "lease",
    "lock",
    "lookup",
    "map",
    "message",
    "metric",
    "name",
    "namespace",
    "node",
    "object",
    "partition",
    "pod",
    "primary",
    "public",
    "queue",
    "record",
    "resource",
    "route",
    "routing",
    "row",
    "search",
    "selector",
    "shard",
    "sort",
    "state",
    "tag",
    "topology",
    "translation",
    "type",
    "unique",
    "value",
    "verification",
    "zone",
    "item",
    "by",
    "the",
    "sha",
    "for",
    "of",
    "known",
    "trusted",
    "authorized",
];
/// Words that end like a secret and are not one.
const ORDINARY: &[&str] = &[
    "bypass",
    "compass",
    "encompass",
    "overpass",
    "surpass",
    "trespass",
    "underpass",
    "monkey",
    "donkey",
    "turkey",
    "hotkey",
    "whiskey",
    "jockey",
    "hockey",
    "keykey",
    "passkey",
    "pubkey",
    "publickey",
    "hostkey",
    "oldpwd",
    "getpass",
    "multipass",
    "subkey",
    "primarykey",
];
/// Last words that mark a secret as a whole.
const WHOLE: &[&str] = &[
    "accesskey",
    "apikey",
    "apitoken",
    "bearer",
    "credential",
    "credentials",
    "creds",
    "jwt",
    "mnemonic",
    "passcode",
    "privatekey",
    "psk",
    "requirepass",
    "masterauth",
    "pw",
    "secretkey",
];
const ENDINGS: &[&str] = &["password", "passwd", "passphrase", "token", "passwort", "pwd"];
/// Words before a final `auth` that mark a credential.
const AUTH: &[&str] = &[
    "basic", "docker", "git", "http", "master", "npm", "proxy", "redis", "registry", "smtp",
];
/// Words for the encoding of a value.
const ENCODINGS: &[&str] = &[
    "data",
    "value",
    "values",
    "b64",
    "base64",
    "plain",
    "plaintext",
    "text",
    "current",
    "new",
    "raw",
];
/// Words before `tokens` and `keys` that count them.
const COUNTED: &[&str] = &[
    "max",
    "min",
    "num",
    "total",
    "prompt",
    "completion",
    "output",
    "input",
    "generated",
    "used",
    "context",
    "cached",
    "service",
    "authorized",
];

/// How strongly a name marks a secret: `DB_PASSWORD`, `apiToken`, `client-key-data`, but not `TOKEN_URL`, `passwordFile`,
/// `secretName`.
pub(crate) fn mark(name: &str) -> Mark {
    if name.len() > 256 {
        return Mark::Plain;
    }
    let words = words(name);
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    while words.len() > 1 && words.last().is_some_and(|last| ENCODINGS.contains(last)) {
        words.pop();
    }
    let Some((last, before)) = words.split_last() else {
        return Mark::Plain;
    };
    let (last, previous) = (*last, before.last().copied().unwrap_or_default());
    // Names of Secrets, as in charts and image pull secrets.
    let names_object = words.iter().any(|word| ["pull", "existing"].contains(word));
    if PROPERTIES.contains(&last) || ORDINARY.contains(&last) || names_object {
        return Mark::Plain;
    }
    let singular = match last.strip_suffix('s') {
        Some(singular) if ["password", "token", "secret", "key", "passphrase", "apikey"].contains(&singular) => {
            if previous.is_empty() && singular != "password" && singular != "apikey" || COUNTED.contains(&previous) {
                return Mark::Plain;
            }
            singular
        }
        _ => last,
    };
    match singular {
        "pwd" | "pass" if previous.is_empty() => return Mark::Bare,
        "pass" => {
            return if ["proxy", "fastcgi", "uwsgi", "scgi", "grpc", "first", "second"].contains(&previous) {
                Mark::Plain
            } else {
                Mark::Strong
            };
        }
        "auth" => {
            return if AUTH.contains(&previous) {
                Mark::Weak
            } else {
                Mark::Plain
            };
        }
        "cookie" => {
            return if ["erlang", "session"].contains(&previous) {
                Mark::Strong
            } else {
                Mark::Plain
            };
        }
        "key" if SECRET_KEYS.contains(&previous) => return Mark::Strong,
        "key" if previous.is_empty() || PUBLIC_KEYS.contains(&previous) => return Mark::Plain,
        "key" => return Mark::Weak,
        _ => {}
    }
    let strong = WHOLE.contains(&singular)
        || ENDINGS.iter().any(|ending| singular.ends_with(ending))
        || ["pass", "pw"]
            .iter()
            .any(|ending| singular.len() > ending.len() + 1 && singular.ends_with(ending))
        || is_about_secret(name, &words);
    if strong {
        Mark::Strong
    } else if singular.ends_with("key") && singular.len() > 5 {
        Mark::Weak
    } else {
        Mark::Plain
    }
}

/// Whether `secret` is a word of a name. Names of objects, such as `pod-secret-x2v9k`, must end with it.
fn is_about_secret(name: &str, words: &[&str]) -> bool {
    let Some(place) = words
        .iter()
        .position(|word| word.contains("secret") && *word != "secretless")
    else {
        return false;
    };
    let of_object =
        name.contains('-') && !name.contains(['_', '.']) && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    let following = words.get(place + 1..).unwrap_or_default();
    !of_object
        || following
            .iter()
            .all(|word| ["access", "base", "key", "string", "token"].contains(word))
}

/// Whether a name marks a secret in fields of any object: excludes names that may refer to a Secret.
pub(crate) fn is_plainly_secret(name: &str) -> bool {
    let words = words(name);
    let mut last = words.iter().rev().map(String::as_str);
    matches!(
        (last.next().unwrap_or_default(), last.next().unwrap_or_default()),
        ("password" | "passwd" | "passphrase" | "passwords", _)
            | ("token", "access" | "auth" | "bearer" | "api" | "refresh")
            | ("key", "api")
    )
}

/// Whether the last word is one that also names Secrets and their keys: `secret`, `clientSecret`, `secretKey`.
pub(crate) fn may_name_object(name: &str) -> bool {
    words(name).last().is_some_and(|last| {
        last.ends_with("secret") || last.ends_with("key") || last.ends_with("secrets") || last == "credentials"
    })
}

/// Whether an HTTP header of this name carries a credential.
pub(crate) fn is_secret_header(name: &str) -> bool {
    let known = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
    ];
    known.iter().any(|header| header.eq_ignore_ascii_case(name)) || mark(name) != Mark::Plain
}

/// Lower-case words of `SNAKE_CASE`, `kebab-case`, `dotted.names` and `camelCase`, without trailing digits.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut was_lower, mut was_upper) = (false, false);
    let mut characters = name.chars().peekable();
    while let Some(character) = characters.next() {
        let next_is_lower = characters.peek().is_some_and(char::is_ascii_lowercase);
        // `bindPW`, `APIKey`: the last capital of several starts a word.
        let starts = character.is_ascii_uppercase() && (was_lower || (was_upper && next_is_lower));
        if starts || !character.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if character.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(character.to_ascii_lowercase());
        }
        was_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
        was_upper = character.is_ascii_uppercase();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mark_secrets() {
        let strong = "DB_PASSWORD PGPASSWORD dbPassword password2 PASSWORD_1 GITHUB_TOKEN authToken token DB_PASS DB_PWD \
            SECRET_KEY_BASE AWS_SECRET_ACCESS_KEY clientSecret APIKEY api-key CLIENT_KEY client-key-data tls.key \
            spring.datasource.password SSH_PRIVATE_KEY MYSQL_ROOT_PASSWORD GOOGLE_CREDENTIALS DB_PASSWORDS API_TOKENS \
            NEW_RELIC_LICENSE_KEY DD_APP_KEY STRIPE_KEY JWT_KEY bindPW adminpass requirepass rootpw secretKey secret \
            secretAccessKey encryptionKey APIKey passwords API_KEYS service_key RABBITMQ_ERLANG_COOKIE bootstrapToken";
        for name in strong.split_whitespace() {
            assert_eq!(mark(name), Mark::Strong, "{name}");
        }
        for name in "restuserkey SMTP_AUTH fernetKey".split_whitespace() {
            assert_eq!(mark(name), Mark::Weak, "{name}");
        }
        for name in "pass PWD".split_whitespace() {
            assert_eq!(mark(name), Mark::Bare, "{name}");
        }
        let plain = "PATH OLDPWD TOKEN_URL TOKEN_TTL passwordFile secretName SECRET_NAMESPACE tokenReviewVersion \
            max_tokens proxy_pass BYPASS imagePullSecret existingSecret KEY keyboard monkey AWS_ACCESS_KEY_ID \
            AWS_WEB_IDENTITY_TOKEN_FILE SECRETS_STORE_ENABLED kubernetes.io/legacy-token-last-seen compass \
            public-key service-account-issuer token-webhook tokens secrets topologyKey partition_key authorized_keys \
            credentialsPath auth cacheKey pod-secret-x2v9k pod-projected-secrets-4df4c370-3683";
        for name in plain.split_whitespace() {
            assert_eq!(mark(name), Mark::Plain, "{name}");
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
}
