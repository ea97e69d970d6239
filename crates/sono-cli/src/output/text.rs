//! Styled text with escaped foreign text. Pure.

use std::borrow::Cow;

use anstyle::{AnsiColor, Color, Style};

use super::foreign::{self, Colours};

/// Text for a terminal, or a line of output.
///
/// It consists of styles, line ends and strings, which are escaped to one line. An escape sequence in a string is
/// displayed, not executed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(String);

/// Concatenates strings and texts.
macro_rules! text {
    ($($piece:expr),* $(,)?) => {{
        let mut text = $crate::output::Text::default();
        $(text.push($piece);)*
        text
    }};
}
pub(crate) use text;

impl Text {
    /// Constant of this program, which may contain line ends.
    pub(crate) fn own(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Foreign text of several lines, without styles.
    pub(crate) fn block(text: &str) -> Self {
        Self(foreign::visible_lines(text.as_bytes(), Colours::Removed))
    }

    /// Foreign bytes as one line.
    pub(super) fn of_bytes(bytes: &[u8]) -> Self {
        Self::from(foreign::utf8(bytes))
    }

    /// Joins lines with line ends.
    pub(crate) fn lines<T: Into<Self>>(lines: impl IntoIterator<Item = T>) -> Self {
        Self::joined(lines, "\n")
    }

    /// Joins texts with a separator.
    pub(crate) fn joined<T: Into<Self>>(texts: impl IntoIterator<Item = T>, separator: &'static str) -> Self {
        let texts: Vec<String> = texts.into_iter().map(|text| text.into().0).collect();
        Self(texts.join(separator))
    }

    pub(crate) fn push(&mut self, text: impl Into<Self>) {
        self.0.push_str(&text.into().0);
    }

    /// Applies a style.
    pub(super) fn with(self, style: Style) -> Self {
        Self(format!("{style}{}{style:#}", self.0))
    }

    /// Table rendered from texts.
    pub(super) fn of_table(rendered: String) -> Self {
        Self(rendered)
    }

    /// Message of clap with its styles and the user's arguments.
    pub(super) fn of_clap(styled: &clap::builder::StyledStr) -> Self {
        Self(foreign::visible_lines(
            styled.ansi().to_string().as_bytes(),
            Colours::Preserved,
        ))
    }

    /// The text struck through, where the terminal can show it.
    pub(crate) fn struck(self) -> Self {
        self.with(Style::new().strikethrough())
    }

    /// Number of characters, without styles.
    pub(crate) fn width(&self) -> usize {
        self.plain().chars().count()
    }

    /// Pads with blanks.
    pub(crate) fn padded(mut self, width: usize) -> Self {
        let gap = width.saturating_sub(self.width());
        self.0.push_str(&" ".repeat(gap));
        self
    }

    /// Removes one leading blank and all trailing blanks.
    pub(super) fn trimmed_row(&self) -> Self {
        let row = self.0.trim_end();
        Self(row.strip_prefix(' ').unwrap_or(row).to_owned())
    }

    /// Text without styles.
    pub(crate) fn plain(&self) -> Cow<'_, str> {
        if self.0.contains('\u{1b}') {
            Cow::Owned(anstream::adapter::strip_str(&self.0).to_string())
        } else {
            Cow::Borrowed(&self.0)
        }
    }

    /// Text with styles.
    pub(super) fn styled(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(foreign::visible(text).into_owned())
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        match foreign::visible(&text) {
            Cow::Owned(shown) => Self(shown),
            Cow::Borrowed(_) => Self(text),
        }
    }
}

impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Self {
        Self::from(text.as_ref())
    }
}

impl From<&Self> for Text {
    fn from(text: &Self) -> Self {
        text.clone()
    }
}

/// Colour of a word. Its meaning never depends on the colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    /// Neither good nor bad: skipped, or a custom status.
    Unsure,
    Plain,
}

impl Tone {
    pub(super) fn colour(self) -> Option<Color> {
        match self {
            Self::Good => Some(AnsiColor::Green.into()),
            Self::Bad => Some(AnsiColor::Red.into()),
            Self::Unsure => Some(AnsiColor::Yellow.into()),
            Self::Plain => None,
        }
    }

    pub(crate) fn paint(self, text: impl Into<Text>) -> Text {
        let text = text.into();
        match self.colour() {
            Some(colour) => text.with(Style::new().fg_color(Some(colour))),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_preserves_only_its_own_styles_and_lines() {
        let foreign = "\u{1b}[31mred\u{1b}[2J\nhint: x";
        let text = text!["run ", Tone::Good.paint(foreign), format!(" in {foreign}")];
        assert_eq!(
            text.styled(),
            "run \u{1b}[32mred\\u{1b}[2J hint: x\u{1b}[0m in red\\u{1b}[2J hint: x"
        );
        assert_eq!(text.plain(), "run red\\u{1b}[2J hint: x in red\\u{1b}[2J hint: x");
        assert_eq!(Text::lines(["a\n", "b"]).plain(), "a \nb");
        assert_eq!(Text::block("a\n\u{7}b").plain(), "a\n\\u{7}b");
        assert_eq!(Tone::Bad.paint("ab").padded(3).plain(), "ab ");
    }
}
