//! Prints an error with its sources in one line, for logs, records and tables.

use std::{error::Error, fmt, sync::Arc};

/// The error and its sources in one line, outermost first, joined by `: `. Texts that an earlier message already contains are
/// omitted, because many libraries repeat the source in their message.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let message = source.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        next = source.source();
    }
    text
}

/// An error that several places hold. A clone is cheap; two are equal if [`error_chain`] prints the same for both.
#[derive(Debug, Clone)]
pub struct SharedError(Arc<dyn Error + Send + Sync>);

impl SharedError {
    /// Shares an error, or a text that has no source.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error: Box<dyn Error + Send + Sync> = error.into();
        Self(Arc::from(error))
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl Error for SharedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl PartialEq for SharedError {
    fn eq(&self, other: &Self) -> bool {
        error_chain(self) == error_chain(other)
    }
}

impl Eq for SharedError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Step(&'static str, Option<Box<Self>>);

    impl fmt::Display for Step {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.0)
        }
    }

    impl Error for Step {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|source| source as _)
        }
    }

    fn steps(messages: &[&'static str]) -> Step {
        let (first, rest) = messages.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| Box::new(steps(rest)));
        Step(first, source)
    }

    #[test]
    fn shared_error_prints_its_chain_and_equals_one_that_prints_the_same() {
        let shared = SharedError::new(steps(&["cannot pack", "disk full"]));
        assert_eq!(error_chain(&shared), "cannot pack: disk full");
        assert_eq!(shared.clone(), shared);
        assert_eq!(shared, SharedError::new("cannot pack: disk full"));
        assert_ne!(shared, SharedError::new("cannot pack"));
    }

    #[test]
    fn error_chain_with_sources_names_each_text_once() {
        for (messages, expected) in [
            (&["cannot pack"][..], "cannot pack"),
            (
                &["cannot pack", "cannot write a.tar", "disk full"],
                "cannot pack: cannot write a.tar: disk full",
            ),
            (&["cannot pack: disk full", "disk full"], "cannot pack: disk full"),
            (&["a", "b", "a", "c"], "a: b: c"),
        ] {
            assert_eq!(error_chain(&steps(messages)), expected);
        }
    }
}
