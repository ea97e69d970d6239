//! Selects one cluster and one user from kubeconfig files, as kubectl does. Pure.
//!
//! Only the entries that the selected context names must be valid; other entries, unknown fields, `null` and values of
//! a wrong type are ignored. The first file that has a name wins (client-go's `ClientConfigLoadingRules`).

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sono_types::{text::decode, yaml};

use crate::error::Cause;

/// The entries of one or more files.
#[derive(Debug, Default)]
pub(super) struct Kubeconfig {
    current: Option<String>,
    contexts: Vec<Named>,
    clusters: Vec<Named>,
    users: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    name: String,
    fields: Fields,
}

/// The fields of a cluster or user, and the directory of relative paths.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    fields: Map<String, Value>,
    directory: PathBuf,
}

/// The context, cluster and user that were selected.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) context: String,
    pub(super) namespace: Option<String>,
    pub(super) cluster: Fields,
    /// `None` for a context without a user.
    pub(super) user_name: Option<String>,
    /// Empty if the file has no such user, as in kubectl.
    pub(super) user: Fields,
}

impl Kubeconfig {
    /// Adds the entries of a file at `path` with new names. Only its first document is read; it may be empty.
    pub(super) fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Cause> {
        let unusable = |reason: String| Cause(format!("{}: {reason}", path.display()));
        let text = decode(bytes).map_err(|error| unusable(error.to_string()))?;
        let document = document(&text).map_err(unusable)?;
        let Value::Object(mut document) = document else {
            if document.is_null() {
                return Ok(());
            }
            return Err(unusable("not a kubeconfig: expected a mapping".to_owned()));
        };
        let directory = path.parent().unwrap_or_else(|| Path::new("")).to_owned();
        if self.current.is_none() {
            self.current = document.get("current-context").and_then(text_of);
        }
        for (list, fields, field) in [
            (&mut self.contexts, "contexts", "context"),
            (&mut self.clusters, "clusters", "cluster"),
            (&mut self.users, "users", "user"),
        ] {
            add_named(list, document.remove(fields), field, &directory);
        }
        Ok(())
    }

    /// Whether the files have no cluster.
    pub(super) fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    /// Looks up a context: the given one, or the current one.
    pub(super) fn select(&self, context: Option<&str>) -> Result<Selected, Cause> {
        let name = context.filter(|name| !name.is_empty()).or(self.current.as_deref());
        let name = name.ok_or_else(|| Cause("the kubeconfig has no current context".to_owned()))?;
        let context =
            find(&self.contexts, name).ok_or_else(|| Cause(format!("the kubeconfig has no context `{name}`")))?;
        let cluster = context
            .text("cluster")
            .ok_or_else(|| Cause(format!("context `{name}` has no cluster")))?;
        let user_name = context.text("user");
        let user = user_name.as_deref().and_then(|name| find(&self.users, name));
        Ok(Selected {
            context: name.to_owned(),
            namespace: context.text("namespace"),
            cluster: find(&self.clusters, &cluster)
                .cloned()
                .ok_or_else(|| Cause(format!("the kubeconfig has no cluster `{cluster}`")))?,
            user: user.cloned().unwrap_or_default(),
            user_name,
        })
    }
}

/// JSON may be indented with tabs, which YAML does not allow.
fn document(text: &str) -> Result<Value, String> {
    if text.trim_start().starts_with('{')
        && let Ok(document) = serde_json::from_str(text)
    {
        return Ok(document);
    }
    yaml::first_document(text).map_err(|error| match error.position {
        Some(position) => format!("{position}: {}", error.message),
        None => error.message,
    })
}

fn add_named(list: &mut Vec<Named>, entries: Option<Value>, field: &str, directory: &Path) {
    let Some(Value::Array(entries)) = entries else {
        return;
    };
    for mut entry in entries {
        let Some(name) = entry.get("name").and_then(text_of) else {
            continue;
        };
        if find(list, &name).is_none() {
            let fields = match entry.get_mut(field).map(Value::take) {
                Some(Value::Object(fields)) => fields,
                _ => Map::new(),
            };
            let directory = directory.to_owned();
            list.push(Named {
                name,
                fields: Fields { fields, directory },
            });
        }
    }
}

fn find<'a>(list: &'a [Named], name: &str) -> Option<&'a Fields> {
    list.iter().find(|named| named.name == name).map(|named| &named.fields)
}

/// A scalar as text; `None` if it is empty, null, a list or a map.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Fields {
    /// A copy with these fields only.
    pub(super) fn only(&self, names: &[&str]) -> Self {
        let mut copy = self.clone();
        copy.fields.retain(|name, _| names.contains(&name.as_str()));
        copy
    }

    /// The text of a field; `None` if it is absent or empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.fields.get(name).and_then(text_of)
    }

    /// A boolean, including YAML 1.1's `yes` and `on`.
    pub(super) fn boolean(&self, name: &str) -> bool {
        let text = self.text(name).unwrap_or_default().to_ascii_lowercase();
        matches!(text.as_str(), "true" | "yes" | "on" | "y")
    }

    /// A path, relative to the directory of its file.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        Some(self.directory.join(self.text(name)?))
    }

    /// A list of strings.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        texts(self.fields.get(name))
    }

    /// A nested map.
    pub(super) fn map(&self, name: &str) -> Option<Self> {
        let fields = self.fields.get(name)?.as_object()?.clone();
        Some(Self {
            fields,
            directory: self.directory.clone(),
        })
    }

    /// The `name` and the field `value` of each map in a list.
    pub(super) fn named(&self, list: &str, value: &str) -> Vec<(String, Value)> {
        let entries = self.fields.get(list).and_then(Value::as_array);
        let named = |entry: &Value| {
            let name = entry.get("name").and_then(text_of)?;
            Some((name, entry.get(value).cloned().unwrap_or_default()))
        };
        entries.into_iter().flatten().filter_map(named).collect()
    }

    /// All fields that are a string or a list of strings.
    pub(super) fn lists(&self) -> impl Iterator<Item = (&String, Vec<String>)> {
        self.fields.iter().map(|(name, value)| (name, texts(Some(value))))
    }

    /// The directory of relative paths.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(values)) => values.iter().filter_map(text_of).collect(),
        Some(value) => text_of(value).into_iter().collect(),
        None => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(files: &[&str]) -> Kubeconfig {
        let mut kubeconfig = Kubeconfig::default();
        for (number, text) in files.iter().enumerate() {
            let path = format!("/d{number}/config");
            kubeconfig.add(Path::new(&path), text.as_bytes()).unwrap();
        }
        kubeconfig
    }

    fn chosen(kubeconfig: &Kubeconfig, context: Option<&str>) -> String {
        match kubeconfig.select(context) {
            Ok(selected) => format!(
                "{} {} {} {}",
                selected.context,
                selected.cluster.text("server").unwrap_or_default(),
                selected.user_name.unwrap_or_default(),
                selected.user.path("tokenFile").unwrap_or_default().display(),
            ),
            Err(error) => error.0,
        }
    }

    const ONE: &str = "current-context: ''\ncontexts: [{name: a, context: {cluster: c, user: u}}, {name: b, context: null}, null]\nclusters:\n- {name: c, cluster: {server: one}}\n- {name: c, cluster: {server: again}}\nusers: null\npreferences: null\n";
    const TWO: &str = "current-context: a\ncontexts: [{name: a, context: {cluster: d}}]\nclusters: [{name: c, cluster: {server: two, other: 1}}, {name: d, cluster: {server: two}}]\nusers: [{name: u, user: {tokenFile: ../token, auth-provider: {config: ~}}}, {name: v, user: [x]}]\nunknown: {a: [b]}\n";

    #[test]
    fn first_file_with_a_name_counts_and_paths_begin_at_their_file() {
        let kubeconfig = added(&["", ONE, "# nothing", TWO]);
        assert_eq!(chosen(&kubeconfig, None), "a one u /d3/../token");
        assert_eq!(chosen(&kubeconfig, Some("")), "a one u /d3/../token");
        assert_eq!(chosen(&kubeconfig, Some("b")), "context `b` has no cluster");
        assert_eq!(chosen(&kubeconfig, Some("x")), "the kubeconfig has no context `x`");
        assert_eq!(chosen(&added(&[TWO, ONE]), None), "a two  ");
        assert_eq!(chosen(&added(&[ONE]), None), "the kubeconfig has no current context");
        assert_eq!(chosen(&added(&[]), None), "the kubeconfig has no current context");
    }

    #[test]
    fn text_that_is_not_a_kubeconfig_is_refused_with_its_path() {
        for (text, reason) in [
            ("[a]", "/k: not a kubeconfig: expected a mapping"),
            ("hello", "/k: not a kubeconfig: expected a mapping"),
        ] {
            let mut kubeconfig = Kubeconfig::default();
            assert_eq!(
                kubeconfig.add(Path::new("/k"), text.as_bytes()),
                Err(Cause(reason.to_owned()))
            );
        }
        let error = Kubeconfig::default().add(Path::new("/k"), b"a: [").unwrap_err();
        assert!(error.0.starts_with("/k: "), "{error}");
        assert_eq!(
            Kubeconfig::default().add(Path::new("/k"), b"a: \xff"),
            Err(Cause("/k: byte 3 (line 1) is not UTF-8: 0xff".to_owned()))
        );
    }

    #[test]
    fn text_with_marks_in_utf_16_and_json_with_tabs_are_read() {
        let text = "{\n\t\"current-context\": \"a\",\n\t\"contexts\": [{\"name\": \"a\", \"context\": {\"cluster\": \"c\"}}],\n\t\"clusters\": [{\"name\": \"c\", \"cluster\": {\"server\": \"s\"}}]\n}";
        let marked = format!("\u{feff}{text}");
        let units = marked.encode_utf16();
        let little: Vec<u8> = units.clone().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = units.flat_map(u16::to_be_bytes).collect();
        for bytes in [text.as_bytes(), marked.as_bytes(), &little, &big] {
            let mut kubeconfig = Kubeconfig::default();
            kubeconfig.add(Path::new("/k"), bytes).unwrap();
            assert_eq!(chosen(&kubeconfig, None), "a s  ");
        }
    }
}
