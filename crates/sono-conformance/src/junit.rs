//! JUnit results as the bot reads them.
//!
//! The bot decodes `<testsuites><testsuite><testcase>` with Go's `encoding/xml` into Sonobuoy's structs. Other roots, nested suites
//! and documents that the decoder refuses are errors or are not read.

use crate::go_xml::{Token, Tokens, XmlError};

/// Maximum number of test cases of a file, far above the 7,000 of the suite.
const MAX_CASES: usize = 1_000_000;

/// Error of a file that the bot cannot read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JunitError {
    /// Not the XML that Go's decoder accepts.
    #[error("{0}")]
    Xml(XmlError),
    /// No element.
    #[error("the file has no element")]
    Empty,
    /// Another root element.
    #[error("expected the root element <testsuites>, found <{0}>")]
    Root(String),
    /// A count or time of a suite that is not a number.
    #[error("attribute `{name}` of <testsuite> is not a number: `{value}`")]
    Number {
        /// Name of the attribute.
        name: String,
        /// Its value.
        value: String,
    },
    /// More test cases than any suite has.
    #[error("the file has more than {MAX_CASES} test cases")]
    TooMany,
}

impl From<XmlError> for JunitError {
    fn from(error: XmlError) -> Self {
        Self::Xml(error)
    }
}

/// A test case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TestCase {
    /// Name, as the XML has it.
    pub name: String,
    /// It has an element `<skipped>`.
    pub skipped: bool,
    /// It has an element `<failure>`.
    pub failed: bool,
    /// It has an element `<error>`.
    pub error: bool,
}

/// The test cases of a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Junit {
    /// Test cases in document order.
    pub cases: Vec<TestCase>,
    /// Number of suites.
    pub suites: usize,
    /// Bytes other than white space follow the root element. The bot ignores them.
    pub trailing: bool,
    /// Number of test cases in nested suites, which the bot does not read.
    pub unread: usize,
}

const CONFORMANCE: &str = "[Conformance]";

impl Junit {
    /// Reads a file.
    pub fn read(bytes: &[u8]) -> Result<Self, JunitError> {
        let mut tokens = Tokens::new(bytes);
        match tokens.next()? {
            Token::Start(name, _) if name.local == "testsuites" => {}
            Token::Start(name, _) => return Err(JunitError::Root(name.local.chars().take(64).collect())),
            Token::End | Token::Eof => return Err(JunitError::Empty),
        }
        let mut junit = Self::default();
        while tokens.depth() > 0 {
            match tokens.next()? {
                Token::Start(name, attributes) if name.local == "testsuite" => {
                    check_numbers(&attributes)?;
                    junit.suites += 1;
                    junit.suite(&mut tokens)?;
                }
                Token::Start(..) => tokens.skip()?,
                Token::End | Token::Eof => {}
            }
        }
        junit.trailing = tokens.rest().iter().any(|byte| !byte.is_ascii_whitespace());
        Ok(junit)
    }

    fn suite(&mut self, tokens: &mut Tokens<'_>) -> Result<(), JunitError> {
        let depth = tokens.depth();
        while tokens.depth() >= depth {
            let Token::Start(name, attributes) = tokens.next()? else {
                continue;
            };
            if name.local == "testcase" {
                let case = test_case(tokens, attributes)?;
                self.cases.push(case);
                if self.cases.len() > MAX_CASES {
                    return Err(JunitError::TooMany);
                }
            } else {
                let inner = tokens.depth();
                while tokens.depth() >= inner {
                    if matches!(tokens.next()?, Token::Start(name, _) if name.local == "testcase") {
                        self.unread += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// The conformance tests that ran, with their names as the bot compares them.
    pub fn conformance_tests(&self) -> impl Iterator<Item = (String, &TestCase)> {
        self.cases
            .iter()
            .filter(|case| !case.skipped && case.name.contains(CONFORMANCE))
            .map(|case| (compared_name(&case.name), case))
    }

    /// Number of names with entities that were escaped twice.
    pub fn twice_escaped(&self) -> usize {
        let escaped = |case: &&TestCase| {
            ["&#39;", "&#34;", "&gt;", "&lt;", "&amp;"]
                .iter()
                .any(|entity| case.name.contains(entity))
        };
        self.cases.iter().filter(escaped).count()
    }
}

/// The name that the bot looks up: three entities are unescaped again, one name is rewritten, and one `[It] ` is removed.
pub fn compared_name(name: &str) -> String {
    let name = name
        .replace("&#39;", "'")
        .replace("&#34;", "\"")
        .replace("&gt;", ">")
        .replace("'cat /tmp/health'", "\"cat /tmp/health\"");
    match name.strip_prefix("[It] ") {
        Some(rest) => rest.to_owned(),
        None => name,
    }
}

fn test_case(tokens: &mut Tokens<'_>, attributes: Vec<(String, String)>) -> Result<TestCase, JunitError> {
    // Of repeated attributes the last one applies.
    let name = attributes.into_iter().rev().find(|(name, _)| name == "name");
    let mut case = TestCase {
        name: name.map(|(_, name)| name).unwrap_or_default(),
        ..TestCase::default()
    };
    let depth = tokens.depth();
    while tokens.depth() >= depth {
        if let Token::Start(name, _) = tokens.next()? {
            match name.local.as_str() {
                "skipped" => case.skipped = true,
                "failure" => case.failed = true,
                "error" => case.error = true,
                _ => {}
            }
            tokens.skip()?;
        }
    }
    Ok(case)
}

/// Checks the attributes that the bot parses as numbers.
fn check_numbers(attributes: &[(String, String)]) -> Result<(), JunitError> {
    for (name, value) in attributes {
        let trimmed = value.trim();
        let valid = match name.as_str() {
            _ if value.is_empty() => true,
            "tests" | "failures" => trimmed.parse::<i64>().is_ok(),
            // Go refuses numbers that exceed the range.
            "time" => trimmed
                .parse::<f64>()
                .is_ok_and(|number| number.is_finite() || !trimmed.contains(|letter: char| letter.is_ascii_digit())),
            _ => true,
        };
        if !valid {
            return Err(JunitError::Number {
                name: name.clone(),
                value: value.chars().take(64).collect(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str) -> TestCase {
        TestCase {
            name: name.to_owned(),
            ..TestCase::default()
        }
    }

    #[test]
    fn cases_of_suites_below_the_root_are_read() {
        let document = "<testsuites><testsuite tests='3' time='1.5'><properties><property name='a'/></properties>\
            <testcase name='a'/><testcase name='b'><skipped/></testcase><testcase name='c'><failure>x</failure><error/></testcase>\
            <testsuite><testcase name='nested'/></testsuite></testsuite><testsuite><testcase name='d'/></testsuite></testsuites>\n<x/>";
        let expected = Junit {
            cases: vec![
                case("a"),
                TestCase {
                    skipped: true,
                    ..case("b")
                },
                TestCase {
                    failed: true,
                    error: true,
                    ..case("c")
                },
                case("d"),
            ],
            suites: 2,
            trailing: true,
            unread: 1,
        };
        assert_eq!(Junit::read(document.as_bytes()), Ok(expected));
    }

    #[test]
    fn file_that_the_bot_cannot_read_is_an_error() {
        let read = |document: &str| Junit::read(document.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            read("<testsuite/>"),
            "expected the root element <testsuites>, found <testsuite>"
        );
        assert_eq!(read(" "), "the file has no element");
        assert_eq!(
            read("<testsuites><testsuite tests='many'/></testsuites>"),
            "attribute `tests` of <testsuite> is not a number: `many`"
        );
        assert_eq!(
            read("<testsuites><testsuite time='1e999'/></testsuites>"),
            "attribute `time` of <testsuite> is not a number: `1e999`"
        );
        assert_eq!(
            read("<testsuites><testsuite>"),
            "unexpected end of the document (byte 23)"
        );
    }

    #[test]
    fn compared_name_is_the_name_after_the_replacements_of_the_bot() {
        for (name, expected) in [
            ("[It] a [Conformance]", "a [Conformance]"),
            ("[It] [It] a", "[It] a"),
            ("a &gt; &#39;b&#39; &#34;c&#34; &amp;", "a > 'b' \"c\" &amp;"),
            ("run a 'cat /tmp/health' x", "run a \"cat /tmp/health\" x"),
            ("run a &#39;cat /tmp/health&#39; x", "run a \"cat /tmp/health\" x"),
        ] {
            assert_eq!(compared_name(name), expected);
        }
    }
}
