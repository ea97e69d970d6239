//! HTML in which foreign text cannot become markup.

use std::fmt::Write as _;

/// HTML. Only [`Html::own`] adds markup; all other text is escaped.
#[derive(Debug, Default)]
pub struct Html(String);

impl Html {
    /// Adds markup of this program.
    pub fn own(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text of any origin. Characters that are invisible or control the direction are shown as `\u{…}`.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(letter),
                letter if is_hidden(letter) => push_code(letter, &mut self.0),
                letter => self.0.push(letter),
            }
        }
        self
    }

    /// Adds a number.
    pub fn number(&mut self, number: impl std::fmt::Display) -> &mut Self {
        self.text(&number.to_string())
    }

    /// Adds an element without attributes that contains text.
    pub fn element(&mut self, tag: &'static str, text: &str) -> &mut Self {
        self.own("<").own(tag).own(">").text(text).own("</").own(tag).own(">")
    }

    /// Adds other HTML.
    pub fn html(&mut self, html: &Self) -> &mut Self {
        self.0.push_str(&html.0);
        self
    }

    /// The text of the document.
    pub fn finish(self) -> String {
        self.0
    }
}

/// JSON for an element `<script type="application/json">`: it contains no `<`, `>` and `&`.
pub(crate) fn json_block(json: &str, html: &mut Html) {
    for letter in json.chars() {
        match letter {
            '<' => html.0.push_str("\\u003c"),
            '>' => html.0.push_str("\\u003e"),
            '&' => html.0.push_str("\\u0026"),
            '\u{2028}' => html.0.push_str("\\u2028"),
            '\u{2029}' => html.0.push_str("\\u2029"),
            letter => html.0.push(letter),
        }
    }
}

fn push_code(letter: char, text: &mut String) {
    // Writing to a string never fails.
    write!(text, "\\u{{{:x}}}", u32::from(letter)).ok();
}

/// Whether a character is invisible, or controls how others are shown.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text in which hidden characters are shown, for scripts, which escape nothing else.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_hidden(letter) && !matches!(letter, '\n' | '\t') {
            push_code(letter, &mut shown);
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_no_markup() {
        let mut html = Html::default();
        html.element("p", "</p><script>\"'&\u{202e}\u{7}\u{0}\n\tend");
        assert_eq!(
            html.finish(),
            "<p>&lt;/p&gt;&lt;script&gt;&quot;&#39;&amp;\\u{202e}\\u{7}\\u{0}\n\tend</p>"
        );
        let mut html = Html::default();
        json_block("{\"a\":\"</script>&\u{2028}\"}", &mut html);
        assert_eq!(html.finish(), r#"{"a":"\u003c/script\u003e\u0026\u2028"}"#);
        assert_eq!(visible("a\u{200b}\n<"), "a\\u{200b}\n<");
    }
}
