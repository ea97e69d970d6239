//! Markdown with escaped foreign text. Pure.

use std::fmt::Write as _;

use super::foreign::visible;

/// Markdown built from constants of this program and foreign text, which is escaped to one line.
///
/// Only constants can be added without escaping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Markdown(String);

/// Concatenates constants, numbers and Markdown.
macro_rules! markdown {
    ($($piece:expr),* $(,)?) => {{
        let mut markdown = $crate::output::Markdown::default();
        $(markdown.push($piece);)*
        markdown
    }};
}
pub(crate) use markdown;

impl Markdown {
    /// Foreign text within a paragraph or a table cell.
    pub(crate) fn text(text: &str) -> Self {
        let text = visible(text);
        let mut escaped = String::with_capacity(text.len() + 16);
        let mut rest = text.as_ref();
        while !rest.is_empty() {
            // Renderers turn email addresses and mentions into links, except within code.
            let word = rest.find(|character| !is_of_address(character)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(word);
            if word.contains('@') {
                write!(escaped, "`{word}`").expect("writing to a string cannot fail");
            } else {
                escape(word, after, &mut escaped);
            }
            let other = after.find(is_of_address).unwrap_or(after.len());
            let (other, after) = after.split_at(other);
            escape(other, after, &mut escaped);
            rest = after;
        }
        Self(escaped)
    }

    /// Foreign text as code. Not for table cells, where `|` ends the cell even within code.
    pub(crate) fn code(text: &str) -> Self {
        let text = visible(text);
        let ticks = "`".repeat(longest_ticks(&text) + 1);
        let space = if text.is_empty() || text.starts_with('`') || text.ends_with('`') {
            " "
        } else {
            ""
        };
        Self(format!("{ticks}{space}{text}{space}{ticks}"))
    }

    /// Foreign lines as a code block; empty without lines. No line can begin a comment.
    pub(crate) fn quoted<'a>(lines: impl IntoIterator<Item = &'a str>, indent: &'static str) -> Vec<Self> {
        let lines: Vec<_> = lines.into_iter().map(visible).collect();
        if lines.is_empty() {
            return Vec::new();
        }
        let longest = lines.iter().map(|line| longest_ticks(line)).max().unwrap_or_default();
        let fence = "`".repeat((longest + 1).max(3));
        let begin = format!("{indent}{fence}text");
        let end = format!("{indent}{fence}");
        std::iter::once(begin)
            .chain(lines.iter().map(|line| {
                let gap = if line.starts_with("<!--") { " " } else { "" };
                format!("{indent}{gap}{line}")
            }))
            .chain([end])
            .map(Self)
            .collect()
    }

    /// The text struck through.
    pub(crate) fn struck(self) -> Self {
        Self(format!("~~{}~~", self.0))
    }

    /// Joins lines with line ends.
    pub(crate) fn lines(lines: impl IntoIterator<Item = Self>) -> Self {
        Self::joined(lines, "\n")
    }

    pub(crate) fn joined(parts: impl IntoIterator<Item = Self>, separator: &'static str) -> Self {
        let parts: Vec<String> = parts.into_iter().map(|part| part.0).collect();
        Self(parts.join(separator))
    }

    pub(crate) fn push(&mut self, piece: impl Into<Self>) {
        self.0.push_str(&piece.into().0);
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for Markdown {
    fn from(text: &'static str) -> Self {
        Self(text.to_owned())
    }
}

impl From<u64> for Markdown {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

fn is_of_address(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '@' | '.' | '_' | '+' | '-')
}

/// Appends text with Markdown's special characters escaped.
fn escape(part: &str, after: &str, escaped: &mut String) {
    for (at, character) in part.char_indices() {
        let rest = &part[at..];
        let next = rest[character.len_utf8()..].chars().chain(after.chars()).next();
        let is_special = match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '|' | '~' | '#' | '$' | '!' => true,
            // Bare URLs become links.
            ':' => rest[1..].starts_with("//"),
            '.' if part[..at].to_ascii_lowercase().ends_with("www") => true,
            // At the start of a line: lists, rules, headings.
            '.' | ')' if next.is_none_or(|next| next == ' ') => {
                !escaped.is_empty() && escaped.bytes().all(|byte| byte.is_ascii_digit())
            }
            '-' | '+' | '=' => escaped.is_empty() && next.is_some_and(|next| [' ', '-', '='].contains(&next)),
            _ => false,
        };
        if is_special {
            escaped.push('\\');
        }
        escaped.push(character);
    }
}

fn longest_ticks(text: &str) -> usize {
    text.split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_of_foreign_text_is_that_text() {
        for (text, escaped) in [
            ("systemd-logs", "systemd-logs"),
            (
                "image i: not found (ErrImagePull, 1m10s)",
                "image i: not found (ErrImagePull, 1m10s)",
            ),
            ("[x](javascript:y)", "\\[x\\](javascript:y)"),
            ("![x](http://e/x.png)", "\\!\\[x\\](http\\://e/x.png)"),
            ("<img src=x> &amp; <!-- -->", "\\<img src=x\\> \\&amp; \\<\\!-- --\\>"),
            ("a|b\\|c", "a\\|b\\\\\\|c"),
            ("`code` *b* _i_ ~s~ $m$", "\\`code\\` \\*b\\* \\_i\\_ \\~s\\~ \\$m\\$"),
            ("# h\n# i\r\nj", "\\# h \\# i j"),
            ("- item", "\\- item"),
            ("---", "\\---"),
            ("-", "-"),
            ("1. item, 2.", "1\\. item, 2."),
            ("2) item", "2\\) item"),
            ("10.0.0.1", "10.0.0.1"),
            ("see HTTPS://e or www.e.org.", "see HTTPS\\://e or www\\.e.org."),
            ("of a.b+c@d.org, @all", "of `a.b+c@d.org`, `@all`"),
            ("\u{1b}[31mred\u{1b}[0m\u{202e}", "red\\\\u{202e}"),
        ] {
            assert_eq!(Markdown::text(text).as_str(), escaped, "{text:?}");
        }
    }

    #[test]
    fn markdown_of_code_is_closed_by_its_own_ticks_only() {
        for (text, code) in [
            ("a", "`a`"),
            ("", "`  `"),
            ("a`b", "``a`b``"),
            ("`a``", "``` `a`` ```"),
            ("a\n\n# b", "`a  # b`"),
        ] {
            assert_eq!(Markdown::code(text).as_str(), code, "{text:?}");
        }
        let lines = Markdown::quoted(["a\n```\n# b", "```", "\u{1b}[1mc", "<!-- x -->"], "  ");
        assert_eq!(
            Markdown::lines(lines).as_str(),
            "  ````text\n  a ``` # b\n  ```\n  c\n   <!-- x -->\n  ````"
        );
        assert_eq!(Markdown::quoted([], ""), Vec::new());
    }
}
