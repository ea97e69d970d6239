//! Answers as files.

use std::{
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use serde_json::Value;
use sono_kube::{
    query::{ListEnd, Resource, Sink},
    redact::{Redactions, redact},
};
use tempfile::NamedTempFile;

/// A list on its way to its file. Objects are as the server has them, without `managedFields` and secrets, and each says
/// what it is: inside of lists the API server leaves that out.
#[derive(Debug)]
pub(super) struct ListFile {
    target: PathBuf,
    api_version: String,
    kind: String,
    file: Option<BufWriter<NamedTempFile>>,
    items: u64,
    redactions: Redactions,
}

impl ListFile {
    pub(super) fn new(target: PathBuf, resource: &Resource) -> Self {
        Self {
            target,
            api_version: resource.api_version(),
            kind: resource.kind.clone(),
            file: None,
            items: 0,
            redactions: Redactions::default(),
        }
    }

    /// Completes the file; without any object there is none. Returns how many there were.
    pub(super) fn finish(mut self, end: &ListEnd) -> io::Result<(u64, Redactions)> {
        if let Some(mut file) = self.file.take() {
            let kind = if end.kind.is_empty() {
                Value::String(format!("{}List", self.kind))
            } else {
                end.kind.as_str().into()
            };
            writeln!(file, r#"],"kind":{kind},"metadata":{}}}"#, end.metadata)?;
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.persist(&self.target)?;
        }
        Ok((self.items, self.redactions))
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
        redact(&mut item, &mut self.redactions);
        let file = if let Some(file) = &mut self.file {
            file.write_all(b",")?;
            file
        } else {
            let mut file = BufWriter::new(beside(&self.target)?);
            let version = Value::String(self.api_version.clone());
            write!(file, r#"{{"apiVersion":{version},"items":["#)?;
            self.file.insert(file)
        };
        serde_json::to_writer(&mut *file, &item)?;
        self.items += 1;
        Ok(())
    }
}

fn beside(target: &Path) -> io::Result<NamedTempFile> {
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

/// Whether a name from the API can be a part of a path. Kubernetes allows no other; a server is not to be trusted.
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

    use super::*;

    fn resource() -> Resource {
        Resource {
            group: "apps".to_owned(),
            version: "v1".to_owned(),
            plural: "deployments".to_owned(),
            kind: "Deployment".to_owned(),
            namespaced: true,
        }
    }

    #[test]
    fn a_list_is_one_line_with_sorted_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        let mut file = ListFile::new(path.clone(), &resource());
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
        let (items, redactions) = file.finish(&end).unwrap();
        assert_eq!((items, redactions.total()), (2, 1));
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
    }

    #[test]
    fn an_empty_list_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = ListFile::new(folder.path().join("list.json"), &resource());
        assert_eq!(file.finish(&ListEnd::default()).unwrap().0, 0);
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        let mut names = Names::default();
        for name in ["a", "..", "a/b", "a\\b", "", "n.example.com", "a\n"] {
            names.item(json!({"metadata": {"name": name}})).unwrap();
        }
        assert_eq!(names.0, ["a", "n.example.com"]);
    }
}
