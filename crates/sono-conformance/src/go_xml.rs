//! XML tokens as Go's `encoding/xml` reads them in strict mode.
//!
//! The bot uses that package. It accepts some documents that XML forbids (text before and after the root, repeated attributes) and
//! refuses some that XML allows (encodings other than UTF-8, entities of a document type).

use std::str;

/// Error of a document that Go's decoder refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (byte {offset})")]
pub struct XmlError {
    /// Reason.
    pub message: &'static str,
    /// Offset of the error in the document, from zero.
    pub offset: usize,
}

/// A name without its prefix, and the prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    prefix: String,
    pub(crate) local: String,
}

/// A token. Text, comments and declarations are checked and left out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Start of an element, with its attributes in document order (local names).
    Start(Name, Vec<(String, String)>),
    /// End of the innermost open element.
    End,
    /// End of the document.
    Eof,
}

/// Reader of the tokens of a document.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    bytes: &'a [u8],
    at: usize,
    open: Vec<Name>,
    /// The last start tag was `<x/>`: its end is the next token.
    closing: bool,
}

/// Kind of the text that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Plain,
    CData,
    Quoted(u8),
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            open: Vec::new(),
            closing: false,
        }
    }

    /// Number of open elements.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// The bytes after the last token.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The next token.
    pub(crate) fn next(&mut self) -> Result<Token, XmlError> {
        if self.closing {
            self.closing = false;
            self.open.pop();
            return Ok(Token::End);
        }
        loop {
            let Some(byte) = self.peek() else {
                return if self.open.is_empty() {
                    Ok(Token::Eof)
                } else {
                    Err(self.error("unexpected end of the document"))
                };
            };
            if byte != b'<' {
                self.text(Section::Plain)?;
                continue;
            }
            self.at += 1;
            match self.must()? {
                b'/' => return self.end_tag(),
                b'?' => self.instruction()?,
                b'!' => self.declaration()?,
                _ => {
                    self.at -= 1;
                    return self.start_tag();
                }
            }
        }
    }

    /// Skips the element that started last.
    pub(crate) fn skip(&mut self) -> Result<(), XmlError> {
        let depth = self.depth();
        while self.depth() >= depth {
            self.next()?;
        }
        Ok(())
    }

    fn error(&self, message: &'static str) -> XmlError {
        XmlError {
            message,
            offset: self.at,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn must(&mut self) -> Result<u8, XmlError> {
        let byte = self
            .peek()
            .ok_or_else(|| self.error("unexpected end of the document"))?;
        self.at += 1;
        Ok(byte)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\r' | b'\n' | b'\t')) {
            self.at += 1;
        }
    }

    fn name_bytes(&mut self) -> &'a [u8] {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|byte| byte >= 0x80 || byte.is_ascii_alphanumeric() || b"_:.-".contains(&byte))
        {
            self.at += 1;
        }
        self.bytes.get(start..self.at).unwrap_or_default()
    }

    fn name(&mut self, message: &'static str) -> Result<String, XmlError> {
        let bytes = self.name_bytes();
        if bytes.is_empty() {
            // A name that the end of the document cuts off is the same error.
            return Err(self.error(message));
        }
        let name = str::from_utf8(bytes).map_err(|_| self.error("invalid XML name"))?;
        if self.peek().is_none() {
            return Err(self.error("unexpected end of the document"));
        }
        if is_name(name) {
            Ok(name.to_owned())
        } else {
            Err(self.error("invalid XML name"))
        }
    }

    fn qualified(&mut self, message: &'static str) -> Result<Name, XmlError> {
        let name = self.name(message)?;
        if name.matches(':').count() > 1 {
            return Err(self.error(message));
        }
        Ok(match name.split_once(':') {
            Some((prefix, local)) if !prefix.is_empty() && !local.is_empty() => Name {
                prefix: prefix.to_owned(),
                local: local.to_owned(),
            },
            _ => Name {
                prefix: String::new(),
                local: name,
            },
        })
    }

    fn end_tag(&mut self) -> Result<Token, XmlError> {
        let name = self.qualified("expected an element name after </")?;
        self.space();
        if self.must()? != b'>' {
            return Err(self.error("invalid characters in an end tag"));
        }
        match self.open.pop() {
            Some(open) if open == name => Ok(Token::End),
            Some(_) => Err(self.error("an element is closed by another end tag")),
            None => Err(self.error("unexpected end tag")),
        }
    }

    fn start_tag(&mut self) -> Result<Token, XmlError> {
        let name = self.qualified("expected an element name after <")?;
        let mut attributes = Vec::new();
        loop {
            self.space();
            match self.must()? {
                b'/' => {
                    if self.must()? != b'>' {
                        return Err(self.error("expected /> in an element"));
                    }
                    self.closing = true;
                    break;
                }
                b'>' => break,
                _ => self.at -= 1,
            }
            let attribute = self.qualified("expected an attribute name in an element")?;
            self.space();
            if self.must()? != b'=' {
                return Err(self.error("an attribute has no value"));
            }
            self.space();
            let quote = self.must()?;
            if !matches!(quote, b'"' | b'\'') {
                return Err(self.error("an attribute value is not quoted"));
            }
            attributes.push((attribute.local, self.text(Section::Quoted(quote))?));
        }
        self.open.push(name.clone());
        Ok(Token::Start(name, attributes))
    }

    fn instruction(&mut self) -> Result<(), XmlError> {
        let target = self.name("expected a target name after <?")?;
        self.space();
        let start = self.at;
        let mut before = 0;
        loop {
            let byte = self.must()?;
            if before == b'?' && byte == b'>' {
                break;
            }
            before = byte;
        }
        if target == "xml" {
            let content = self.bytes.get(start..self.at.saturating_sub(2)).unwrap_or_default();
            let content = String::from_utf8_lossy(content);
            if !matches!(parameter("version", &content), "" | "1.0") {
                return Err(self.error("the XML version is not 1.0"));
            }
            let encoding = parameter("encoding", &content);
            if !encoding.is_empty() && !encoding.eq_ignore_ascii_case("utf-8") {
                return Err(self.error("the declared encoding is not UTF-8"));
            }
        }
        Ok(())
    }

    fn declaration(&mut self) -> Result<(), XmlError> {
        match self.must()? {
            b'-' => {
                if self.must()? != b'-' {
                    return Err(self.error("invalid sequence <!-"));
                }
                let (mut first, mut second) = (0, 0);
                loop {
                    let byte = self.must()?;
                    if first == b'-' && second == b'-' {
                        if byte == b'>' {
                            return Ok(());
                        }
                        return Err(self.error("a comment contains --"));
                    }
                    (first, second) = (second, byte);
                }
            }
            b'[' => {
                for expected in b"CDATA[" {
                    if self.must()? != *expected {
                        return Err(self.error("invalid sequence <!["));
                    }
                }
                self.text(Section::CData).map(drop)
            }
            _ => self.directive(),
        }
    }

    /// Skips the rest of a directive such as a document type. Angle brackets nest, except in quotes and comments.
    fn directive(&mut self) -> Result<(), XmlError> {
        let mut quote = 0;
        let mut depth = 0_usize;
        loop {
            let mut byte = self.must()?;
            if quote == 0 && byte == b'>' && depth == 0 {
                return Ok(());
            }
            loop {
                if byte == quote {
                    quote = 0;
                } else if quote != 0 {
                } else if matches!(byte, b'\'' | b'"') {
                    quote = byte;
                } else if byte == b'>' {
                    // Go's counter may become negative; a directive that it then never ends is an error either way.
                    depth = depth.saturating_sub(1);
                } else if byte == b'<' {
                    let mut other = None;
                    for expected in b"!--" {
                        let next = self.must()?;
                        if next != *expected {
                            other = Some(next);
                            break;
                        }
                    }
                    if let Some(next) = other {
                        depth += 1;
                        byte = next;
                        continue;
                    }
                    let (mut first, mut second) = (0, 0);
                    loop {
                        let next = self.must()?;
                        if (first, second, next) == (b'-', b'-', b'>') {
                            break;
                        }
                        (first, second) = (second, next);
                    }
                }
                break;
            }
        }
    }

    /// Reads a section of text up to its end.
    fn text(&mut self, section: Section) -> Result<String, XmlError> {
        let mut found = Vec::new();
        let (mut first, mut second) = (0, 0);
        loop {
            let Some(byte) = self.peek() else {
                if section == Section::Plain {
                    break;
                }
                return Err(self.error("unexpected end of the document"));
            };
            self.at += 1;
            if !matches!(section, Section::Quoted(_)) && (first, second, byte) == (b']', b']', b'>') {
                if section == Section::CData {
                    found.truncate(found.len().saturating_sub(2));
                    break;
                }
                return Err(self.error("]]> outside of a CDATA section"));
            }
            if byte == b'<' && section != Section::CData {
                if section == Section::Plain {
                    self.at -= 1;
                    break;
                }
                return Err(self.error("< in an attribute value"));
            }
            if section == Section::Quoted(byte) {
                break;
            }
            if byte == b'&' && section != Section::CData {
                found.extend_from_slice(self.reference()?.encode_utf8(&mut [0; 4]).as_bytes());
                (first, second) = (0, 0);
                continue;
            }
            if byte == b'\r' {
                found.push(b'\n');
            } else if !(second == b'\r' && byte == b'\n') {
                found.push(byte);
            }
            (first, second) = (second, byte);
        }
        let text = String::from_utf8(found).map_err(|_| self.error("invalid UTF-8"))?;
        if text.chars().all(is_allowed) {
            Ok(text)
        } else {
            Err(self.error("illegal character"))
        }
    }

    /// The character of a reference, after its `&`.
    fn reference(&mut self) -> Result<char, XmlError> {
        let invalid = self.error("invalid character entity");
        if self.peek() == Some(b'#') {
            self.at += 1;
            let radix = if self.peek() == Some(b'x') {
                self.at += 1;
                16
            } else {
                10
            };
            let start = self.at;
            while self.peek().is_some_and(|byte| char::from(byte).is_digit(radix)) {
                self.at += 1;
            }
            let digits = self.bytes.get(start..self.at).unwrap_or_default();
            if self.must()? != b';' {
                return Err(invalid);
            }
            let number = str::from_utf8(digits)
                .ok()
                .and_then(|digits| u64::from_str_radix(digits, radix).ok())
                .filter(|number| *number <= 0x0010_ffff)
                .and_then(|number| u32::try_from(number).ok())
                .ok_or(invalid)?;
            // Go converts a surrogate to U+FFFD.
            return Ok(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let name = self.name_bytes();
        if self.must()? != b';' {
            return Err(invalid);
        }
        match name {
            b"lt" => Ok('<'),
            b"gt" => Ok('>'),
            b"amp" => Ok('&'),
            b"apos" => Ok('\''),
            b"quot" => Ok('"'),
            _ => Err(invalid),
        }
    }
}

/// Whether text is a name. Go's tables of letters differ in rare scripts only.
fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters
        .next()
        .is_some_and(|first| first.is_alphabetic() || matches!(first, '_' | ':'))
        && characters.all(|letter| {
            letter.is_alphanumeric() || matches!(letter, '_' | ':' | '.' | '-' | '\u{b7}' | '\u{300}'..='\u{36f}')
        })
}

fn is_allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// The value of a parameter of an XML declaration, found as Go finds it.
fn parameter<'a>(name: &str, content: &'a str) -> &'a str {
    let name = format!("{name}=");
    let mut rest = content;
    while let Some(position) = rest.find(&name) {
        let Some(after) = rest.get(position + name.len()..).filter(|after| !after.is_empty()) else {
            return "";
        };
        if let Some(quote @ ('\'' | '"')) = after.chars().next() {
            let value = after.get(1..).unwrap_or_default();
            return value.find(quote).and_then(|end| value.get(..end)).unwrap_or_default();
        }
        let width = after.chars().next().map_or(0, char::len_utf8);
        rest = after.get(width..).unwrap_or_default();
    }
    ""
}

#[cfg(test)]
mod tests;
