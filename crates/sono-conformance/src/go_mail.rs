//! Addresses as Go's `mail.ParseAddress` accepts them, which the bot uses: with names, comments and groups of one address.

use std::net::IpAddr;

/// Reason why Go refuses an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MailError(&'static str);

type Parsed<T> = Result<T, MailError>;

/// Checks a single address.
pub fn check(text: &str) -> Result<(), MailError> {
    let mut parser = Parser { rest: text };
    let addresses = parser.address(true)?;
    parser.comments()?;
    if !parser.rest.is_empty() {
        return Err(MailError("expected a single address"));
    }
    match addresses {
        0 => Err(MailError("empty group")),
        1 => Ok(()),
        _ => Err(MailError("group with several addresses")),
    }
}

/// Whether text is only a mailbox such as `team@example.com`, without name, comment or quotes.
pub(crate) fn is_plain(text: &str) -> bool {
    let mut parser = Parser { rest: text };
    parser.mailbox().is_ok()
        && parser.rest.is_empty()
        && !text.starts_with([' ', '\t', '"'])
        && text
            .split_once('@')
            .is_some_and(|(_, domain)| domain.contains('.') && !domain.starts_with(' '))
}

#[derive(Clone, Copy)]
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn consume(&mut self, letter: char) -> bool {
        match self.rest.strip_prefix(letter) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    /// Skips white space and comments.
    fn comments(&mut self) -> Parsed<()> {
        self.space();
        while self.consume('(') {
            self.comment()?;
            self.space();
        }
        Ok(())
    }

    /// The content of a comment after its parenthesis.
    fn comment(&mut self) -> Parsed<String> {
        let mut depth = 1_usize;
        let mut content = String::new();
        let mut letters = self.rest.chars();
        while let Some(mut letter) = letters.next() {
            if letter == '\\' && !letters.as_str().is_empty() {
                letter = letters.next().unwrap_or_default();
            } else if letter == '(' {
                depth += 1;
            } else if letter == ')' {
                depth -= 1;
                if depth == 0 {
                    self.rest = letters.as_str();
                    return Ok(content);
                }
            }
            content.push(letter);
        }
        Err(MailError("misformatted comment"))
    }

    /// One address or group; the number of its addresses.
    fn address(&mut self, group: bool) -> Parsed<usize> {
        self.space();
        if self.rest.is_empty() {
            return Err(MailError("no address"));
        }
        if self.mailbox().is_ok() {
            self.space();
            if self.consume('(') {
                let comment = self.comment()?;
                for word in comment.split([' ', '\t']) {
                    check_encoded_word(word)?;
                }
            }
            return Ok(1);
        }
        if !self.rest.starts_with('<') {
            self.phrase()?;
        }
        self.space();
        if group && self.consume(':') {
            return self.group();
        }
        if !self.consume('<') {
            return Err(MailError("missing '@' or an address in angle brackets"));
        }
        self.mailbox()?;
        if self.consume('>') {
            Ok(1)
        } else {
            Err(MailError("unclosed angle bracket"))
        }
    }

    fn group(&mut self) -> Parsed<usize> {
        self.space();
        if self.consume(';') {
            self.comments()?;
            return Ok(0);
        }
        let mut count = 0_usize;
        loop {
            self.space();
            count += self.address(false)?;
            self.comments()?;
            if self.consume(';') {
                self.comments()?;
                return Ok(count);
            }
            if !self.consume(',') {
                return Err(MailError("expected a comma"));
            }
        }
    }

    /// `local@domain`. After an error the position is unchanged.
    fn mailbox(&mut self) -> Parsed<()> {
        let mut parser = *self;
        parser.space();
        if parser.rest.starts_with('"') {
            if parser.quoted()? {
                return Err(MailError("empty quoted text in an address"));
            }
        } else {
            parser.atom(false)?;
        }
        if !parser.consume('@') {
            return Err(MailError("missing '@'"));
        }
        parser.space();
        if parser.consume('[') {
            parser.literal()?;
        } else {
            parser.atom(false)?;
        }
        *self = parser;
        Ok(())
    }

    /// Words before an address. An error after the first word ends the phrase.
    fn phrase(&mut self) -> Parsed<()> {
        let mut words = 0_usize;
        loop {
            if words > 0 {
                self.comments()?;
            }
            self.space();
            if self.rest.is_empty() {
                return Ok(());
            }
            let word = if self.rest.starts_with('"') {
                self.quoted().map(drop)
            } else {
                self.atom(true).and_then(check_encoded_word)
            };
            match word {
                Ok(()) => words += 1,
                Err(error) if words == 0 => return Err(error),
                Err(_) => return Ok(()),
            }
        }
    }

    /// A text in quotes; whether it is empty.
    fn quoted(&mut self) -> Parsed<bool> {
        let mut letters = self.rest.chars();
        letters.next();
        let mut empty = true;
        loop {
            match letters.next() {
                None => return Err(MailError("unclosed quoted text")),
                Some('"') => {
                    self.rest = letters.as_str();
                    return Ok(empty);
                }
                Some('\\') => match letters.next() {
                    Some(letter) if is_visible(letter) || matches!(letter, ' ' | '\t') => empty = false,
                    Some(_) => return Err(MailError("bad character in quoted text")),
                    None => return Err(MailError("unclosed quoted text")),
                },
                Some(letter) if is_visible(letter) || matches!(letter, ' ' | '\t') => empty = false,
                Some(_) => return Err(MailError("bad character in quoted text")),
            }
        }
    }

    fn atom(&mut self, permissive: bool) -> Parsed<&'a str> {
        let end = self.rest.find(|letter| !is_atom(letter)).unwrap_or(self.rest.len());
        let (atom, rest) = self.rest.split_at(end);
        if atom.is_empty() {
            return Err(MailError("invalid text"));
        }
        self.rest = rest;
        if !permissive && (atom.starts_with('.') || atom.contains("..") || atom.ends_with('.')) {
            return Err(MailError("misplaced dot"));
        }
        Ok(atom)
    }

    /// An IP address up to its closing bracket.
    fn literal(&mut self) -> Parsed<()> {
        let (address, rest) = self
            .rest
            .split_once(']')
            .ok_or(MailError("unclosed bracket in an address"))?;
        address
            .parse::<IpAddr>()
            .map_err(|_| MailError("invalid IP address in brackets"))?;
        self.rest = rest;
        Ok(())
    }
}

fn is_visible(letter: char) -> bool {
    ('!'..='~').contains(&letter) || !letter.is_ascii()
}

fn is_atom(letter: char) -> bool {
    is_visible(letter) && !"()<>[]:;@\\,\"".contains(letter)
}

/// Fails if a word is encoded (RFC 2047) in a character set that Go does not decode.
fn check_encoded_word(word: &str) -> Parsed<()> {
    let inner = word.strip_prefix("=?").and_then(|rest| rest.strip_suffix("?="));
    let Some(inner) = inner.filter(|_| word.len() >= 8 && word.matches('?').count() == 4) else {
        return Ok(());
    };
    let mut parts = inner.split('?');
    let (Some(charset), Some(encoding), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
        return Ok(());
    };
    let decodable = match encoding {
        "q" | "Q" => is_quoted_printable(text),
        "b" | "B" => is_base64(text),
        _ => false,
    };
    let known = ["utf-8", "iso-8859-1", "us-ascii"];
    if charset.is_empty() || !decodable || known.iter().any(|name| charset.eq_ignore_ascii_case(name)) {
        Ok(())
    } else {
        Err(MailError("unsupported character set"))
    }
}

fn is_quoted_printable(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let valid = match byte {
            b'=' => {
                bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit())
                    && bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit())
            }
            b'\t' | b'\r' | b'\n' => true,
            _ => (b' '..=b'~').contains(&byte),
        };
        if !valid {
            return false;
        }
    }
    true
}

fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_go_accepts_are_valid() {
        for address in [
            "team@example.com",
            " a@b",
            "Team <team@example.com>",
            "<a@b>",
            "\"Team, X\" <a@b> (comment)",
            "a@b (Team (X))",
            "group: a@b;",
            "\"a b\"@c",
            "a@[127.0.0.1]",
            "Jörg <jörg@example.com>",
            "=?utf-8?q?J=C3=B6rg?= <a@b>",
            "a.b. <a@b>",
        ] {
            assert_eq!(check(address), Ok(()), "{address}");
        }
    }

    #[test]
    fn addresses_that_go_refuses_are_errors() {
        for address in [
            "",
            "team",
            "team.example.com",
            "Team",
            "a@",
            "@b",
            "a@b, c@d",
            "a b@c",
            "a..b@c",
            "a.@c",
            "a@.c",
            "<a@b",
            "a@b (c",
            "group:;",
            "group: a@b, c@d;",
            "a@[b]",
            "\"\"@c",
            "=?x-unknown?q?a?= <a@b>",
            "https://example.com",
            "a@b c",
        ] {
            assert!(check(address).is_err(), "{address}");
        }
    }

    #[test]
    fn plain_address_has_no_name() {
        assert!(is_plain("team@example.com"));
        for address in [
            "Team <a@example.com>",
            "a@example",
            "<a@example.com>",
            "a@example.com (x)",
            "a@ example.com",
        ] {
            assert!(!is_plain(address), "{address}");
        }
    }
}
