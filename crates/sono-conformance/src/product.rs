//! PRODUCT.yaml: the fields that CNCF requires, as the bot's parser reads them, and how sono writes them.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::Value;
use sono_types::{text, yaml};

/// Fields without which a submission is rejected.
pub const REQUIRED_FIELDS: [&str; 8] = [
    "vendor",
    "name",
    "version",
    "type",
    "description",
    "website_url",
    "documentation_url",
    "contact_email_address",
];
/// Fields that may be absent.
pub const OPTIONAL_FIELDS: [&str; 2] = ["repo_url", "product_logo_url"];
/// Fields with a URL.
pub const URL_FIELDS: [&str; 4] = ["website_url", "repo_url", "documentation_url", "product_logo_url"];
/// Field with an e-mail address.
pub const EMAIL_FIELD: &str = "contact_email_address";
/// Values of `type`.
pub const TYPES: [&str; 3] = ["distribution", "hosted platform", "installer"];

/// Maximum size of PRODUCT.yaml in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Error of a PRODUCT.yaml that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProductError {
    /// Not text.
    #[error("the file is not UTF-8 text")]
    Text,
    /// A control character, which YAML forbids.
    #[error("the file contains the control character {0:?}")]
    Control(char),
    /// Not YAML.
    #[error("{0}")]
    Yaml(yaml::YamlError),
    /// Not a map of fields.
    #[error("the file is not a map of fields")]
    NotMap,
    /// A file too large for a description of a product.
    #[error("the file is larger than {MAX_BYTES} bytes")]
    TooLarge,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// No value.
    Null,
    /// A text.
    Text(String),
    /// A number or a boolean without quotes. The bot converts it to text.
    Scalar(String),
    /// A list or a map, which breaks each step of the bot that reads texts.
    Structure,
}

/// The fields of a PRODUCT.yaml.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Product {
    fields: BTreeMap<String, Field>,
    repeated: Vec<String>,
    /// A value is `.nan` or `.inf`, which the bot cannot convert to JSON. Only its steps that read texts accept them.
    not_finite: bool,
}

impl Product {
    /// Reads a file: its first document. Of duplicate keys the last one applies. An empty document has no fields.
    pub fn read(bytes: &[u8]) -> Result<Self, ProductError> {
        if bytes.len() > MAX_BYTES {
            return Err(ProductError::TooLarge);
        }
        let decoded = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
            text::decode(bytes).map_err(|_| ProductError::Text)?
        } else {
            let text = std::str::from_utf8(bytes).map_err(|_| ProductError::Text)?;
            text.strip_prefix('\u{feff}').unwrap_or(text).into()
        };
        if let Some(control) = decoded.chars().find(|letter| !is_printable(*letter)) {
            return Err(ProductError::Control(control));
        }
        let document: Value = yaml::first_document(&decoded).map_err(ProductError::Yaml)?;
        let map = match document {
            Value::Null => return Ok(Self::default()),
            Value::Object(map) => map,
            _ => return Err(ProductError::NotMap),
        };
        let fields = map.into_iter().map(|(name, value)| (name, field(value))).collect();
        let repeated = yaml::duplicate_keys(&decoded)
            .into_iter()
            .filter_map(|path| path.into_iter().next())
            .collect();
        Ok(Self {
            fields,
            repeated,
            not_finite: decoded.lines().any(is_not_finite),
        })
    }

    /// A product of the given fields, in any order.
    pub fn of(fields: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            fields: fields
                .into_iter()
                .map(|(name, value)| (name, Field::Text(value)))
                .collect(),
            repeated: Vec::new(),
            not_finite: false,
        }
    }

    /// The fields by name.
    pub fn fields(&self) -> &BTreeMap<String, Field> {
        &self.fields
    }

    /// Whether a value is a number that is not finite.
    pub(crate) fn is_not_finite(&self) -> bool {
        self.not_finite
    }

    /// Names of duplicate keys.
    pub fn repeated(&self) -> &[String] {
        &self.repeated
    }

    /// A field as text: empty, if it is absent or has no value.
    pub fn text(&self, name: &str) -> &str {
        match self.fields.get(name) {
            Some(Field::Text(text) | Field::Scalar(text)) => text,
            Some(Field::Null | Field::Structure) | None => "",
        }
    }

    /// Whether a field has a value.
    pub fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|field| *field != Field::Null)
    }

    /// A field with a list or a map, if any.
    pub fn structure(&self) -> Option<&str> {
        let found = self.fields.iter().find(|(_, field)| **field == Field::Structure);
        found.map(|(name, _)| name.as_str())
    }

    /// The file that sono writes: known fields in CNCF's order, then the others by name. Every value is in double quotes, so that
    /// no parser reads a version as a number. Lists and maps are left out.
    pub fn render(&self) -> String {
        let known: Vec<&str> = [
            "vendor",
            "name",
            "version",
            "website_url",
            "repo_url",
            "documentation_url",
            "product_logo_url",
            "type",
            "description",
            "contact_email_address",
        ]
        .into();
        let others = self
            .fields
            .keys()
            .map(String::as_str)
            .filter(|name| !known.contains(name));
        let mut text = String::new();
        for name in known.iter().copied().chain(others) {
            if let Some(Field::Text(value) | Field::Scalar(value)) = self.fields.get(name) {
                text.push_str(&key(name));
                text.push_str(": ");
                quote(value, &mut text);
                text.push('\n');
            }
        }
        text
    }
}

/// A key, in quotes unless it is a plain word.
fn key(name: &str) -> String {
    let plain = name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && name.contains('_');
    if plain || REQUIRED_FIELDS.contains(&name) {
        return name.to_owned();
    }
    let mut text = String::new();
    quote(name, &mut text);
    text
}

fn quote(value: &str, text: &mut String) {
    text.push('"');
    for letter in value.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            letter
                if is_printable(letter)
                    && letter != '\r'
                    && !matches!(letter, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}') =>
            {
                text.push(letter);
            }
            letter => {
                write!(text, "\\U{:08x}", u32::from(letter)).expect("writing to a string cannot fail");
            }
        }
    }
    text.push('"');
}

fn field(value: Value) -> Field {
    match value {
        Value::Null => Field::Null,
        Value::Bool(value) => Field::Scalar(value.to_string()),
        Value::Number(value) => Field::Scalar(value.to_string()),
        Value::String(value) => Field::Text(value),
        Value::Array(_) | Value::Object(_) => Field::Structure,
    }
}

/// Whether a line ends with a number that is not finite. The YAML reader turns these into texts.
fn is_not_finite(line: &str) -> bool {
    let value = line.rsplit_once(": ").map_or(line, |(_, value)| value).trim();
    let value = value.trim_start_matches(['-', '+']);
    matches!(value, ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF")
}

/// Whether YAML allows a character outside of escapes.
fn is_printable(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_the_bot_reads_them() {
        let text = "vendor: &v ACME\nname: *v\nversion: 1.37\ntype: ~\nopen: yes\ntags: [a]\nvendor: Other\n";
        let product = Product::read(text.as_bytes()).unwrap();
        assert_eq!(
            (
                product.text("vendor"),
                product.text("name"),
                product.text("version"),
                product.text("open")
            ),
            ("Other", "ACME", "1.37", "true")
        );
        assert!(!product.has("type") && product.has("tags"));
        assert_eq!(product.structure(), Some("tags"));
        assert_eq!(product.repeated(), ["vendor"]);
    }

    #[test]
    fn file_that_is_not_a_map_is_refused() {
        assert_eq!(Product::read(b""), Ok(Product::default()));
        assert_eq!(Product::read(b"- a\n"), Err(ProductError::NotMap));
        assert_eq!(Product::read(b"text"), Err(ProductError::NotMap));
        assert_eq!(Product::read(b"a: \xff"), Err(ProductError::Text));
        assert_eq!(Product::read(b"a: \x07"), Err(ProductError::Control('\u{7}')));
        assert!(matches!(Product::read(b"a: [b"), Err(ProductError::Yaml(_))));
        assert_eq!(Product::read(&vec![b' '; MAX_BYTES + 1]), Err(ProductError::TooLarge));
    }

    #[test]
    fn written_file_reads_back_unchanged() {
        let fields = [
            ("vendor", "A \"C\" \\ ME"),
            ("version", "1.37"),
            ("type", "no"),
            ("description", "a: b # c\n\u{85}\u{feff}\u{1}é"),
            ("extra_field", "~"),
            ("null", "x"),
        ];
        let product = Product::of(fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let text = product.render();
        assert_eq!(Product::read(text.as_bytes()), Ok(product), "{text}");
        assert!(
            text.starts_with("vendor: \"A \\\"C\\\" \\\\ ME\"\nversion: \"1.37\"\ntype: \"no\"\n"),
            "{text}"
        );
    }
}
