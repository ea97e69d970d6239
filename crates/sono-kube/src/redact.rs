//! Removes secrets from Kubernetes objects. Pure: it changes a JSON value and counts the changes.
//!
//! Checked are environment variables, arguments, headers of probes, ConfigMaps, annotations (including the object in
//! `kubectl apply`'s annotation), Secrets of sono's own runs, and secrets of a known shape in any text. Everything
//! else, including unknown fields, is unchanged. The content of other Secrets is unchanged: they are queried only if
//! the user names them.

mod count;
mod name;
mod text;

use serde_json::{Map, Value};
use sono_types::{constants, env, yaml};

pub use count::{Reason, Redaction, Redactions};

use self::{
    name::{can_be_secret, is_plainly_secret, is_secret, is_secret_header},
    text::{scrub_assignments, scrub_shapes},
};

/// The replacement of a secret.
pub const REDACTED: &str = "[redacted]";

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Redacts an object according to its `kind`.
pub fn redact(object: &mut Value, redactions: &mut Redactions) {
    let kind = text_at(object, "/kind").to_owned();
    redact_as(&kind, object, redactions);
}

/// Redacts an object that has no `kind`, as one of this kind.
pub fn redact_as(kind: &str, object: &mut Value, redactions: &mut Redactions) {
    let mut walk = Walk {
        kind,
        path: String::new(),
        redactions,
    };
    walk.object(object);
}

/// Redacts a text, such as a line of a log.
pub fn redact_text(text: &mut String) {
    scrub_shapes(text, &mut |_| {});
    scrub_assignments(text, &mut |_| {});
}

struct Walk<'a> {
    kind: &'a str,
    path: String,
    redactions: &'a mut Redactions,
}

/// The meaning of the strings in a list or map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    /// Values of API fields: only unambiguous names mark a secret.
    Fields,
    /// Texts under names chosen by a user.
    UserData,
    /// Command-line arguments.
    Arguments,
}

impl Walk<'_> {
    fn object(&mut self, object: &mut Value) {
        let own = is_own(object);
        let Value::Object(fields) = object else {
            return self.value(object, Texts::Fields);
        };
        for (key, value) in fields {
            let data = ["data", "stringData", "binaryData"].contains(&key.as_str());
            self.below(key, |walk| match walk.kind {
                "Secret" if data && own => walk.all(value),
                // Secrets are queried only if the user names them, so their content is requested.
                "Secret" if data => {}
                "ConfigMap" if data => walk.value(value, Texts::UserData),
                _ => walk.field(key, value),
            });
        }
    }

    fn value(&mut self, value: &mut Value, texts: Texts) {
        match value {
            Value::String(text) => self.text(text, texts),
            Value::Array(elements) => self.below("[]", |walk| walk.elements(elements, texts)),
            Value::Object(fields) => self.fields(fields, texts),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn fields(&mut self, fields: &mut Map<String, Value>, texts: Texts) {
        for (key, value) in fields {
            self.below(key, |walk| match (texts, value) {
                (Texts::UserData, Value::String(text)) if key == LAST_APPLIED => walk.applied(text),
                (Texts::UserData, Value::String(text)) if is_definition(key, text) => walk.definition(text),
                (Texts::UserData, Value::String(text)) if is_secret(key) && can_be_secret(text) => {
                    walk.replace(text, Reason::Name);
                }
                (_, Value::String(text)) if is_plainly_secret(key) && can_be_secret(text) => {
                    walk.replace(text, Reason::Name);
                }
                (Texts::UserData, value) => walk.value(value, texts),
                (_, value) => walk.field(key, value),
            });
        }
    }

    /// Redacts a field according to its name.
    fn field(&mut self, key: &str, value: &mut Value) {
        match (key, value) {
            ("env", Value::Array(variables)) => self.pairs(variables, is_secret),
            ("httpHeaders", Value::Array(headers)) => self.pairs(headers, is_secret_header),
            ("args" | "command", value) => self.value(value, Texts::Arguments),
            ("annotations", value) => self.value(value, Texts::UserData),
            (_, value) => self.value(value, Texts::Fields),
        }
    }

    /// Redacts `[{"name": …, "value": …}]`.
    fn pairs(&mut self, pairs: &mut [Value], secret: fn(&str) -> bool) {
        for pair in pairs {
            let name = text_at(pair, "/name").to_owned();
            if let Some(Value::String(text)) = pair.get_mut("value") {
                self.below("[].value", |walk| {
                    if secret(&name) && can_be_secret(text) {
                        walk.replace(text, Reason::Name);
                    } else if [env::CA_CERT, env::CLIENT_CERT].contains(&name.as_str()) && text.contains("-----BEGIN") {
                        walk.replace(text, Reason::OwnCertificate);
                    } else {
                        walk.text(text, Texts::UserData);
                    }
                });
            }
        }
    }

    fn elements(&mut self, elements: &mut [Value], texts: Texts) {
        let mut flag = false;
        for element in elements {
            match element {
                // `--password` and the password are separate arguments.
                Value::String(text) if flag && !text.starts_with('-') && can_be_secret(text) => {
                    self.replace(text, Reason::Name);
                    flag = false;
                }
                Value::String(text) => {
                    flag = texts == Texts::Arguments && text.starts_with('-') && !text.contains('=') && is_secret(text);
                    self.text(text, texts);
                }
                other => self.value(other, texts),
            }
        }
    }

    fn text(&mut self, text: &mut String, texts: Texts) {
        let Self { kind, path, redactions } = self;
        let mut found = |reason| redactions.add(kind, path, reason);
        scrub_shapes(text, &mut found);
        if texts != Texts::Fields {
            scrub_assignments(text, &mut found);
        }
    }

    /// Redacts the object in the annotation of `kubectl apply`.
    fn applied(&mut self, text: &mut String) {
        let Ok(mut object) = serde_json::from_str::<Value>(text) else {
            return self.text(text, Texts::UserData);
        };
        let before = self.redactions.total();
        let kind = text_at(&object, "/kind").to_owned();
        let mut walk = Walk {
            kind: &kind,
            path: std::mem::take(&mut self.path),
            redactions: self.redactions,
        };
        walk.object(&mut object);
        self.path = walk.path;
        if self.redactions.total() > before {
            *text = object.to_string();
        }
    }

    /// Redacts a plugin definition in a run's ConfigMap: YAML with containers like those of pods.
    fn definition(&mut self, text: &mut String) {
        let Ok(mut definition) = yaml::first_document::<Value>(text) else {
            return self.text(text, Texts::UserData);
        };
        let before = self.redactions.total();
        self.value(&mut definition, Texts::Fields);
        if self.redactions.total() > before
            && let Ok(written) = yaml::to_string(&definition)
        {
            *text = written;
        }
    }

    fn all(&mut self, value: &mut Value) {
        if let Value::Object(fields) = value {
            for (key, value) in fields {
                if let Value::String(text) = value
                    && text != REDACTED
                {
                    self.below(key, |walk| walk.replace(text, Reason::Name));
                }
            }
        }
    }

    fn replace(&mut self, text: &mut String, reason: Reason) {
        REDACTED.clone_into(text);
        self.redactions.add(self.kind, &self.path, reason);
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

/// Whether the object belongs to a run of sono. Only the run itself may see its keys and certificates.
fn is_own(object: &Value) -> bool {
    let (label, value) = constants::COMPONENT;
    object
        .pointer("/metadata/labels")
        .and_then(|labels| labels.get(label)?.as_str())
        == Some(value)
}

fn is_definition(key: &str, text: &str) -> bool {
    let is_yaml = std::path::Path::new(key)
        .extension()
        .is_some_and(|extension| extension == "yaml");
    is_yaml && text.contains("sonobuoy-config")
}

fn text_at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests;
