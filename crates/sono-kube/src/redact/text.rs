//! Secrets in texts: by their shape, and as `name = value` in any format.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex, RegexSet};

use super::{
    REDACTED, Reason,
    name::{can_be_secret, is_secret},
};

/// Reasons and expressions. Group `prefix` is not replaced; group `secret`, if present, must look random.
const SHAPES: &[(Reason, &str)] = &[
    (
        Reason::PrivateKey,
        r"(?s)-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\z)",
    ),
    // Base64 of the same first lines. Those of certificates do not match.
    (
        Reason::PrivateKey,
        r"LS0tLS1CRUdJTi(?:BQUklWQVRFIEtFWS|BSU0EgUFJJVkFURS|BFQyBQUklWQVRF|BPUEVOU1NIIFBS|BFTkNSWVBURUQg|BEU0EgUFJJVkFURS)[A-Za-z0-9+/]*={0,2}",
    ),
    (
        Reason::Token,
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    ),
    (
        Reason::Token,
        r"(?P<prefix>(?i:\bbearer\s+))(?P<secret>[A-Za-z0-9._~+/-]{16,}=*)",
    ),
    (
        Reason::Token,
        r"(?P<prefix>(?i:\bauthorization:\s*basic\s+))[A-Za-z0-9+/]{8,}=*",
    ),
    (
        Reason::Token,
        r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}|xox[abposr]-[A-Za-z0-9-]{10,}|AIza[A-Za-z0-9_-]{35})",
    ),
    // Registry credentials in `.dockerconfigjson`.
    (Reason::Token, r#"(?P<prefix>"auth"\s*:\s*")[A-Za-z0-9+/]{8,}={0,2}"#),
    (Reason::AwsKey, r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    (
        Reason::UrlPassword,
        r#"(?P<prefix>\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@?#'"]*:)(?P<secret>[^\s/@'"]+)@"#,
    ),
];

static ANY: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new(SHAPES.iter().map(|(_, expression)| expression)).expect("the expressions are constants")
});
static EACH: LazyLock<Vec<(Reason, Regex)>> = LazyLock::new(|| {
    let compile = |expression: &str| Regex::new(expression).expect("the expressions are constants");
    SHAPES
        .iter()
        .map(|(reason, expression)| (*reason, compile(expression)))
        .collect()
});
/// A cheap test that excludes most texts from the expensive expression.
static HINT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("(?i)pass|pwd|secret|token|key|credential").expect("the expression is a constant"));
/// `name: value`, `name = "value"`, `--name=value`, `"name": "value"`.
static ASSIGNMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?P<name>[A-Za-z0-9_.\-]+)["']?[ \t]*(?:=>|[:=])[ \t]*(?P<value>\$\{[^}\n]*\}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[^\s,;&"'{}\[\]]+)"#,
    )
    .expect("the expression is a constant")
});

/// Replaces secrets of a known shape.
pub(super) fn scrub_shapes(text: &mut String, found: &mut dyn FnMut(Reason)) {
    let matching = ANY.matches(text);
    for index in &matching {
        let Some((reason, expression)) = EACH.get(index) else {
            continue;
        };
        let replaced = expression.replace_all(text, |captures: &Captures<'_>| {
            let whole = captures.get(0).map_or("", |whole| whole.as_str());
            let secret = captures.name("secret").map(|secret| secret.as_str());
            if secret.is_some_and(|secret| !looks_random(secret, *reason)) {
                return whole.to_owned();
            }
            found(*reason);
            let prefix = captures.name("prefix").map_or("", |prefix| prefix.as_str());
            let end = if *reason == Reason::UrlPassword { "@" } else { "" };
            format!("{prefix}{REDACTED}{end}")
        });
        if let Cow::Owned(replaced) = replaced {
            *text = replaced;
        }
    }
}

/// Whether a match looks random; prose has ordinary words in these places.
fn looks_random(secret: &str, reason: Reason) -> bool {
    match reason {
        Reason::Token => secret.bytes().any(|byte| byte.is_ascii_digit()) || secret.ends_with('='),
        _ => can_be_secret(secret),
    }
}

/// Replaces the values assigned to secret names. A value of a name at the start of a line extends to the end of the
/// line, since YAML and properties files do not require quotes.
pub(super) fn scrub_assignments(text: &mut String, found: &mut dyn FnMut(Reason)) {
    if !HINT.is_match(text) {
        return;
    }
    let mut out = String::new();
    let (mut copied, mut position) = (0, 0);
    while let Some(captures) = ASSIGNMENT.captures_at(text, position) {
        let (Some(name), Some(value)) = (captures.name("name"), captures.name("value")) else {
            break;
        };
        // A value may contain assignments.
        position = value.start();
        if !is_secret(name.as_str()) || !can_be_secret(value.as_str()) {
            continue;
        }
        let line = text[..name.start()].rfind('\n').map_or(0, |newline| newline + 1);
        let before = text[line..name.start()].trim();
        let begins_line = ["", "-", "export"].contains(&before) && !name.as_str().starts_with('-');
        let quoted = value.as_str().starts_with(['"', '\'']);
        let (start, end) = if quoted {
            (value.start() + 1, value.end() - 1)
        } else if begins_line {
            let rest = text[value.start()..]
                .find('\n')
                .unwrap_or_else(|| text.len() - value.start());
            (
                value.start(),
                value.start() + text[value.start()..value.start() + rest].trim_end().len(),
            )
        } else {
            (value.start(), value.end())
        };
        out.push_str(&text[copied..start]);
        out.push_str(REDACTED);
        found(Reason::Name);
        (copied, position) = (end, end);
    }
    if copied > 0 {
        out.push_str(&text[copied..]);
        *text = out;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(scrub: fn(&mut String, &mut dyn FnMut(Reason)), input: &str, expected: &str) {
        let mut text = input.to_owned();
        let mut count = 0;
        scrub(&mut text, &mut |_| count += 1);
        assert_eq!(text, expected);
        assert_eq!(count, expected.matches(REDACTED).count(), "{input}");
        // Redacted texts do not change again.
        let before = text.clone();
        scrub(&mut text, &mut |_| count += 100);
        assert_eq!((text, count < 100), (before, true), "{input}");
    }

    #[test]
    fn shapes() {
        for (input, expected) in [
            (
                "a\n-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY-----\nb",
                "a\n[redacted]\nb",
            ),
            ("-----BEGIN PRIVATE KEY-----\ncut", "[redacted]"),
            (
                "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
                "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
            ),
            ("LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCg==", "[redacted]"),
            ("LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo=", "[redacted]"),
            (
                "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==",
                "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==",
            ),
            (
                "x eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl y",
                "x [redacted] y",
            ),
            (
                "Authorization: Bearer abcdef0123456789abcdef",
                "Authorization: Bearer [redacted]",
            ),
            (
                "Unable to use bearer authentication-configuration here",
                "Unable to use bearer authentication-configuration here",
            ),
            ("key AKIAIOSFODNN7EXAMPLE.", "key [redacted]."),
            ("postgres://u:p4ss@db:5432/x", "postgres://u:[redacted]@db:5432/x"),
            ("postgres://u:$(PASSWORD)@db", "postgres://u:$(PASSWORD)@db"),
            (
                "https://example.com:8443/a@b ssh://git@example.com",
                "https://example.com:8443/a@b ssh://git@example.com",
            ),
            (
                r#"{"auths":{"r":{"auth":"dXNlcjpwYXNz"}}}"#,
                r#"{"auths":{"r":{"auth":"[redacted]"}}}"#,
            ),
        ] {
            check(scrub_shapes, input, expected);
        }
    }

    #[test]
    fn assignments() {
        for (input, expected) in [
            (
                "user: a\npassword: two words # c\nhost: h\n",
                "user: a\npassword: [redacted]\nhost: h\n",
            ),
            ("- token: 'x y'\n", "- token: '[redacted]'\n"),
            (
                r#"{"user":"u","password":"p\"q","n":1}"#,
                r#"{"user":"u","password":"[redacted]","n":1}"#,
            ),
            ("Server=s;Password=p;Port=1", "Server=s;Password=[redacted];Port=1"),
            (
                "java -Ddb.password=p --api-token=t -v",
                "java -Ddb.password=[redacted] --api-token=[redacted] -v",
            ),
            (
                "export DB_PASSWORD=p\nPATH=/bin",
                "export DB_PASSWORD=[redacted]\nPATH=/bin",
            ),
            ("opts: password=p", "opts: password=[redacted]"),
            (
                "tokenTTL: 24h\nsecretName: s\npassword:\n  from: x\n",
                "tokenTTL: 24h\nsecretName: s\npassword:\n  from: x\n",
            ),
            (
                "password: ${PASSWORD}\ntoken: /var/run/token\nsecret: true",
                "password: ${PASSWORD}\ntoken: /var/run/token\nsecret: true",
            ),
        ] {
            check(scrub_assignments, input, expected);
        }
    }
}
