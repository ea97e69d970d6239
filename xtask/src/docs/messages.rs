//! The messages that the troubleshooting page must contain: messages of the command line with a hint, errors of API requests,
//! and the aggregator's reasons for missing results. Extracted from the sources as text.

/// A source path with messages, and the function that extracts them.
pub(super) struct Source {
    pub(super) path: &'static str,
    pub(super) messages: fn(&str) -> Vec<String>,
}

pub(super) const SOURCES: &[Source] = &[
    Source {
        path: "crates/sono-cli/src",
        messages: with_hints,
    },
    Source {
        path: "crates/sono-kube/src/error.rs",
        messages: of_enums,
    },
    Source {
        path: "crates/sono-aggregator/src/cluster/mod.rs",
        messages: of_enums,
    },
    Source {
        path: "crates/sono-aggregator/src/error.rs",
        messages: of_enums,
    },
    Source {
        path: "crates/sono-kube/src/judge.rs",
        messages: formatted,
    },
    Source {
        path: "crates/sono-aggregator/src/cluster/job.rs",
        messages: formatted,
    },
    Source {
        path: "crates/sono-aggregator/src/cluster/daemon_set.rs",
        messages: formatted,
    },
    Source {
        path: "crates/sono-aggregator/src/cluster/objects.rs",
        messages: formatted,
    },
];

/// Shorter texts are parts of other messages.
const MIN_MESSAGE_LENGTH: usize = 40;

/// Whether the page contains the longest constant part of the message.
pub(super) fn has(page: &str, message: &str) -> bool {
    let constant = message.split('…').max_by_key(|part| part.len()).unwrap_or_default();
    page.contains(constant.trim())
}

/// Messages of `CliError::new("…")` in statements with `.hint(`.
fn with_hints(source: &str) -> Vec<String> {
    let source = product(source);
    let parts: Vec<&str> = source.split("CliError::new(").skip(1).collect();
    parts
        .into_iter()
        .filter(|part| {
            let end = part.find(';').unwrap_or(part.len());
            part[..end].contains(".hint(")
        })
        .filter_map(|part| literal(part.trim_start().trim_start_matches("format!(")))
        .collect()
}

/// Messages of `#[error("…")]`.
fn of_enums(source: &str) -> Vec<String> {
    let parts = product(source).split("#[error(").skip(1);
    parts.filter_map(literal).collect()
}

/// Messages of `format!("…")` with a minimum length.
fn formatted(source: &str) -> Vec<String> {
    let parts = product(source).split("format!(").skip(1);
    parts
        .filter_map(literal)
        .filter(|text| text.len() >= MIN_MESSAGE_LENGTH)
        .collect()
}

/// The source without the tests at its end.
fn product(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests {").next().unwrap_or(source)
}

/// The string literal at the start of `source`, with `…` for placeholders.
fn literal(source: &str) -> Option<String> {
    let mut letters = source.trim_start().strip_prefix('"')?.chars().peekable();
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Some(text),
            '\\' => match letters.next()? {
                // A continued line.
                '\n' => while letters.next_if(|letter| letter.is_whitespace()).is_some() {},
                'n' => text.push(' '),
                other => text.push(other),
            },
            '{' => {
                if letters.next_if_eq(&'{').is_some() {
                    text.push('{');
                } else {
                    while letters.next()? != '}' {}
                    text.push('…');
                }
            }
            letter => text.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_extracted_from_sources() {
        let source = "a(CliError::new(format!(\n    \"no `{name}`, and \\\n     more\"\n)).details(x).hint(\"h\"));\n\
                      b(CliError::new(\"without\"));\nlet c = CliError::new(what).hint(h);\n\
                      CliError::new(\"with \\\"quotes\\\"\").hint(h);\n#[cfg(test)]\nmod tests {\n CliError::new(\"test\").hint(h) }";
        assert_eq!(with_hints(source), ["no `…`, and more", "with \"quotes\""]);
        assert_eq!(
            of_enums("#[error(\"one {0}\")]\nA,\n#[error(transparent)]\nB"),
            ["one …"]
        );
        assert_eq!(
            formatted("format!(\"short\") format!(\n\"a sentence that is long enough to be one {x}\")"),
            ["a sentence that is long enough to be one …"]
        );
    }

    #[test]
    fn has_ignores_placeholders() {
        assert!(has("| `no plugin … is here` |", "no plugin … is here"));
        assert!(has("there: is gone after all", "… is gone after all"));
        assert!(!has("there: is gone", "… is gone after all"));
    }
}
