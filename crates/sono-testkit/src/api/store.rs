//! Objects, their versions, and the history of changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

/// Plural, namespace (empty for cluster-scoped objects), name.
type Key = (String, String, String);

/// A change of one object.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) kind: &'static str,
    pub(super) plural: String,
    pub(super) object: Value,
}

#[derive(Debug)]
pub(super) struct Store {
    objects: BTreeMap<Key, Value>,
    logs: BTreeMap<(String, String, String), String>,
    history: Vec<Change>,
    pub(super) hold_namespaces: bool,
    /// Whether followed logs are endless.
    pub(super) holds_logs: bool,
    /// Number of requests for a further page that are still refused.
    pub(super) expired_pages: usize,
    /// Creation time of objects without one.
    pub(super) created: Timestamp,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            logs: BTreeMap::new(),
            history: Vec::new(),
            hold_namespaces: false,
            holds_logs: false,
            expired_pages: 0,
            // A fixed time makes outputs reproducible.
            created: Timestamp::from_second(1_790_000_000).expect("it is in range"),
        }
    }
}

fn key(plural: &str, namespace: Option<&str>, name: &str) -> Key {
    (
        plural.to_owned(),
        namespace.unwrap_or_default().to_owned(),
        name.to_owned(),
    )
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The plural of the object's kind, as in API paths.
fn plural_of(object: &Value) -> String {
    let kind = text(object, "/kind").to_lowercase();
    if kind.ends_with('s') {
        format!("{kind}es")
    } else if let Some(stem) = kind
        .strip_suffix('y')
        .filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']))
    {
        format!("{stem}ies")
    } else {
        format!("{kind}s")
    }
}

impl Store {
    pub(super) fn version(&self) -> u64 {
        self.history.len() as u64
    }

    /// The changes after version `seen`.
    pub(super) fn since(&self, seen: u64) -> &[Change] {
        // Versions count the changes, from 1 on.
        let from = usize::try_from(seen).unwrap_or(usize::MAX).min(self.history.len());
        &self.history[from..]
    }

    pub(super) fn versions(&self, plural: &str, namespace: Option<&str>, name: &str) -> Vec<Value> {
        let changes = self.history.iter().filter(|change| {
            change.plural == plural
                && text(&change.object, "/metadata/name") == name
                && text(&change.object, "/metadata/namespace") == namespace.unwrap_or_default()
        });
        changes.map(|change| change.object.clone()).collect()
    }

    pub(super) fn created_count(&self, plural: &str) -> usize {
        let created = |change: &&Change| change.kind == "ADDED" && change.plural == plural;
        self.history.iter().filter(created).count()
    }

    pub(super) fn get(&self, plural: &str, namespace: Option<&str>, name: &str) -> Option<&Value> {
        self.objects.get(&key(plural, namespace, name))
    }

    pub(super) fn all(&self, plural: &str) -> Vec<Value> {
        self.of(plural).cloned().collect()
    }

    /// All objects of a kind, sorted by namespace and name.
    pub(super) fn of(&self, plural: &str) -> impl Iterator<Item = &Value> {
        let from = key(plural, None, "");
        let same = move |(key, _): &(&Key, &Value)| key.0 == from.0;
        let first = key(plural, None, "");
        self.objects.range(first..).take_while(same).map(|(_, object)| object)
    }

    pub(super) fn put_log(&mut self, namespace: &str, pod: &str, container: &str, log: &str) {
        self.logs.insert(key(namespace, Some(pod), container), log.to_owned());
    }

    pub(super) fn log(&self, namespace: &str, pod: &str, container: &str) -> Option<&str> {
        self.logs.get(&key(namespace, Some(pod), container)).map(String::as_str)
    }

    pub(super) fn put(&mut self, mut object: Value) -> Value {
        let plural = plural_of(&object);
        let key = (
            plural.clone(),
            text(&object, "/metadata/namespace").to_owned(),
            text(&object, "/metadata/name").to_owned(),
        );
        let before = self.objects.get(&key);
        let version = self.version() + 1;
        let uid = before.map_or_else(
            || format!("00000000-0000-4000-8000-{version:012}"),
            |before| text(before, "/metadata/uid").to_owned(),
        );
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        let created = self.created.to_string();
        let metadata = object
            .get_mut("metadata")
            .and_then(Value::as_object_mut)
            .expect("an object has metadata");
        metadata.insert("resourceVersion".to_owned(), version.to_string().into());
        metadata.entry("uid").or_insert_with(|| uid.into());
        metadata.entry("creationTimestamp").or_insert_with(|| created.into());
        self.objects.insert(key, object.clone());
        self.history.push(Change {
            kind,
            plural,
            object: object.clone(),
        });
        object
    }

    pub(super) fn remove(&mut self, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let mut object = self.objects.remove(&key(plural, namespace, name))?;
        let version = self.version() + 1;
        object["metadata"]["resourceVersion"] = version.to_string().into();
        self.history.push(Change {
            kind: "DELETED",
            plural: plural.to_owned(),
            object: object.clone(),
        });
        Some(object)
    }

    /// Handles DELETE: deleting a namespace deletes its objects.
    pub(super) fn delete(&mut self, plural: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let object = self.get(plural, namespace, name)?.clone();
        if plural == "namespaces" {
            let mut terminating = object;
            terminating["metadata"]["deletionTimestamp"] = self.created.to_string().into();
            terminating["status"] = json!({"phase": "Terminating"});
            let terminating = self.put(terminating);
            if self.hold_namespaces {
                return Some(terminating);
            }
            let contents: Vec<Key> = self.objects.keys().filter(|key| key.1 == name).cloned().collect();
            for (plural, namespace, name) in contents {
                self.remove(&plural, Some(&namespace), &name);
            }
        }
        self.remove(plural, namespace, name)
    }

    pub(super) fn is_terminating(&self, namespace: &str) -> bool {
        self.get("namespaces", None, namespace)
            .is_some_and(|namespace| text(namespace, "/status/phase") == "Terminating")
    }
}

/// Whether an object matches the query's selectors and the namespace (`None` means all namespaces).
pub(super) fn is_selected(object: &Value, namespace: Option<&str>, query: &BTreeMap<String, String>) -> bool {
    let in_namespace = namespace.is_none_or(|namespace| text(object, "/metadata/namespace") == namespace);
    let each = |selector: &str, matches: &dyn Fn(&str) -> bool| {
        query
            .get(selector)
            .is_none_or(|terms| terms.split(',').all(|term| term.is_empty() || matches(term)))
    };
    let labels = each("labelSelector", &|term| {
        let label = |name: &str| object.get("metadata")?.get("labels")?.get(name)?.as_str();
        match (term.split_once("!="), term.split_once('=')) {
            (Some((name, value)), _) => label(name) != Some(value),
            (None, Some((name, value))) => label(name) == Some(value.trim_start_matches('=')),
            (None, None) => label(term).is_some(),
        }
    });
    let fields = each("fieldSelector", &|term| {
        term.split_once('=').is_some_and(|(field, value)| {
            text(object, &format!("/{}", field.replace('.', "/"))) == value.trim_start_matches('=')
        })
    });
    in_namespace && labels && fields
}
