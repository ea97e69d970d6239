//! JSON files, object by object: lists are not held in memory.

use std::{
    cell::Cell,
    fmt,
    io::{self, BufReader, Read, Write},
    rc::Rc,
    time::{Duration, Instant},
};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use sono_redact::{Redactions, Redactor};

/// Most bytes of one object.
const MAX_OBJECT: u64 = 8 << 20;

/// Copies the JSON in `content` without its secrets to `out`. `name` is the file's name, which determines the kind of objects without
/// one. Fails for other content, and for objects of more than 8 MiB; then, part of it may be written.
pub(super) fn copy(redactor: &Redactor, name: &str, content: impl Read, out: &mut dyn Write) -> io::Result<Redactions> {
    let allowance = Rc::new(Cell::new(MAX_OBJECT));
    let limited = Limited {
        inner: content,
        allowance: Rc::clone(&allowance),
    };
    let began = Instant::now();
    let mut work = Work {
        redactor,
        clock: &move || began.elapsed(),
        kind: kind_of(name),
        allowance: &allowance,
        out: &mut *out,
        found: Redactions::default(),
    };
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(limited));
    Top(&mut work).deserialize(&mut json)?;
    json.end()?;
    let found = work.found;
    out.write_all(b"\n")?;
    Ok(found)
}

/// The kind of the objects in a list, by the name of its file, such as `core_v1_secrets.json`.
fn kind_of(name: &str) -> &'static str {
    let file = name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let plural = file.trim_end_matches(".json").rsplit('_').next().unwrap_or_default();
    match plural {
        "secrets" => "Secret",
        "configmaps" => "ConfigMap",
        "oauthclients" => "OAuthClient",
        "oauthaccesstokens" => "OAuthAccessToken",
        "tokens" => "Token",
        "definition" => "PluginDefinition",
        "configz" => "KubeletConfiguration",
        _ => "",
    }
}

/// Fails after the allowed bytes, which are set again for each object.
struct Limited<R> {
    inner: R,
    allowance: Rc<Cell<u64>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.allowance.get().checked_sub(count as u64);
        let left = left.ok_or_else(|| io::Error::new(io::ErrorKind::FileTooLarge, "an object is too large"))?;
        self.allowance.set(left);
        Ok(count)
    }
}

struct Work<'a> {
    redactor: &'a Redactor,
    clock: &'a dyn Fn() -> Duration,
    kind: &'static str,
    allowance: &'a Cell<u64>,
    out: &'a mut dyn Write,
    found: Redactions,
}

impl Work<'_> {
    /// Redacts an object and writes it.
    fn object(&mut self, object: &mut Value) -> io::Result<()> {
        self.allowance.set(MAX_OBJECT);
        let own = object.get("kind").and_then(Value::as_str).map(str::to_owned);
        let kind = own.as_deref().unwrap_or(self.kind);
        self.redactor.object_as(kind, object, self.clock, &mut self.found);
        serde_json::to_writer(&mut self.out, object)?;
        Ok(())
    }
}

/// The top level: a list of Kubernetes, another list, or one object.
struct Top<'w, 'a>(&'w mut Work<'a>);

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut others = Map::new();
        let mut has_items = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" && !has_items {
                has_items = true;
                self.0.out.write_all(b"{\"items\":").map_err(A::Error::custom)?;
                map.next_value_seed(Items(&mut *self.0))?;
            } else {
                others.insert(key, map.next_value()?);
            }
        }
        if !has_items {
            return self.0.object(&mut Value::Object(others)).map_err(A::Error::custom);
        }
        // The fields of the list itself.
        let mut others = Value::Object(others);
        let work = self.0;
        work.redactor.object_as("", &mut others, work.clock, &mut work.found);
        let mut write = || {
            for (key, value) in others.as_object().into_iter().flatten() {
                write!(work.out, ",{}:{value}", Value::String(key.clone()))?;
            }
            work.out.write_all(b"}")
        };
        write().map_err(A::Error::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        Items(self.0).visit_seq(list)
    }
}

/// The objects of a list.
struct Items<'w, 'a>(&'w mut Work<'a>);

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.0.out.write_all(b"null").map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut separator: &[u8] = b"[";
        while let Some(mut object) = list.next_element::<Value>()? {
            self.0.out.write_all(separator).map_err(A::Error::custom)?;
            separator = b",";
            self.0.object(&mut object).map_err(A::Error::custom)?;
        }
        let end: &[u8] = if separator == b"[" { b"[]" } else { b"]" };
        self.0.out.write_all(end).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(name: &str, text: &str) -> Option<(String, u64)> {
        let mut out = Vec::new();
        let found = copy(&Redactor::default(), name, text.as_bytes(), &mut out).ok()?;
        Some((String::from_utf8(out).unwrap(), found.total()))
    }

    #[test]
    fn objects_of_lists_are_redacted_by_their_kind() {
        // Sonobuoy's lists have the kind only in the list.
        let list =
            r#"{"apiVersion":"v1","items":[{"data":{"a":"c2VjcmV0"}},{"metadata":{"name":"b"}}],"kind":"SecretList"}"#;
        assert_eq!(
            copied("resources/ns/a/core_v1_secrets.json", list),
            Some((
                "{\"items\":[{\"data\":{\"a\":\"[redacted]\"}},{\"metadata\":{\"name\":\"b\"}}],\"apiVersion\":\"v1\",\"kind\":\"SecretList\"}\n"
                    .to_owned(),
                1
            ))
        );
        let pods = r#"[{"kind":"Secret","data":{"a":"c2VjcmV0"}}, 1]"#;
        assert_eq!(
            copied("x.json", pods),
            Some((
                "[{\"data\":{\"a\":\"[redacted]\"},\"kind\":\"Secret\"},1]\n".to_owned(),
                1
            ))
        );
        assert_eq!(
            copied("x.json", "{\"items\":null}"),
            Some(("{\"items\":null}\n".to_owned(), 0))
        );
        assert_eq!(copied("x.json", "[]"), Some(("[]\n".to_owned(), 0)));
    }

    #[test]
    fn other_content_and_large_objects_are_errors() {
        for text in ["", "text", "{\"a\":1} {\"b\":2}", "{\"items\":[1", "1"] {
            assert_eq!(copied("x.json", text), None, "{text}");
        }
        let value = "x".repeat(9 << 20);
        assert_eq!(copied("x.json", &format!("[\"{value}\"]")), None);
        let value = "x y ".repeat(1 << 20);
        let many = format!("[\"{value}\",\"{value}\",\"{value}\"]");
        assert_eq!(
            copied("x.json", &many).map(|(text, _)| text.len()),
            Some(many.len() + 1)
        );
    }
}
