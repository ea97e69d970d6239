//! `{name, value}` pairs, headers of probes, and the command of a container.

use serde_json::{Map, Value};
use sono_types::env;

use super::{Texts, Walk};
use crate::{
    assign::flags_of,
    hits::Rule,
    names::{Mark, is_secret_header, mark},
    values::{can_be_secret, is_object_name, is_small_number},
};

impl Walk<'_> {
    /// Redacts the value of a map with a name and a value, wherever it is.
    pub(super) fn pair(&mut self, fields: &mut Map<String, Value>) {
        let name = ["name", "key", "Name", "Key"]
            .iter()
            .find_map(|field| fields.get(*field)?.as_str())
            .unwrap_or_default()
            .to_owned();
        for field in ["value", "Value", "defaultValue", "stringValue"] {
            let Some(Value::String(text)) = fields.get_mut(field) else {
                continue;
            };
            let secret = match mark(&name) {
                Mark::Strong => {
                    can_be_secret(text) && (!is_small_number(text) || name.to_ascii_lowercase().contains("pass"))
                }
                Mark::Weak | Mark::Bare => {
                    can_be_secret(text)
                        && !text.starts_with('/')
                        && !is_small_number(text)
                        && (!is_object_name(text) || text.len() >= 12)
                }
                Mark::Plain => false,
            };
            let own = [env::CA_CERT, env::CLIENT_CERT].contains(&name.as_str()) && text.contains("-----BEGIN");
            if secret {
                self.below(field, |walk| walk.hide(text, Rule::Name));
            } else if own {
                self.below(field, |walk| walk.hide(text, Rule::OwnCertificate));
            } else {
                // A variable is a text of a user, also in an object whose fields are not.
                self.below(field, |walk| walk.text(text, Texts::UserData));
            }
        }
    }

    /// Redacts `[{"name": …, "value": …}]` of HTTP headers.
    pub(super) fn headers(&mut self, headers: &mut [Value], texts: Texts) {
        self.below("[]", |walk| {
            for header in headers {
                let name = header
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned();
                match header.get_mut("value") {
                    Some(Value::String(text)) if is_secret_header(&name) && can_be_secret(text) => {
                        walk.below("value", |walk| walk.hide(text, Rule::Name));
                    }
                    _ => walk.value(header, texts),
                }
            }
        });
    }

    /// Redacts passwords in the arguments of a program that is known: `mysql -pX`.
    pub(super) fn command_of(&mut self, container: &mut Value) {
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
            if let Some(exec) = container.pointer_mut(&format!("/{probe}/exec")) {
                self.arguments(exec);
            }
        }
        for hook in ["postStart", "preStop"] {
            if let Some(exec) = container.pointer_mut(&format!("/lifecycle/{hook}/exec")) {
                self.arguments(exec);
            }
        }
        self.arguments(container);
    }

    fn arguments(&mut self, holder: &mut Value) {
        let mut program = String::new();
        let mut previous = String::new();
        for field in ["command", "args"] {
            let arguments = holder
                .get_mut(field)
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten();
            for argument in arguments {
                let Value::String(text) = argument else { continue };
                if program.is_empty() {
                    program.clone_from(text);
                    continue;
                }
                let password = flags_of(&program)
                    .iter()
                    .find_map(|flag| flag.password(&previous, text));
                previous.clone_from(text);
                if let Some(password) = password {
                    text.truncate(password);
                    text.push_str(crate::REDACTED);
                    self.below(field, |walk| {
                        walk.below("[]", |walk| walk.redactions.add(walk.kind, &walk.path, Rule::Name));
                    });
                }
            }
        }
    }
}
