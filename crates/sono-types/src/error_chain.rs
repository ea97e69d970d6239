//! Prints an error with its sources in one line, for logs, records and tables.

use std::error::Error;

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

#[cfg(test)]
mod tests {
    use std::fmt;

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
