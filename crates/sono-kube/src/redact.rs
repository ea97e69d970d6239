//! Takes secrets out of Kubernetes objects. Pure: it reads and changes a JSON value and counts.
//!
//! Everything else stays as it is, unknown fields included. What it looks at: environment variables, arguments, probes'
//! headers, ConfigMaps, annotations (what `kubectl apply` leaves there is an object of its own), Secrets of our own
//! runs, and secrets known by their shape in any text. It does not look at what other Secrets hold: they are queried
//! only where they are named.

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

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Takes secrets out of one object, whose `kind` says what it is.
pub fn redact(object: &mut Value, redactions: &mut Redactions) {
    let kind = text_at(object, "/kind").to_owned();
    redact_as(&kind, object, redactions);
}

/// As [`redact`], for what does not say what it is.
pub fn redact_as(kind: &str, object: &mut Value, redactions: &mut Redactions) {
    let mut walk = Walk {
        kind,
        path: String::new(),
        redactions,
    };
    walk.object(object);
}

struct Walk<'a> {
    kind: &'a str,
    path: String,
    redactions: &'a mut Redactions,
}

/// What the strings of a list or map are, beside what their shape says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    /// Names of fields mean something only where they are plain.
    Fields,
    /// Keys are names that a user gave, values are whole texts.
    UserData,
    /// Words of a command line.
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
                // Whoever names Secrets wants to see them.
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

    /// A field whose name says what its content is.
    fn field(&mut self, key: &str, value: &mut Value) {
        match (key, value) {
            ("env", Value::Array(variables)) => self.pairs(variables, is_secret),
            ("httpHeaders", Value::Array(headers)) => self.pairs(headers, is_secret_header),
            ("args" | "command", value) => self.value(value, Texts::Arguments),
            ("annotations", value) => self.value(value, Texts::UserData),
            (_, value) => self.value(value, Texts::Fields),
        }
    }

    /// `[{"name": …, "value": …}]`.
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
                // `--password`, and then the password.
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

    /// The object as it was given to `kubectl apply`.
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

    /// A plugin's definition in the ConfigMap of a run: YAML, whose containers have variables as those of pods do.
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

/// Whether it is an object of ours: a run's keys and certificates are for the run alone.
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
