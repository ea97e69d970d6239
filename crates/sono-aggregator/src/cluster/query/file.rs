//! Responses as files.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;
use sono_kube::query::{ListEnd, Resource, Sink};
use sono_redact::Redactions;
use sono_types::layout;
use tempfile::{NamedTempFile, TempPath};

use super::redaction::Redaction;

/// Writes a list to its file. Objects are as in the response, without `managedFields` and secrets, but with `apiVersion` and
/// `kind`, which the API server omits inside of lists.
#[derive(Debug)]
pub(super) struct ListFile {
    /// Path in the archive.
    name: String,
    target: PathBuf,
    redaction: Arc<Redaction>,
    api_version: String,
    kind: String,
    file: Option<Writing>,
    items: u64,
    redactions: Redactions,
}

#[derive(Debug)]
enum Writing {
    Open(BufWriter<NamedTempFile>),
    /// Closed before its end: there may be more lists than open files.
    Parked(TempPath),
}

impl Writing {
    fn open(self) -> io::Result<BufWriter<NamedTempFile>> {
        match self {
            Self::Open(file) => Ok(file),
            Self::Parked(path) => {
                let file = fs_err::OpenOptions::new().append(true).open(&path)?.into_parts().0;
                Ok(BufWriter::new(NamedTempFile::from_parts(file, path)))
            }
        }
    }
}

impl ListFile {
    /// The file `name` below `directory`.
    pub(super) fn new(directory: &Path, name: String, resource: &Resource, redaction: &Arc<Redaction>) -> Self {
        Self {
            target: directory.join(&name),
            name,
            redaction: Arc::clone(redaction),
            api_version: resource.api_version(),
            kind: resource.kind.clone(),
            file: None,
            items: 0,
            redactions: Redactions::default(),
        }
    }

    /// Completes the file; without objects it is not created. Returns the number of objects.
    pub(super) fn finish(mut self, end: &ListEnd) -> io::Result<u64> {
        if let Some(file) = self.file.take() {
            let mut file = file.open()?;
            let kind = if end.kind.is_empty() {
                Value::String(format!("{}List", self.kind))
            } else {
                end.kind.as_str().into()
            };
            writeln!(file, r#"],"kind":{kind},"metadata":{}}}"#, end.metadata)?;
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            let file = file.persist(&self.target)?;
            self.redaction
                .record(&self.name, file.metadata()?.len(), self.redactions);
        }
        Ok(self.items)
    }

    /// Closes the file until more objects follow.
    fn park(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            let file = file.open()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            self.file = Some(Writing::Parked(file.into_temp_path()));
        }
        Ok(())
    }
}

impl Sink for ListFile {
    fn restart(&mut self) -> io::Result<()> {
        self.file = None;
        self.items = 0;
        self.redactions = Redactions::default();
        Ok(())
    }

    fn item(&mut self, mut item: Value) -> io::Result<()> {
        if let Some(fields) = item.as_object_mut() {
            fields
                .entry("apiVersion")
                .or_insert_with(|| self.api_version.as_str().into());
            fields.entry("kind").or_insert_with(|| self.kind.as_str().into());
            if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
        }
        self.redaction.object(&mut item, &mut self.redactions);
        let mut file = if let Some(file) = self.file.take() {
            let mut file = file.open()?;
            file.write_all(b",")?;
            file
        } else {
            let mut file = BufWriter::new(next_to(&self.target)?);
            let version = Value::String(self.api_version.clone());
            write!(file, r#"{{"apiVersion":{version},"items":["#)?;
            file
        };
        serde_json::to_writer(&mut file, &item)?;
        self.file = Some(Writing::Open(file));
        self.items += 1;
        Ok(())
    }
}

/// Writes a list of all namespaces to a file per namespace. The API server sorts by namespace, so one file is open at a time; an
/// unsorted list only takes longer.
#[derive(Debug)]
pub(super) struct ByNamespace {
    directory: PathBuf,
    resource: Resource,
    redaction: Arc<Redaction>,
    wanted: BTreeSet<String>,
    files: BTreeMap<String, ListFile>,
    current: Option<String>,
}

impl ByNamespace {
    /// The selected namespaces; other objects are skipped.
    pub(super) fn new(directory: &Path, resource: &Resource, wanted: &[String], redaction: &Arc<Redaction>) -> Self {
        Self {
            directory: directory.to_path_buf(),
            resource: resource.clone(),
            redaction: Arc::clone(redaction),
            wanted: wanted.iter().cloned().collect(),
            files: BTreeMap::new(),
            current: None,
        }
    }

    /// As [`ListFile::finish`], for all of them.
    pub(super) fn finish(self, end: &ListEnd) -> io::Result<u64> {
        let mut items = 0;
        for file in self.files.into_values() {
            items += file.finish(end)?;
        }
        Ok(items)
    }
}

impl Sink for ByNamespace {
    fn restart(&mut self) -> io::Result<()> {
        self.files.clear();
        self.current = None;
        Ok(())
    }

    fn item(&mut self, item: Value) -> io::Result<()> {
        let namespace = item
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !self.wanted.contains(namespace) {
            return Ok(());
        }
        if self.current.as_deref() != Some(namespace) {
            if let Some(file) = self.current.as_ref().and_then(|current| self.files.get_mut(current)) {
                file.park()?;
            }
            self.current = Some(namespace.to_owned());
        }
        let file = self.files.entry(namespace.to_owned()).or_insert_with(|| {
            let Resource {
                group, version, plural, ..
            } = &self.resource;
            let name = layout::namespaced_resource(namespace, group, version, plural);
            ListFile::new(&self.directory, name, &self.resource, &self.redaction)
        });
        file.item(item)
    }
}

fn next_to(target: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sono-").suffix(".partial");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder.tempfile_in(target.parent().unwrap_or_else(|| Path::new(".")))
}

/// Writes a small JSON file; parents are created.
pub(super) fn write_json(path: &Path, value: &Value) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::write(path, format!("{value}\n"))
}

/// Whether a name from the API can be a part of a path. Kubernetes allows no others, but the server is not trusted.
pub(super) fn is_segment(name: &str) -> bool {
    let odd = |character: char| matches!(character, '/' | '\\') || character.is_control();
    !["", ".", ".."].contains(&name) && name.len() <= 253 && !name.contains(odd)
}

/// Names of objects.
#[derive(Debug, Default)]
pub(super) struct Names(pub(super) Vec<String>);

impl Sink for Names {
    fn restart(&mut self) -> io::Result<()> {
        self.0.clear();
        Ok(())
    }

    fn item(&mut self, item: Value) -> io::Result<()> {
        let name = item.pointer("/metadata/name").and_then(Value::as_str);
        self.0.extend(name.filter(|name| is_segment(name)).map(str::to_owned));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sono_kube::query::ApiName;
    use sono_redact::Redactor;

    use super::*;

    fn redaction() -> Arc<Redaction> {
        Arc::new(Redaction::new(Arc::new(Redactor::default())))
    }

    fn resource() -> Resource {
        Resource {
            group: ApiName::parse("apps").unwrap(),
            version: ApiName::parse("v1").unwrap(),
            plural: ApiName::parse("deployments").unwrap(),
            kind: "Deployment".to_owned(),
            namespaced: true,
        }
    }

    #[test]
    fn a_list_is_one_line_with_sorted_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        let redaction = redaction();
        let mut file = ListFile::new(folder.path(), "list.json".to_owned(), &resource(), &redaction);
        file.item(json!({"metadata": {"name": "gone"}})).unwrap();
        file.restart().unwrap();
        file.item(json!({"metadata": {"name": "a", "managedFields": [1], "odd": 1}, "extra": true}))
            .unwrap();
        file.item(
            json!({"apiVersion": "apps/v2", "kind": "Other", "metadata": {"name": "b"}, "spec": {"password": "p"}}),
        )
        .unwrap();
        let end = ListEnd {
            kind: "DeploymentList".to_owned(),
            metadata: json!({"resourceVersion": "7"}),
        };
        assert_eq!(file.finish(&end).unwrap(), 2);
        assert_eq!(
            fs_err::read_to_string(&path).unwrap(),
            concat!(
                r#"{"apiVersion":"apps/v1","items":["#,
                r#"{"apiVersion":"apps/v1","extra":true,"kind":"Deployment","metadata":{"name":"a","odd":1}},"#,
                r#"{"apiVersion":"apps/v2","kind":"Other","metadata":{"name":"b"},"spec":{"password":"[redacted]"}}"#,
                r#"],"kind":"DeploymentList","metadata":{"resourceVersion":"7"}}"#,
                "\n"
            )
        );
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
        let bytes = fs_err::metadata(&path).unwrap().len();
        redaction.write(folder.path()).unwrap();
        let report = fs_err::read_to_string(folder.path().join(layout::REDACTIONS)).unwrap();
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(
            (&report["total"], &report["files"]),
            (
                &json!(1),
                &json!([{"path": "list.json", "bytes": bytes, "hits": {"assignment": 1}}])
            )
        );
    }

    #[test]
    fn list_of_all_namespaces_is_split_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        for namespace in ["a", "b"] {
            fs_err::create_dir_all(folder.path().join("resources/ns").join(namespace)).unwrap();
        }
        let mut split = ByNamespace::new(
            folder.path(),
            &resource(),
            &["a".to_owned(), "b".to_owned()],
            &redaction(),
        );
        for (namespace, name) in [("a", "1"), ("b", "2"), ("x", "3"), ("a", "4"), ("", "5"), ("a", "6")] {
            split
                .item(json!({"metadata": {"namespace": namespace, "name": name}}))
                .unwrap();
        }
        let items = split
            .finish(&ListEnd {
                kind: String::new(),
                metadata: json!({"resourceVersion": "7"}),
            })
            .unwrap();
        assert_eq!(items, 4);
        let file = |namespace: &str| {
            let path = folder
                .path()
                .join(layout::namespaced_resource(namespace, "apps", "v1", "deployments"));
            serde_json::from_str::<Value>(&fs_err::read_to_string(path).unwrap()).unwrap()
        };
        let expected = |namespace: &str, names: &[&str]| {
            let items: Vec<Value> = names
                .iter()
                .map(|name| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": namespace, "name": name}}))
                .collect();
            json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "items": items, "metadata": {"resourceVersion": "7"}})
        };
        assert_eq!(file("a"), expected("a", &["1", "4", "6"]));
        assert_eq!(file("b"), expected("b", &["2"]));
        assert_eq!(fs_err::read_dir(folder.path().join("resources/ns")).unwrap().count(), 2);
    }

    #[test]
    fn empty_list_creates_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = ListFile::new(folder.path(), "list.json".to_owned(), &resource(), &redaction());
        assert_eq!(file.finish(&ListEnd::default()).unwrap(), 0);
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_with_path_separators_are_invalid() {
        let mut names = Names::default();
        for name in ["a", "..", "a/b", "a\\b", "", "n.example.com", "a\n"] {
            names.item(json!({"metadata": {"name": name}})).unwrap();
        }
        assert_eq!(names.0, ["a", "n.example.com"]);
    }
}
