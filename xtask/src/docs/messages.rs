//! The messages that the troubleshooting page must contain: messages of the command line with a hint, errors of API requests,
//! and the aggregator's reasons for missing results.

use crate::rust_source::{self, Kind, Token};

/// A source path with messages, and the function that extracts them.
pub(super) struct Source {
    pub(super) path: &'static str,
    pub(super) messages: fn(&[&Token]) -> Vec<String>,
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

/// The messages of a source file without its tests.
///
/// # Errors
/// For text that is not Rust.
pub(super) fn of_file(source: &Source, text: &str) -> syn::Result<Vec<String>> {
    let parsed = rust_source::Source::parse(text)?;
    let product: Vec<&Token> = parsed
        .tokens
        .iter()
        .filter(|token| !parsed.is_test(token.line))
        .collect();
    Ok((source.messages)(&product))
}

/// Messages of `CliError::new("…")`, also with `format!`, in expressions with `.hint(`.
fn with_hints(tokens: &[&Token]) -> Vec<String> {
    let calls = after(tokens, &["CliError", ":", ":", "new"]);
    calls
        .filter(|rest| {
            // The arguments are one level below the expression.
            let depth = rest.first().map_or(0, |token| token.depth.saturating_sub(1));
            let is_end = |token: &Token| token.depth < depth || token.depth == depth && ";,".contains(&token.text);
            let mut expression = rest.iter().take_while(|token| !is_end(token));
            expression.any(|token| token.depth == depth && is_identifier(token, "hint"))
        })
        .filter_map(|rest| match rest {
            [format, mark, text, ..] if is_identifier(format, "format") && mark.text == "!" => literal(&text.text),
            [text, ..] => literal(&text.text),
            [] => None,
        })
        .collect()
}

/// Messages of `#[error("…")]`.
fn of_enums(tokens: &[&Token]) -> Vec<String> {
    after(tokens, &["#", "error"])
        .filter_map(|rest| literal(&rest.first()?.text))
        .collect()
}

/// Messages of `format!("…")` with a minimum length.
fn formatted(tokens: &[&Token]) -> Vec<String> {
    after(tokens, &["format", "!"])
        .filter_map(|rest| literal(&rest.first()?.text))
        .filter(|text| text.len() >= MIN_MESSAGE_LENGTH)
        .collect()
}

/// The tokens after each occurrence of a sequence.
fn after<'a, 'b>(tokens: &'a [&'b Token], sequence: &'a [&str]) -> impl Iterator<Item = &'a [&'b Token]> {
    let windows = tokens.windows(sequence.len()).enumerate();
    windows
        .filter(move |(_, window)| window.iter().zip(sequence).all(|(token, text)| token.text == **text))
        .filter_map(move |(index, _)| tokens.get(index + sequence.len()..))
}

fn is_identifier(token: &Token, name: &str) -> bool {
    token.kind == Kind::Identifier && token.text == name
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

    fn messages(messages: fn(&[&Token]) -> Vec<String>, text: &str) -> Vec<String> {
        let source = Source { path: "a.rs", messages };
        of_file(&source, text).expect("Rust")
    }

    #[test]
    fn messages_extracted_from_sources() {
        let source = "fn f() {\n a(CliError::new(format!(\n    \"no `{name}`, and \\\n     more\"\n)).details(x).hint(\"h\"));\n\
                      b(CliError::new(\"without\"));\nlet c = CliError::new(what).hint(h);\n\
                      CliError::new(\"with \\\"quotes\\\"\").hint(h);\nmatch a { A => CliError::new(\"an arm\"), B => b.hint(h) }\n// CliError::new(\"comment\").hint(h);\n}\n\
                      #[cfg(test)]\nmod tests { fn f() { CliError::new(\"test\").hint(h) } }";
        assert_eq!(messages(with_hints, source), ["no `…`, and more", "with \"quotes\""]);
        let errors = "enum E {\n#[error(\"one {0}\")]\nA,\n#[error(transparent)]\nB }";
        assert_eq!(messages(of_enums, errors), ["one …"]);
        let formats = "fn f() { format!(\"short\"); format!(\n\"a sentence that is long enough to be one {x}\") }";
        assert_eq!(
            messages(formatted, formats),
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
