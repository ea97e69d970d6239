//! Messages of ours that a page has to have a line for: those of the command line that come with a hint, those of requests
//! to the API server, and what the aggregator writes in place of a result. Read from the sources as text.

/// Where messages are, and how they are found there.
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
        path: "crates/sono-aggregator/src/engine.rs",
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

/// A text that is shorter is a part of another one.
const SENTENCE: usize = 40;

/// Whether the page has the longest piece of the message that is always the same.
pub(super) fn has(page: &str, message: &str) -> bool {
    let constant = message.split('…').max_by_key(|piece| piece.len()).unwrap_or_default();
    page.contains(constant.trim())
}

/// `CliError::new("…")` and the like, followed by `.hint(` before the next one.
fn with_hints(source: &str) -> Vec<String> {
    let source = product(source);
    let pieces: Vec<&str> = source.split("CliError::new(").skip(1).collect();
    pieces
        .into_iter()
        .filter(|piece| {
            let end = piece.find(';').unwrap_or(piece.len());
            piece[..end].contains(".hint(")
        })
        .filter_map(|piece| literal(piece.trim_start().trim_start_matches("format!(")))
        .collect()
}

/// `#[error("…")]`.
fn of_enums(source: &str) -> Vec<String> {
    let pieces = product(source).split("#[error(").skip(1);
    pieces.filter_map(literal).collect()
}

/// `format!("…")` with a sentence in it.
fn formatted(source: &str) -> Vec<String> {
    let pieces = product(source).split("format!(").skip(1);
    pieces
        .filter_map(literal)
        .filter(|text| text.len() >= SENTENCE)
        .collect()
}

/// Without the tests at the end.
fn product(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests {").next().unwrap_or(source)
}

/// The string that `source` begins with, `…` for what is put into it.
fn literal(source: &str) -> Option<String> {
    let mut letters = source.trim_start().strip_prefix('"')?.chars().peekable();
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return Some(text),
            '\\' => match letters.next()? {
                // A line that goes on.
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
    fn messages_are_read_from_sources() {
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
    fn what_is_put_in_does_not_count() {
        assert!(has("| `no plugin … is here` |", "no plugin … is here"));
        assert!(has("there: is gone after all", "… is gone after all"));
        assert!(!has("there: is gone", "… is gone after all"));
    }
}
