//! The only place that names the YAML crate. Kubernetes reads YAML 1.1 (through Go's yaml.v2), so these options read
//! `0644` as octal and write `yes`, `on` and `12:30` quoted.

use std::{collections::BTreeMap, io::Read};

use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, DeserializeSeed},
};
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Options, SerializerOptions, Spanned};

/// Text that is no YAML, or not of the shape that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// What is wrong, without the position.
    pub message: String,
    /// Where it is, when that is known.
    pub place: Option<Place>,
}

/// A position in a text, both counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// How deep lists and maps may nest. Kubernetes' own objects stay far below, and a reader's stack must hold it.
pub const MAX_DEPTH: usize = 48;
/// Values in one document that is read into memory.
const MAX_NODES: usize = 10_000_000;
/// Bytes of all scalars of one document that is read into memory, repeated ones counted again.
const MAX_SCALAR_BYTES: usize = 1 << 30;

fn options() -> Options {
    options_within(MAX_NODES, MAX_SCALAR_BYTES)
}

fn options_within(nodes: usize, scalar_bytes: usize) -> Options {
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        ignore_binary_tag_for_string: true,
        with_snippet: false,
        // `.nan` and `.inf`, which JSON lacks.
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
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
    let place = error
        .location()
        .filter(|location| location.line() > 0)
        .map(|location| Place {
            line: location.line(),
            column: location.column(),
        });
    let mut message = refusal(error).unwrap_or_else(|| error.without_snippet().to_string());
    if let Some(place) = place {
        // The crate ends its messages with the position, which callers put in front.
        for suffix in [
            format!(" at line {}, column {}", place.line, place.column),
            format!("at line {}, column {}", place.line, place.column),
        ] {
            message = message.replace(&suffix, "");
        }
    }
    YamlError {
        message: message.trim().trim_end_matches(':').to_owned(),
        place,
    }
}

/// What is said of a document that takes more memory than it may.
const TOO_LARGE: &str = "it repeats too much by aliases, or is too large";

/// Why a text is refused that has the form of YAML, where the crate speaks of its own inside.
fn refusal(error: &serde_saphyr::Error) -> Option<String> {
    use serde_saphyr::{Error, budget::BudgetBreach};
    Some(match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => return refusal(error),
        Error::RecursiveReferencesRequireWeakTypes { .. } => "an alias stands within what it repeats".to_owned(),
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => format!("lists and maps are nested more than {MAX_DEPTH} deep"),
        Error::Budget { .. } => TOO_LARGE.to_owned(),
        _ => return None,
    })
}

/// Reads the first document of `text`; later ones are not looked at (core spec §1.2). An empty text reads as null.
pub fn first_document<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    let mut reader = text.as_bytes();
    let mut documents = serde_saphyr::read_with_options::<_, T>(&mut reader, options());
    match documents.next() {
        Some(document) => document.map_err(|error| failure(&error)),
        None => serde_saphyr::from_str_with_options("null", options()).map_err(|error| failure(&error)),
    }
}

/// Reads the documents of `text` up to the first that cannot be read, and why that one cannot. All of them together weigh at most
/// `nodes`, of which one document has at most as many values; and each has at most `scalar_bytes` of scalars.
pub fn each_document_within<T: DeserializeOwned>(
    text: &str,
    nodes: usize,
    scalar_bytes: usize,
    weigh: impl Fn(&T) -> usize,
) -> (Vec<T>, Option<YamlError>) {
    let mut reader = text.as_bytes();
    let mut read = Vec::new();
    let mut weight = 0_usize;
    for document in serde_saphyr::read_with_options::<_, T>(&mut reader, options_within(nodes, scalar_bytes)) {
        let error = match document {
            Ok(document) => {
                weight = weight.saturating_add(weigh(&document));
                if weight <= nodes {
                    read.push(document);
                    continue;
                }
                YamlError {
                    message: TOO_LARGE.to_owned(),
                    place: None,
                }
            }
            Err(error) => failure(&error),
        };
        return (read, Some(error));
    }
    (read, None)
}

/// Reads the only document of `reader` as it arrives, without holding its text. The seed decides what is held, so that the
/// number of values has no limit.
pub fn stream<T>(reader: impl Read, seed: impl for<'de> DeserializeSeed<'de, Value = T>) -> Result<T, YamlError> {
    let options = options_within(usize::MAX, usize::MAX);
    serde_saphyr::with_deserializer_from_reader_with_options(reader, options, |document| seed.deserialize(document))
        .map_err(|error| failure(&error))
}

/// Reads every document of `text`, empty ones left out.
pub fn all_documents(text: &str) -> Result<Vec<serde_json::Value>, YamlError> {
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|error| failure(&error))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Writes a document that YAML 1.1 readers read back unchanged.
pub fn to_string<T: Serialize>(value: &T) -> Result<String, YamlError> {
    let options: SerializerOptions = serde_saphyr::ser_options! { compact_list_indent: true };
    serde_saphyr::to_string_with_options(value, options).map_err(|error| YamlError {
        message: error.to_string(),
        place: None,
    })
}

/// Where the value at `path` (keys, or list indices as decimal numbers) stands in the first document of `text`; the
/// nearest enclosing value where the path leads nowhere.
pub fn locate(text: &str, path: &[&str]) -> Option<Place> {
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
    (location.line() > 0).then(|| Place {
        line: location.line(),
        column: location.column(),
    })
}

/// Paths of keys that stand more than once in one mapping of the first document of `text`: keys, and list indices as decimal
/// numbers.
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
    /// With the keys that stand in it again.
    Map(BTreeMap<String, Spanned<Self>>, Vec<String>),
    List(Vec<Spanned<Self>>),
    Scalar,
}

impl Located {
    fn duplicates(&self, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
        match self {
            Self::Map(map, again) => {
                found.extend(
                    again
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
                let mut again = Vec::new();
                while let Some((key, value)) = access.next_entry::<String, _>()? {
                    if map.contains_key(&key) && !again.contains(&key) {
                        again.push(key.clone());
                    }
                    map.insert(key, value);
                }
                Ok(Located::Map(map, again))
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
    fn only_the_first_document_counts() {
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

    /// Nothing of the reader's own inside.
    #[test]
    fn what_is_refused_is_said_in_plain_words() {
        let nested = format!("{}{}", "[".repeat(49), "]".repeat(49));
        let mut laughs = "- &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        laughs.extend((1..9).map(|level| {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            format!("- &a{level} [{aliases}]\n")
        }));
        for (text, message) in [
            ("a: &a [*a]\n", "an alias stands within what it repeats"),
            (&nested, "lists and maps are nested more than 48 deep"),
            (&laughs, "it repeats too much by aliases, or is too large"),
        ] {
            let error = first_document::<Value>(text).unwrap_err();
            assert_eq!(error.message, message);
            assert!(error.place.is_some(), "{message}");
        }
    }

    #[test]
    fn errors_name_the_place() {
        let error = first_document::<Value>("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert_eq!(error.place.map(|place| place.line), Some(3), "{error:?}");
    }

    #[test]
    fn keys_that_stand_twice_are_found_in_any_depth() {
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
    fn values_are_found_again() {
        let text = "sonobuoy-config:\n  driver: Job\nspec:\n  env:\n  - name: a\n  - name: b\n";
        assert_eq!(
            locate(text, &["sonobuoy-config", "driver"]),
            Some(Place { line: 2, column: 11 })
        );
        assert_eq!(
            locate(text, &["spec", "env", "1", "name"]),
            Some(Place { line: 6, column: 11 })
        );
        assert_eq!(locate(text, &["spec", "name"]).map(|place| place.line), Some(4));
    }

    /// Tests run on threads of 2 MiB, as the aggregator's readers do: a stack that overflows ends the process.
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
