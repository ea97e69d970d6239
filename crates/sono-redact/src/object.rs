//! Secrets in Kubernetes objects.

mod pairs;
mod structure;

use std::{borrow::Cow, time::Duration};

use serde_json::{Map, Value};

use crate::{
    REDACTED,
    hits::{Redactions, Rule},
    names::{Mark, is_plainly_secret, mark, may_name_object},
    scan::{Layers, Scratch, Search},
    shapes::is_user_and_password,
    values::{can_be_secret, is_object_name, is_small_number},
};

/// The clock, and the time at which the rest of an object is replaced.
type Deadline<'a> = (&'a dyn Fn() -> Duration, Duration);

/// Levels of lists and maps.
const DEPTH: usize = 200;

/// Fields of kinds that hold credentials only.
const OMITTED: &[(&str, &[&str])] = &[
    ("Secret", &["data", "stringData"]),
    ("ConfigMap", &["binaryData"]),
    ("OAuthClient", &["secret", "additionalSecrets"]),
    ("OAuthAccessToken", &["refreshToken", "authorizeToken", "codeChallenge"]),
    ("Token", &["token"]),
];
/// Fields that identify objects: they are searched for known values only.
const IDENTITY: &[&str] = &[
    "apiVersion",
    "containerID",
    "creationTimestamp",
    "generateName",
    "image",
    "imageID",
    "kind",
    "name",
    "namespace",
    "nodeName",
    "resourceVersion",
    "schedulerName",
    "selfLink",
    "serviceAccount",
    "serviceAccountName",
    "uid",
    "topologyKey",
    "fieldPath",
];
/// Maps with names chosen by users.
const USER_DATA: &[&str] = &[
    "annotations",
    "attributes",
    "options",
    "parameters",
    "volumeAttributes",
    "volumeContext",
];

/// Redacts an object as one of `kind`.
pub(crate) fn redact(
    search: &Search,
    kind: &str,
    object: &mut Value,
    deadline: Deadline<'_>,
    redactions: &mut Redactions,
) {
    let mut walk = Walk {
        search,
        deadline,
        kind,
        custom: is_custom(object),
        path: String::new(),
        level: 0,
        opened: 0,
        scratch: Scratch::default(),
        redactions,
    };
    walk.object(object);
}

/// The meaning of the strings in a list or map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    /// Values of API fields: only unambiguous names mark a secret.
    Fields,
    /// Texts under names chosen by a user, and fields of custom resources.
    UserData,
    /// Command-line arguments.
    Arguments,
    /// Schemas and other descriptions of fields: names say nothing.
    Schema,
}

struct Walk<'a> {
    search: &'a Search,
    deadline: Deadline<'a>,
    kind: &'a str,
    /// The object is of a custom resource, whose fields have names like those of users.
    custom: bool,
    path: String,
    level: usize,
    /// Texts that were opened around this one.
    opened: usize,
    scratch: Scratch,
    redactions: &'a mut Redactions,
}

impl Walk<'_> {
    fn object(&mut self, object: &mut Value) {
        let release = is_release(object);
        let custom = self.custom;
        let Value::Object(fields) = object else {
            return self.value(object, Texts::Fields);
        };
        for (key, value) in fields {
            self.below(key, |walk| {
                let omitted = OMITTED
                    .iter()
                    .any(|(kind, fields)| *kind == walk.kind && fields.contains(&key.as_str()));
                match (walk.kind, key.as_str()) {
                    _ if omitted => walk.all(value),
                    ("ConfigMap", "data") if release => walk.all(value),
                    ("ConfigMap", "data") => walk.value(value, Texts::UserData),
                    ("CustomResourceDefinition", _) => walk.value(value, Texts::Schema),
                    (_, "metadata") => walk.field(key, value, Texts::Fields),
                    _ => walk.field(key, value, if custom { Texts::UserData } else { Texts::Fields }),
                }
            });
        }
    }

    fn value(&mut self, value: &mut Value, texts: Texts) {
        if self.level > DEPTH {
            self.redactions.add(self.kind, &self.path, Rule::Limit);
            *value = REDACTED.into();
            return;
        }
        self.level += 1;
        match value {
            Value::String(text) => self.text(text, texts),
            Value::Array(elements) => self.below("[]", |walk| walk.elements(elements, texts)),
            Value::Object(fields) => self.fields(fields, texts),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        self.level -= 1;
    }

    fn fields(&mut self, fields: &mut Map<String, Value>, texts: Texts) {
        if texts != Texts::Schema {
            self.pair(fields);
        }
        for (key, value) in fields {
            self.below(key, |walk| walk.field(key, value, texts));
        }
    }

    /// Redacts a field according to its name.
    fn field(&mut self, key: &str, value: &mut Value, texts: Texts) {
        match value {
            Value::String(text) if Self::is_secret_field(key, text, texts) => return self.hide(text, Rule::Name),
            Value::Number(number) if texts == Texts::UserData && is_secret_number(key, &number.to_string()) => {
                self.redactions.add(self.kind, &self.path, Rule::Name);
                *value = REDACTED.into();
                return;
            }
            Value::Array(elements) if texts == Texts::UserData && mark(key) == Mark::Strong => {
                for element in elements.iter_mut() {
                    if let Value::String(text) = element
                        && Self::is_secret_field(key, text, texts)
                    {
                        self.below("[]", |walk| walk.hide(text, Rule::Name));
                    }
                }
            }
            // `password: {value: …}`
            Value::Object(fields) if texts == Texts::UserData && mark(key) == Mark::Strong => {
                for inner in ["value", "plainText", "plaintext", "inline", "data"] {
                    if let Some(Value::String(text)) = fields.get_mut(inner)
                        && Self::is_secret_field(key, text, texts)
                    {
                        self.below(inner, |walk| walk.hide(text, Rule::Name));
                    }
                }
            }
            Value::String(text) if texts != Texts::UserData && IDENTITY.contains(&key) => {
                return self.scan(text, Layers::Known);
            }
            Value::String(text) if ["description", "comment"].contains(&key) => return self.scan(text, Layers::Shapes),
            _ => {}
        }
        match (key, value) {
            (_, value) if texts == Texts::Schema => self.value(value, texts),
            ("openAPIV3Schema" | "jsonSchema", value) => self.value(value, Texts::Schema),
            ("httpHeaders", Value::Array(headers)) => self.headers(headers, texts),
            ("args" | "command", value) => self.value(value, Texts::Arguments),
            ("containers" | "initContainers" | "ephemeralContainers", Value::Array(containers)) => {
                for container in containers.iter_mut() {
                    self.command_of(container);
                }
                self.below("[]", |walk| walk.elements(containers, texts));
            }
            (key, value) if USER_DATA.contains(&key) => self.value(value, Texts::UserData),
            (_, value) => self.value(value, texts),
        }
    }

    fn is_secret_field(key: &str, text: &str, texts: Texts) -> bool {
        // A file may hold a secret and more: it is searched as a text.
        if !can_be_secret(text)
            || text.contains('\n')
                && text.len() > 64
                && !text.starts_with("-----BEGIN")
                && mark(key) != Mark::Plain
                && is_file(key)
        {
            return false;
        }
        let value = text.trim();
        // Of registries, in any kind of object.
        if ["auth", "_auth"].contains(&key) && is_user_and_password(value.as_bytes()) {
            return true;
        }
        match texts {
            Texts::Schema => false,
            Texts::Fields | Texts::Arguments => is_plainly_secret(key),
            Texts::UserData => match mark(key) {
                Mark::Strong => {
                    let password = key.to_ascii_lowercase().contains("pass");
                    !(may_name_object(key) && is_object_name(value)) && (password || !is_small_number(value))
                }
                Mark::Weak => {
                    !is_object_name(value)
                        && !is_small_number(value)
                        && !value.contains("://")
                        && !value.starts_with('/')
                        && value.len() >= 4
                }
                Mark::Bare => !value.starts_with('/') && !is_small_number(value),
                Mark::Plain => false,
            },
        }
    }

    fn elements(&mut self, elements: &mut [Value], texts: Texts) {
        let mut flag = false;
        for element in elements {
            match element {
                // `--password` and the password are separate arguments.
                Value::String(text) if flag && !text.starts_with('-') && can_be_secret(text) => {
                    self.hide(text, Rule::Name);
                    flag = false;
                }
                Value::String(text) if texts == Texts::Arguments => {
                    let name = text.trim_start_matches('-');
                    flag = !text.contains(['=', ' '])
                        && (text.starts_with('-') || is_bare_argument(name))
                        && mark(name) >= Mark::Weak;
                    if let Some((name, value)) = text.split_once('=')
                        && name.starts_with('-')
                        && mark(name.trim_start_matches('-')) == Mark::Strong
                        && can_be_secret(value)
                        && !(may_name_object(name) && is_object_name(value))
                        && !value.contains(' ')
                    {
                        *text = format!("{name}={REDACTED}");
                        self.redactions.add(self.kind, &self.path, Rule::Name);
                    } else {
                        self.text(text, texts);
                    }
                }
                other => self.value(other, texts),
            }
        }
    }

    /// Redacts the text in place, by the layers that apply.
    fn scan(&mut self, text: &mut String, layers: Layers) {
        if (self.deadline.0)() > self.deadline.1 {
            return self.hide(text, Rule::Limit);
        }
        let Self {
            search,
            kind,
            path,
            scratch,
            redactions,
            ..
        } = self;
        if let Cow::Owned(redacted) = search.replace((kind, path), text, layers, scratch, redactions) {
            *text = redacted;
        }
    }

    /// Replaces all strings below a value.
    fn all(&mut self, value: &mut Value) {
        match value {
            Value::String(text) if !text.is_empty() && text != REDACTED => self.hide(text, Rule::Omitted),
            Value::Array(elements) => {
                self.below("[]", |walk| elements.iter_mut().for_each(|element| walk.all(element)));
            }
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.below(key, |walk| walk.all(value));
                }
            }
            _ => {}
        }
    }

    fn hide(&mut self, text: &mut String, rule: Rule) {
        REDACTED.clone_into(text);
        self.redactions.add(self.kind, &self.path, rule);
    }

    fn below(&mut self, key: &str, act: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 && !key.starts_with("[]") {
            self.path.push('.');
        }
        self.path.push_str(key);
        act(self);
        self.path.truncate(length);
    }
}

/// Whether the object is of a custom resource: its group is not one of Kubernetes.
fn is_custom(object: &Value) -> bool {
    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    version
        .split_once('/')
        .is_some_and(|(group, _)| group.contains('.') && !group.ends_with(".k8s.io"))
}

/// Whether a ConfigMap holds a release of Helm: all values of its chart, compressed.
fn is_release(object: &Value) -> bool {
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let owner = object.pointer("/metadata/labels/owner").and_then(Value::as_str);
    name.starts_with("sh.helm.release.v1.") || (owner == Some("helm") && object.pointer("/data/release").is_some())
}

fn is_file(key: &str) -> bool {
    std::path::Path::new(key)
        .extension()
        .is_some_and(|extension| extension != "key")
}

/// Arguments without a dash whose value follows: `redis-server requirepass X`.
fn is_bare_argument(name: &str) -> bool {
    ["requirepass", "masterauth"].contains(&name)
}

fn is_secret_number(key: &str, number: &str) -> bool {
    mark(key) == Mark::Strong && key.to_ascii_lowercase().contains("pass") && number.len() >= 4
}

#[cfg(test)]
mod tests;
