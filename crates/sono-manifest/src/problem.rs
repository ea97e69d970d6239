//! What is wrong with a definition, and where.

use std::fmt;

use sono_types::yaml::Position;

/// Whether a definition can be used in spite of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can; something in it has no effect.
    Warning,
}

/// One thing that is wrong with a plugin definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Name of the file, as it was given.
    pub file: String,
    /// Where in the file, when that is known.
    pub position: Option<Position>,
    /// The field it is about, such as `spec.env[0].value`.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// Whether the definition can be used all the same.
    pub severity: Severity,
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
