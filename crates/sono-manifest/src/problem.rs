//! Problems of plugin definitions.

use std::fmt;

use sono_types::yaml::{self, Position};

use crate::types::path_text;

/// Severity of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The definition cannot be used.
    Error,
    /// The definition can be used, but part of it may not have the intended effect.
    Warning,
}

/// A problem of a plugin definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file, as given by the user.
    pub file: String,
    /// Position in the file, if known.
    pub position: Option<Position>,
    /// The affected field, such as `spec.env[0].value`.
    pub field: Option<String>,
    /// Error message.
    pub message: String,
    /// Severity of the problem.
    pub severity: Severity,
}

impl Problem {
    /// A problem at this path of keys in `text`, the content of `file`.
    pub(crate) fn at(file: &str, text: &str, severity: Severity, path: &[String], message: String) -> Self {
        let keys: Vec<&str> = path.iter().map(String::as_str).collect();
        Self {
            file: file.to_owned(),
            position: yaml::locate(text, &keys),
            field: (!path.is_empty()).then(|| path_text(path)),
            message,
            severity,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let Some(position) = self.position {
            write!(formatter, ":{position}")?;
        }
        write!(formatter, "   {}", self.message)
    }
}
