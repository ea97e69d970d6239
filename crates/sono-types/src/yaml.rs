//! YAML with the options that match Kubernetes.
//!
//! No other module uses the YAML crate. Kubernetes reads YAML 1.1 (through Go's yaml.v2), so `0644` is read as octal, and
//! `yes`, `on` and `12:30` are written in quotes.

use std::{collections::BTreeMap, io::Read};

use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, DeserializeSeed},
};
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Options, SerializerOptions, Spanned};

/// Error of a text that is not YAML or does not have the expected structure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// Message without the position.
    pub message: String,
    /// Position of the error, if known.
    pub position: Option<Position>,
}

/// A line and column in a text, counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// Maximum nesting of lists and maps, far above that of Kubernetes objects. It protects the reader's stack.
pub const MAX_DEPTH: usize = 48;
/// Maximum number of values in a document that is read into memory.
const MAX_NODES: usize = 10_000_000;
/// Maximum size of all scalars of a document that is read into memory, in bytes; aliases count each time.
const MAX_SCALAR_BYTES: usize = 1 << 30;
/// Maximum number of events (about two for each value) that the aliases of a document repeat: with them a document of 1 kB can have
/// any number of values. 100,000 need about 50 MB.
const MAX_REPEATED_EVENTS: usize = 100_000;

fn options() -> Options {
    options_within(MAX_NODES, MAX_SCALAR_BYTES, DuplicateKeyPolicy::LastWins)
}

fn options_within(nodes: usize, scalar_bytes: usize, duplicates: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        duplicate_keys: duplicates,
        ignore_binary_tag_for_string: true,
        with_snippet: false,
        // `.nan` and `.inf`, which JSON lacks.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPEATED_EVENTS,
        },
        budget: serde_saphyr::budget! {
            max_events: nodes.saturating_mul(2),
            max_nodes: nodes,
            max_total_scalar_bytes: scalar_bytes,
            // Found by `cargo xtask fuzz`: 200 levels overflow the 2 MiB stack of a thread.
            max_depth: MAX_DEPTH,
        },
    }
}

fn failure(error: &serde_saphyr::Error) -> YamlError {
    let position = error
        .location()
        .filter(|location| location.line() > 0)
        .map(|location| Position {
            line: location.line(),
            column: location.column(),
        });
    let mut message = plain_message(error).unwrap_or_else(|| error.without_snippet().to_string());
    if let Some(position) = position {
        // The crate appends the position to its messages; callers print it in front.
        for suffix in [
            format!(" at line {}, column {}", position.line, position.column),
            format!("at line {}, column {}", position.line, position.column),
        ] {
            message = message.replace(&suffix, "");
        }
    }
    YamlError {
        message: message.trim().trim_end_matches(':').to_owned(),
        position,
    }
}

/// Message for a document that exceeds the memory limits.
const TOO_LARGE: &str = "the document is too large or repeats too many aliases";

/// Message for errors that the YAML crate describes in terms of its internals.
fn plain_message(error: &serde_saphyr::Error) -> Option<String> {
    use serde_saphyr::{Error, budget::BudgetBreach};
    Some(match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => return plain_message(error),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("duplicate key `{key}`"),
        Error::DuplicateMappingKey { key: None, .. } => "duplicate key".to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias refers to its own parent".to_owned(),
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => format!("lists and maps are nested more than {MAX_DEPTH} levels deep"),
        Error::Budget { .. } | Error::AliasReplayLimitExceeded { .. } => TOO_LARGE.to_owned(),
        _ => return None,
    })
}

/// Parses the first document of `text` and ignores later ones (core §1.2). Empty text is null.
pub fn first_document<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    let mut reader = text.as_bytes();
    let mut documents = serde_saphyr::read_with_options::<_, T>(&mut reader, options());
    match documents.next() {
        Some(document) => document.map_err(|error| failure(&error)),
        None => serde_saphyr::from_str_with_options("null", options()).map_err(|error| failure(&error)),
    }
}

/// Parses the documents of `text` up to the first error, which is returned with them. A duplicate key is an error: the value that
/// is dropped may be the intended one.
///
/// `nodes` limits both the total weight of all documents and the number of values in one document; `scalar_bytes` limits the
/// scalars of one document.
pub fn each_document_within<T: DeserializeOwned>(
    text: &str,
    nodes: usize,
    scalar_bytes: usize,
    weigh: impl Fn(&T) -> usize,
) -> (Vec<T>, Option<YamlError>) {
    let mut reader = text.as_bytes();
    let mut read = Vec::new();
    let mut weight = 0_usize;
    let options = options_within(nodes, scalar_bytes, DuplicateKeyPolicy::Error);
    for document in serde_saphyr::read_with_options::<_, T>(&mut reader, options) {
        let error = match document {
            Ok(document) => {
                weight = weight.saturating_add(weigh(&document));
                if weight <= nodes {
                    read.push(document);
                    continue;
                }
                YamlError {
                    message: TOO_LARGE.to_owned(),
                    position: None,
                }
            }
            Err(error) => failure(&error),
        };
        return (read, Some(error));
    }
    (read, None)
}

/// Parses the only document of `reader` in a streaming way. The number of values is unlimited, as `seed` decides which
/// ones are stored.
pub fn stream<T>(reader: impl Read, seed: impl for<'de> DeserializeSeed<'de, Value = T>) -> Result<T, YamlError> {
    let options = options_within(usize::MAX, usize::MAX, DuplicateKeyPolicy::LastWins);
    serde_saphyr::with_deserializer_from_reader_with_options(reader, options, |document| seed.deserialize(document))
        .map_err(|error| failure(&error))
}

/// Parses all documents of `text` except empty ones.
pub fn all_documents(text: &str) -> Result<Vec<serde_json::Value>, YamlError> {
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| failure(&error))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Serializes a document so that YAML 1.1 readers read it back unchanged.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, YamlError> {
    let options: SerializerOptions = serde_saphyr::ser_options! { compact_list_indent: true };
    serde_saphyr::to_string_with_options(value, options).map_err(|error| YamlError {
        message: error.to_string(),
        position: None,
    })
}

/// Position of the value at `path` (keys and decimal list indices) in the first document of `text`. If the path does not
/// exist, the position of its nearest existing parent.
pub fn locate(text: &str, path: &[&str]) -> Option<Position> {
    let root: Spanned<Located> = first_document(text).ok()?;
    let mut node = &root;
    for key in path {
        let next = match &node.value {
            Located::Map(map, _) => map.get(*key),
            Located::List(list) => key.parse::<usize>().ok().and_then(|index| list.get(index)),
            Located::Scalar => None,
        };
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    let location = node.referenced;
    (location.line() > 0).then(|| Position {
        line: location.line(),
        column: location.column(),
    })
}

/// Paths (keys and decimal list indices) of duplicate keys in the first document of `text`.
pub fn duplicate_keys(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    if let Ok(root) = first_document::<Spanned<Located>>(text) {
        root.value.duplicates(&mut Vec::new(), &mut found);
    }
    found
}

/// A document reduced to the positions of its values.
#[derive(Debug)]
enum Located {
    /// Values by key, and the duplicate keys.
    Map(BTreeMap<String, Spanned<Self>>, Vec<String>),
    List(Vec<Spanned<Self>>),
    Scalar,
}

impl Located {
    fn duplicates(&self, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
        match self {
            Self::Map(map, repeated) => {
                found.extend(
                    repeated
                        .iter()
                        .map(|key| [path.as_slice(), std::slice::from_ref(key)].concat()),
                );
                for (key, value) in map {
                    path.push(key.clone());
                    value.value.duplicates(path, found);
                    path.pop();
                }
            }
            Self::List(list) => {
                for (index, value) in list.iter().enumerate() {
                    path.push(index.to_string());
                    value.value.duplicates(path, found);
                    path.pop();
                }
            }
            Self::Scalar => {}
        }
    }
}

impl<'de> Deserialize<'de> for Located {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Located;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("any value")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut access: A) -> Result<Located, A::Error> {
                let mut map = BTreeMap::new();
                let mut repeated = Vec::new();
                while let Some((key, value)) = access.next_entry::<String, _>()? {
                    if map.contains_key(&key) && !repeated.contains(&key) {
                        repeated.push(key.clone());
                    }
                    map.insert(key, value);
                }
                Ok(Located::Map(map, repeated))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut access: A) -> Result<Located, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = access.next_element()? {
                    list.push(value);
                }
                Ok(Located::List(list))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Located, E> {
                Ok(Located::Scalar)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Located, E> {
                Ok(Located::Scalar)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Located, E> {
                Ok(Located::Scalar)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Located, E> {
                Ok(Located::Scalar)
            }
            fn visit_str<E>(self, _: &str) -> Result<Located, E> {
                Ok(Located::Scalar)
            }
            fn visit_unit<E>(self) -> Result<Located, E> {
                Ok(Located::Scalar)
            }
            fn visit_none<E>(self) -> Result<Located, E> {
                Ok(Located::Scalar)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn scalars_read_as_kubernetes_reads_them() {
        let value: Value = first_document("mode: 0644\non: yes\ntime: 12:30\ntext: 'yes'\n").unwrap();
        assert_eq!(value, json!({"mode": 420, "on": true, "time": "12:30", "text": "yes"}));
    }

    #[test]
    fn later_documents_are_ignored() {
        assert_eq!(first_document::<Value>("a: 1\n---\nb: [").unwrap(), json!({"a": 1}));
        assert_eq!(first_document::<Value>("").unwrap(), Value::Null);
    }

    #[test]
    fn text_that_looks_like_something_else_is_quoted() {
        for text in [
            "yes",
            "no",
            "on",
            "off",
            "y",
            "n",
            "12:30",
            "1_000",
            "2020-01-01",
            "0644",
            "null",
            "~",
            "1e3",
            "<<",
            "=",
            " a",
            "a: b",
            "#x",
            "",
        ] {
            let written = to_string(&json!({"k": text})).unwrap();
            assert_eq!(
                first_document::<Value>(&written).unwrap(),
                json!({"k": text}),
                "{written}"
            );
            assert!(written.contains('"') || written.contains('\''), "{written}");
        }
    }

    /// A list of ten values, then lists of ten aliases of the list before.
    fn repeated(lists: usize) -> String {
        let first = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        let others = (1..lists).map(|list| {
            let aliases = vec![format!("*a{}", list - 1); 10].join(", ");
            format!("- &a{list} [{aliases}]\n")
        });
        std::iter::once(first).chain(others).collect()
    }

    #[test]
    fn aliases_repeat_a_limited_number_of_values() {
        assert!(first_document::<Value>(&repeated(4)).is_ok());
        for lists in [5, 6, 9] {
            let error = first_document::<Value>(&repeated(lists)).unwrap_err();
            assert_eq!(error.message, TOO_LARGE, "{lists} lists");
        }
    }

    #[test]
    fn messages_do_not_mention_internals_of_the_yaml_crate() {
        let nested = format!("{}{}", "[".repeat(49), "]".repeat(49));
        let laughs = repeated(9);
        for (text, message) in [
            ("a: &a [*a]\n", "an alias refers to its own parent"),
            (&nested, "lists and maps are nested more than 48 levels deep"),
            (&laughs, "the document is too large or repeats too many aliases"),
        ] {
            let error = first_document::<Value>(text).unwrap_err();
            assert_eq!(error.message, message);
            assert!(error.position.is_some(), "{message}");
        }
    }

    #[test]
    fn errors_have_a_position() {
        let error = first_document::<Value>("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert_eq!(error.position.map(|position| position.line), Some(3), "{error:?}");
    }

    #[test]
    fn duplicate_keys_are_found_at_any_depth() {
        for (text, expected) in [
            ("a: 1\nb: 2\n", &[][..]),
            ("a: 1\na: 2\na: 3\n", &["a"]),
            ("a: [{b: 1, c: {d: 1, d: 2}, b: 2}]\n", &["a.0.b", "a.0.c.d"]),
            ("base: &base {a: 1}\nmore: {<<: *base, a: 2}\n", &[]),
            ("a: [", &[]),
            ("", &[]),
        ] {
            let found: Vec<String> = duplicate_keys(text).iter().map(|path| path.join(".")).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn values_are_located() {
        let text = "sonobuoy-config:\n  driver: Job\nspec:\n  env:\n  - name: a\n  - name: b\n";
        assert_eq!(
            locate(text, &["sonobuoy-config", "driver"]),
            Some(Position { line: 2, column: 11 })
        );
        assert_eq!(
            locate(text, &["spec", "env", "1", "name"]),
            Some(Position { line: 6, column: 11 })
        );
        assert_eq!(locate(text, &["spec", "name"]).map(|position| position.line), Some(4));
    }

    /// Tests run on threads with 2 MiB of stack, like the aggregator's readers. A stack overflow would abort the process.
    #[test]
    fn depth_is_bounded_before_the_stack_is() {
        for (opening, closing) in [("[", "]"), ("{a: ", "}"), ("{a: [", "]}")] {
            let nested = |depth: usize| format!("{}1{}", opening.repeat(depth), closing.repeat(depth));
            let inside = MAX_DEPTH / opening.matches(['[', '{']).count() - 1;
            assert!(
                first_document::<serde_json::Value>(&nested(inside)).is_ok(),
                "{opening}"
            );
            assert!(
                first_document::<serde_json::Value>(&nested(4_000)).is_err(),
                "{opening}"
            );
        }
    }
}
