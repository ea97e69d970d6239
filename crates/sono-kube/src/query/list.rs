//! Lists, read page by page and parsed item by item: memory holds one object at a time, whatever the server sends.

use std::{
    fmt,
    io::{self, BufReader, Read, Seek as _},
};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::{QueryError, Reader, encode};
use crate::KubeError;

/// Objects per page.
const PAGE: u32 = 500;

/// Receives the items of a list.
pub trait Sink: Send + 'static {
    /// Discards the items so far: the list is read again from the start.
    fn restart(&mut self) -> io::Result<()>;
    /// Receives one object, as sent by the server.
    fn item(&mut self, item: Value) -> io::Result<()>;
}

/// The path and selectors of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Path of the collection.
    pub path: String,
    /// Label selector; empty: all.
    pub labels: String,
    /// Field selector; empty: all.
    pub fields: String,
}

impl ListRequest {
    fn url(&self, limit: Option<u32>, token: &str) -> String {
        let limit = limit.map(|limit| limit.to_string()).unwrap_or_default();
        let parameters = [
            ("labelSelector", self.labels.as_str()),
            ("fieldSelector", &self.fields),
            ("limit", &limit),
            ("continue", token),
        ];
        let query: Vec<String> = parameters
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        if query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, query.join("&"))
        }
    }
}

/// The fields of a list other than its items.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ListEnd {
    /// `PodList`.
    pub kind: String,
    /// Metadata of the last page, without the paging fields.
    pub metadata: Value,
}

impl Reader {
    /// Reads a list to its end. If the resourceVersion expires between pages (410), the list is read again in one page,
    /// which cannot expire.
    pub async fn list<S: Sink>(&self, request: &ListRequest, sink: S) -> Result<(S, ListEnd), QueryError> {
        let mut sink = sink;
        let mut limit = Some(PAGE);
        let mut token = String::new();
        loop {
            let opened = match self.open(&request.url(limit, &token)).await {
                Err(QueryError::Kube(KubeError::Refused { code: 410, .. })) if limit.is_some() && !token.is_empty() => {
                    limit = None;
                    token.clear();
                    sink.restart().map_err(QueryError::disk(&request.path))?;
                    continue;
                }
                opened => opened,
            };
            let mut opened = opened?;
            let disk = QueryError::disk(&request.path);
            let file = match tempfile::tempfile_in(self.scratch()) {
                Ok(file) => file,
                Err(error) => return Err(disk(error)),
            };
            let mut spool = tokio::fs::File::from_std(file);
            opened.copy_to(&mut spool, u64::MAX).await?;
            spool.flush().await.map_err(QueryError::disk(&request.path))?;
            // Releases the slot: another request may start while this page is parsed.
            drop(opened);
            let file = spool.into_std().await;
            let path = request.path.clone();
            let parsed = tokio::task::spawn_blocking(move || {
                let mut file = file;
                let end = file
                    .rewind()
                    .map_err(QueryError::disk(&path))
                    .and_then(|()| read_page(BufReader::with_capacity(64 << 10, file), &mut sink, &path));
                (sink, end)
            })
            .await;
            // The task does not panic and is not aborted.
            let (back, end) = parsed.map_err(|error| QueryError::disk(&request.path)(io::Error::other(error)))?;
            sink = back;
            let mut end = end?;
            let next = take_paging(&mut end.metadata);
            if next.is_empty() {
                return Ok((sink, end));
            }
            token = next;
        }
    }

    /// Reads the JSON at a path, without retries.
    pub(super) async fn once(&self, path: &str) -> Result<Value, QueryError> {
        let probe = self.probe(path).await?;
        if !(200..300).contains(&probe.status) {
            return Err(self.refusal(path, probe.status, &probe.body).into());
        }
        serde_json::from_slice(&probe.body).map_err(|source| QueryError::NoJson {
            path: path.to_owned(),
            source,
        })
    }
}

/// Removes the paging fields and returns the continue token.
fn take_paging(metadata: &mut Value) -> String {
    let Some(fields) = metadata.as_object_mut() else {
        return String::new();
    };
    fields.remove("remainingItemCount");
    match fields.remove("continue") {
        Some(Value::String(token)) => token,
        _ => String::new(),
    }
}

fn read_page(reader: impl Read, sink: &mut impl Sink, path: &str) -> Result<ListEnd, QueryError> {
    let mut failure = None;
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let page = Page {
        sink,
        failure: &mut failure,
    };
    let end = page
        .deserialize(&mut deserializer)
        .and_then(|end| deserializer.end().map(|()| end));
    if let Some(error) = failure {
        return Err(QueryError::disk(path)(error));
    }
    end.map_err(|source| QueryError::NoList {
        path: path.to_owned(),
        source,
    })
}

/// Parses a list object and passes its items to the sink.
struct Page<'a, S> {
    sink: &'a mut S,
    failure: &'a mut Option<io::Error>,
}

impl<'de, S: Sink> DeserializeSeed<'de> for Page<'_, S> {
    type Value = ListEnd;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ListEnd, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Page<'_, S> {
    type Value = ListEnd;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list with items")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<ListEnd, A::Error> {
        let mut end = ListEnd::default();
        let mut has_items = false;
        while let Some(key) = access.next_key::<String>()? {
            match key.as_str() {
                "kind" => end.kind = access.next_value()?,
                "metadata" => end.metadata = access.next_value()?,
                "items" => {
                    has_items = true;
                    access.next_value_seed(Items {
                        sink: &mut *self.sink,
                        failure: &mut *self.failure,
                    })?;
                }
                _ => {
                    access.next_value::<IgnoredAny>()?;
                }
            }
        }
        if has_items {
            Ok(end)
        } else {
            Err(de::Error::missing_field("items"))
        }
    }
}

struct Items<'a, S> {
    sink: &'a mut S,
    failure: &'a mut Option<io::Error>,
}

impl<'de, S: Sink> DeserializeSeed<'de> for Items<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Sink> Visitor<'de> for Items<'_, S> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of objects")
    }

    /// Go encodes an empty list as `null`.
    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while let Some(item) = access.next_element::<Value>()? {
            if let Err(error) = self.sink.item(item) {
                let message = error.to_string();
                *self.failure = Some(error);
                return Err(de::Error::custom(message));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sono_types::error_chain;

    use super::*;

    #[derive(Default)]
    struct Collected(Vec<Value>, usize);

    impl Sink for Collected {
        fn restart(&mut self) -> io::Result<()> {
            self.0.clear();
            Ok(())
        }

        fn item(&mut self, item: Value) -> io::Result<()> {
            if self.0.len() == self.1 {
                return Err(io::Error::other("the disk is full"));
            }
            self.0.push(item);
            Ok(())
        }
    }

    fn read(text: &str) -> Result<(Vec<Value>, ListEnd), String> {
        let mut collected = Collected(Vec::new(), 2);
        let end = read_page(text.as_bytes(), &mut collected, "/p").map_err(|error| error_chain(&error))?;
        Ok((collected.0, end))
    }

    #[test]
    fn items_are_found_at_any_position() {
        let end = ListEnd {
            kind: "PodList".to_owned(),
            metadata: json!({"resourceVersion": "7"}),
        };
        let expected = Ok((vec![json!({"a": 1}), json!({"b": [null]})], end.clone()));
        assert_eq!(
            read(r#"{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":[{"a":1},{"b":[null]}],"x":{"y":1}}"#),
            expected
        );
        assert_eq!(
            read(r#"{"items":[{"a":1},{"b":[null]}],"metadata":{"resourceVersion":"7"},"kind":"PodList"}"#),
            expected
        );
        assert_eq!(
            read(r#"{"kind":"PodList","metadata":{"resourceVersion":"7"},"items":null}"#),
            Ok((vec![], end))
        );
    }

    #[test]
    fn other_responses_are_errors() {
        let said = |text| read(text).unwrap_err();
        assert_eq!(
            said(r#"{"kind":"Pod"}"#),
            "/p: the response is not a list: missing field `items` at line 1 column 14"
        );
        assert!(said(r#"{"items":[{"a":1}"#).starts_with("/p: the response is not a list: EOF"));
        assert!(said(r#"{"items":[]} x"#).starts_with("/p: the response is not a list: trailing"));
        assert_eq!(
            said(r#"{"items":[1,2,3]}"#),
            "cannot store the response to /p on disk: the disk is full"
        );
    }

    #[test]
    fn selectors_are_escaped() {
        let request = ListRequest {
            path: "/p".to_owned(),
            labels: "a in (b,c)".to_owned(),
            fields: "x=y".to_owned(),
        };
        assert_eq!(
            request.url(Some(5), "t="),
            "/p?labelSelector=a%20in%20%28b%2Cc%29&fieldSelector=x%3Dy&limit=5&continue=t%3D"
        );
        assert_eq!(
            ListRequest {
                path: "/p".to_owned(),
                ..ListRequest::default()
            }
            .url(None, ""),
            "/p"
        );
    }
}
