//! Credentials of published formats.

mod tokens;
mod url;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
pub(crate) use url::{credentials_before, oracle, password as url_password};

pub(crate) use self::tokens::{TOKENS, Token};
use crate::{
    bytes::{at, before, find, is_base64, is_blank, part, run, run_back},
    finding::Finding,
    hits::Rule,
};

/// Most bytes of a private key or another long credential.
pub(crate) const LONGEST: usize = 15 << 10;

/// The formats that need more than a prefix and an alphabet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    Pem,
    PemBase64,
    PuttyKey,
    Jwt,
    JwtBase64,
    Bearer,
    Basic,
    Url,
    Oracle,
    DataSource,
    Crypt,
    Webhook,
    TelegramBot,
    AzureSecret,
    PasswordFile,
}

/// The keywords that start the search of a special format, in lower case.
pub(crate) const SPECIALS: &[(&str, Special)] = &[
    ("-----begin ", Special::Pem),
    ("ls0tls1crudjti", Special::PemBase64),
    ("private-lines:", Special::PuttyKey),
    ("eyj", Special::Jwt),
    ("zxlk", Special::JwtBase64),
    ("bearer", Special::Bearer),
    ("basic", Special::Basic),
    ("://", Special::Url),
    (":\\/\\/", Special::Url),
    (":thin:", Special::Oracle),
    (":oci:", Special::Oracle),
    ("@tcp(", Special::DataSource),
    ("@unix(", Special::DataSource),
    ("$2a$", Special::Crypt),
    ("$2b$", Special::Crypt),
    ("$2y$", Special::Crypt),
    ("$apr1$", Special::Crypt),
    ("$1$", Special::Crypt),
    ("$5$", Special::Crypt),
    ("$6$", Special::Crypt),
    ("$y$", Special::Crypt),
    ("$argon2", Special::Crypt),
    ("{sha}", Special::Crypt),
    ("{ssha}", Special::Crypt),
    ("hooks.slack.com/", Special::Webhook),
    ("/api/webhooks/", Special::Webhook),
    ("webhook.office.com/", Special::Webhook),
    ("outlook.office.com/webhook/", Special::Webhook),
    ("events.pagerduty.com/integration/", Special::Webhook),
    (":aa", Special::TelegramBot),
    ("8q~", Special::AzureSecret),
    (":5432:", Special::PasswordFile),
    (":*:", Special::PasswordFile),
];

/// Whether a token may start at `start`: at the start of a word, also after an escape.
pub(crate) fn is_boundary(text: &[u8], start: usize) -> bool {
    let previous = before(text, start);
    let escaped = start >= 2 && at(text, start - 2) == b'\\' && matches!(previous, b'n' | b'r' | b't');
    let percent = start >= 3 && at(text, start - 3) == b'%';
    !(previous.is_ascii_alphanumeric() || previous == b'_') || escaped || percent
}

/// The token of a prefix at `start`.
pub(crate) fn token(text: &[u8], start: usize, token: &Token) -> Option<Finding> {
    let body = start + token.prefix.len();
    if part(text, start, body) != token.prefix.as_bytes() || !is_boundary(text, start) {
        return None;
    }
    let end = run(text, body, token.most, |byte| token.alphabet.has(byte));
    let found = part(text, body, end);
    let digits = found.iter().any(u8::is_ascii_digit);
    (found.len() >= token.least && (digits || !token.digit)).then_some(Finding {
        start,
        end,
        rule: Rule::Shape(token.id),
    })
}

/// A special format whose keyword is from `start` to `end`.
pub(crate) fn special(text: &[u8], start: usize, end: usize, special: Special) -> Option<Finding> {
    let finding = |start, end, id| {
        Some(Finding {
            start,
            end,
            rule: Rule::Shape(id),
        })
    };
    match special {
        Special::Pem => None,
        Special::PemBase64 => {
            let header = run(text, start, 56, is_base64) - start;
            let label = STANDARD_NO_PAD.decode(part(text, start, start + header / 4 * 4)).ok()?;
            find(&label, 0, label.len(), b"PRIVATE ")?;
            let end = run(text, start, LONGEST, |byte| {
                is_base64(byte) || matches!(byte, b'=' | b'\n' | b'\r' | b' ')
            });
            let end = run_back(text, end, end - start, |byte| byte.is_ascii_whitespace());
            finding(start, end, "private-key")
        }
        Special::PuttyKey => {
            let end = run(text, end, LONGEST, |byte| {
                is_base64(byte) || matches!(byte, b'=' | b'\n' | b'\r' | b' ' | b'\\')
            });
            finding(start, end, "private-key")
        }
        Special::Jwt => jwt(text, start).and_then(|end| finding(start, end, "jwt")),
        Special::JwtBase64 => {
            let is_header = [&b"ZXlKaGJH"[..], b"ZXlKMGVY", b"ZXlKcmFX"].contains(&part(text, start, start + 8));
            let end = run(text, start, LONGEST, |byte| {
                is_base64(byte) || matches!(byte, b'-' | b'_' | b'=')
            });
            (is_header && end - start >= 40 && is_boundary(text, start)).then_some(())?;
            finding(start, end, "jwt")
        }
        Special::Bearer => bearer(text, start, end),
        Special::Basic => basic(text, end),
        Special::Url => url_password(text, start, end),
        Special::Oracle => oracle(text, end),
        Special::DataSource => credentials_before(text, start),
        Special::Crypt => {
            let end = run(text, end, 256, |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/' | b'$' | b'=' | b',' | b'+')
            });
            (end - start >= 24).then_some(())?;
            finding(start, end, "password-hash")
        }
        Special::Webhook => {
            let end_of_path = run(text, end, 512, |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'@' | b'.' | b'%')
            });
            (end_of_path - end >= 16).then_some(())?;
            finding(end, end_of_path, "webhook")
        }
        Special::TelegramBot => {
            let first = run_back(text, start, 12, |byte| byte.is_ascii_digit());
            let last = run(text, start + 1, 40, is_word_or_dash);
            (start - first >= 8 && last - start > 34 && part(text, start, start + 3) == b":AA").then_some(())?;
            finding(first, last, "telegram")
        }
        Special::AzureSecret => {
            let first = run_back(text, start, 3, |byte| {
                is_word_or_dash(byte) || matches!(byte, b'.' | b'~')
            });
            let last = run(text, end, 40, |byte| {
                is_word_or_dash(byte) || matches!(byte, b'.' | b'~')
            });
            (part(text, start, end) == b"8Q~" && start - first == 3 && last - end >= 31).then_some(())?;
            finding(first, last, "azure")
        }
        Special::PasswordFile => password_file(text, start),
    }
}

fn is_word_or_dash(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The private key in PEM that starts at `start`. `footer` is the place of the next end of a block.
pub(crate) fn private_key(text: &[u8], start: usize, label: usize, footer: usize) -> Option<Finding> {
    let close = find(text, label, 64, b"-----")?;
    let words = part(text, label, close);
    find(words, 0, words.len(), b"PRIVATE KEY")?;
    let body = close + 5;
    let end = if footer >= body && footer - body <= LONGEST {
        find(text, footer + 9, 64, b"-----").map_or(footer + 9, |close| close + 5)
    } else {
        // A torn key.
        run(text, body, LONGEST, |byte| {
            is_base64(byte) || byte.is_ascii_whitespace() || matches!(byte, b'=' | b'\\' | b'-' | b':' | b',')
        })
    };
    Some(Finding {
        start,
        end,
        rule: Rule::Shape("private-key"),
    })
}

/// The end of a token of three parts, of which the first two are JSON in base64.
fn jwt(text: &[u8], start: usize) -> Option<usize> {
    if part(text, start, start + 3) != b"eyJ" || !is_boundary(text, start) {
        return None;
    }
    let header = run(text, start, LONGEST / 3, is_word_or_dash);
    if header - start < 10 || at(text, header) != b'.' {
        return None;
    }
    let payload = run(text, header + 1, LONGEST / 3, is_word_or_dash);
    // Encrypted tokens have five parts, the second may be empty.
    if payload - header < 8 && at(text, payload) != b'.' {
        return None;
    }
    Some(run(text, payload, LONGEST / 3, |byte| {
        is_word_or_dash(byte) || byte == b'.'
    }))
}

fn bearer(text: &[u8], start: usize, end: usize) -> Option<Finding> {
    if !is_boundary(text, start) {
        return None;
    }
    let mut first = run(text, end, 8, |byte| {
        is_blank(byte) || matches!(byte, b'"' | b'\'' | b':' | b'\\')
    });
    if part(text, end, end + 3) == b"%20" {
        first = end + 3;
    }
    let last = run(text, first, 4 << 10, |byte| {
        is_word_or_dash(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
    });
    let token = part(text, first, last);
    (first > end && token.len() >= 16 && token.iter().any(u8::is_ascii_digit)).then_some(Finding {
        start: first,
        end: last,
        rule: Rule::Shape("bearer"),
    })
}

/// Base64 of `user:password` after the word `Basic`, in a header or anywhere else.
fn basic(text: &[u8], end: usize) -> Option<Finding> {
    let first = run(text, end, 4, is_blank);
    let last = run(text, first, 1_024, |byte| is_base64(byte) || byte == b'=');
    (first > end && is_user_and_password(part(text, first, last))).then_some(Finding {
        start: first,
        end: last,
        rule: Rule::Shape("basic"),
    })
}

/// Whether a text is the base64 of `user:password`.
pub(crate) fn is_user_and_password(encoded: &[u8]) -> bool {
    let encoded = encoded
        .strip_suffix(b"==")
        .or_else(|| encoded.strip_suffix(b"="))
        .unwrap_or(encoded);
    if encoded.len() < 6 || encoded.len() > 1_024 {
        return false;
    }
    STANDARD_NO_PAD.decode(encoded).is_ok_and(|text| {
        text.contains(&b':') && std::str::from_utf8(&text).is_ok_and(|text| !text.contains(char::is_control))
    })
}

/// A line of `.pgpass`: `host:port:database:user:password`.
fn password_file(text: &[u8], hit: usize) -> Option<Finding> {
    let line = run_back(text, hit, 256, |byte| {
        !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'')
    });
    let end = run(text, hit, 512, |byte| {
        !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b'\\')
    });
    let fields: Vec<&[u8]> = part(text, line, end).splitn(5, |byte| *byte == b':').collect();
    let [host, port, _, user, password] = fields[..] else {
        return None;
    };
    let is_port = port == b"*" || port.iter().all(u8::is_ascii_digit) && !port.is_empty();
    let plausible = !host.is_empty() && is_port && !user.is_empty() && !password.is_empty() && password != b"*";
    plausible.then_some(Finding {
        start: end - password.len(),
        end,
        rule: Rule::Shape("pgpass"),
    })
}
