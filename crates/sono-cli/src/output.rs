//! The only module that prints: data to standard output, everything else to standard error.
//!
//! It also escapes. Printed values are [`Text`] or [`Markdown`], which escape every string in them; documents in a
//! [`Format`], which are escaped on a terminal by the rules of the format; or foreign bytes ([`Printer::verbatim`],
//! [`Printer::log`]), which reach pipes unchanged and terminals without control sequences.
#![expect(clippy::disallowed_methods, reason = "only this module prints")]

mod bars;
mod document;
mod foreign;
mod grid;
mod markdown;
mod text;

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anstyle::{AnsiColor, Style};
use sono_types::exit;
use tracing_subscriber::fmt::MakeWriter;

#[cfg(test)]
pub(crate) use self::bars::FakeTerminal;
use self::foreign::Colours;
pub(crate) use self::{
    bars::{Bar, Stack},
    document::Format,
    foreign::{is_hidden, visible},
    grid::Grid,
    markdown::{Markdown, markdown},
    text::{Text, Tone, text},
};
use crate::{
    args::Colour,
    error::{CliError, Label},
};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
/// Maximum size of a buffered unfinished line.
const MAX_PENDING: usize = 256 << 10;

/// Printer. Clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    /// Standard error is a terminal.
    terminal: bool,
    /// Standard output is a terminal.
    screen: bool,
    /// Only data and errors are printed.
    quiet: bool,
    /// The reader of standard output has closed it.
    broken: Arc<AtomicBool>,
}

impl Printer {
    pub(crate) fn for_this_process() -> Self {
        Self {
            terminal: io::stderr().is_terminal(),
            screen: io::stdout().is_terminal(),
            quiet: false,
            broken: Arc::default(),
        }
    }

    /// Applies the global flags. Colours are a setting of the process.
    pub(crate) fn configure(&mut self, quiet: bool, colours: Colour) {
        self.quiet = quiet;
        let choice = match colours {
            Colour::Auto => anstream::ColorChoice::Auto,
            Colour::Always => anstream::ColorChoice::Always,
            Colour::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }

    /// Whether messages are suppressed.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether standard error shows colours.
    #[expect(clippy::unused_self, reason = "printing requires a printer")]
    pub(crate) fn has_colours(&self) -> bool {
        has_colours(&io::stderr())
    }

    /// Whether standard error is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether standard output is a terminal.
    pub(crate) fn is_screen(&self) -> bool {
        self.screen
    }

    /// Whether the reader has closed standard output. That is success: `sono results … | head`.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    fn write(&self, bytes: &[u8]) -> Result<(), CliError> {
        if self.is_broken() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.broken.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(CliError::new("cannot write to standard output").caused_by(&error)),
        }
    }

    fn put(&self, text: &Text) -> Result<(), CliError> {
        if has_colours(&io::stdout()) {
            self.write(text.styled().as_bytes())
        } else {
            self.write(text.plain().as_bytes())
        }
    }

    /// Writes a text. Styles are removed if colours are off.
    pub(crate) fn print<T: ?Sized>(&self, text: &T) -> Result<(), CliError>
    where
        for<'a> Text: From<&'a T>,
    {
        self.put(&Text::from(text))
    }

    /// Writes a text and ends the line.
    pub(crate) fn line<T: ?Sized>(&self, text: &T) -> Result<(), CliError>
    where
        for<'a> Text: From<&'a T>,
    {
        let mut text = Text::from(text);
        text.push(Text::own("\n"));
        self.put(&text)
    }

    /// Writes Markdown.
    pub(crate) fn markdown(&self, markdown: &Markdown) -> Result<(), CliError> {
        self.write(markdown.as_str().as_bytes())
    }

    /// Writes a document for programs: unchanged to a pipe, with the format's escapes to a terminal.
    pub(crate) fn document(&self, format: Format, text: &str) -> Result<(), CliError> {
        if self.screen {
            self.write(document::for_terminal(format, text).as_bytes())
        } else {
            self.write(text.as_bytes())
        }
    }

    /// Writes whole foreign lines: unchanged to a pipe, without control sequences to a terminal.
    pub(crate) fn verbatim(&self, bytes: &[u8]) -> Result<(), CliError> {
        if self.screen {
            self.write(foreign::visible_lines(bytes, Colours::Removed).as_bytes())
        } else {
            self.write(bytes)
        }
    }

    /// Like [`Self::verbatim`], for a stream of parts; [`Verbatim::end`] writes the rest.
    pub(crate) fn pieces(&self) -> Verbatim<'_> {
        Verbatim {
            printer: self,
            pending: Vec::new(),
        }
    }

    /// Writes whole log lines: unchanged to a pipe, with colours as the only control sequences to a terminal.
    pub(crate) fn log(&self, bytes: &[u8]) -> Result<(), CliError> {
        if self.screen {
            let colours = if has_colours(&io::stdout()) {
                Colours::Preserved
            } else {
                Colours::Removed
            };
            self.write(foreign::visible_lines(bytes, colours).as_bytes())
        } else {
            self.write(bytes)
        }
    }

    /// Writes a part of a line: unchanged to a pipe, as [`Text`] to a terminal.
    pub(crate) fn part(&self, bytes: &[u8]) -> Result<(), CliError> {
        if self.screen {
            self.put(&Text::of_bytes(bytes))
        } else {
            self.write(bytes)
        }
    }

    /// Writes a file name on a line, unchanged to a pipe.
    pub(crate) fn path(&self, path: &Path) -> Result<(), CliError> {
        self.part(path.as_os_str().as_encoded_bytes())?;
        self.write(b"\n")
    }

    /// Writes a message to standard error, unless only errors are printed. Styles are removed if colours are off.
    pub(crate) fn note<T: ?Sized>(&self, text: &T)
    where
        for<'a> Text: From<&'a T>,
    {
        if !self.quiet {
            Self::on_stderr(&Text::from(text));
        }
    }

    fn on_stderr(text: &Text) {
        // A failure to write to standard error cannot be reported.
        drop(writeln!(anstream::stderr(), "{}", text.styled()));
    }

    #[expect(clippy::unused_self, reason = "printing requires a printer")]
    pub(crate) fn error(&self, error: &CliError) {
        let lines = error.labelled().into_iter().map(|(label, line)| match label {
            Label::What => {
                let red = Style::new().fg_color(Some(AnsiColor::Red.into())).bold();
                text![Text::own("error:").with(red), Text::from(format!(" {line}")).with(BOLD)]
            }
            Label::Cause => text![Text::own("  cause:").with(DIM), " ", line],
            Label::Hint => text![Text::own("  hint:").with(DIM), "  ", line],
            Label::Detail => text!["  ", line],
            Label::More(indent) => text![" ".repeat(indent), line],
        });
        let lines: Vec<Text> = lines.collect();
        Self::on_stderr(&Text::lines(lines));
    }

    /// Writes help, which clap represents as an error.
    pub(crate) fn help(&self, help: &clap::Error) -> Result<(), CliError> {
        self.put(&Text::of_clap(&help.render()))
    }
}

/// Foreign text that arrives in parts.
#[derive(Debug)]
pub(crate) struct Verbatim<'a> {
    printer: &'a Printer,
    /// Unfinished line, on a terminal.
    pending: Vec<u8>,
}

impl Verbatim<'_> {
    /// Writes all complete lines.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        if !self.printer.screen {
            return self.printer.write(bytes);
        }
        self.pending.extend_from_slice(bytes);
        let whole = self.pending.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        // Write a long line before its end arrives.
        let whole = whole.or_else(|| (self.pending.len() > MAX_PENDING).then(|| whole_characters(&self.pending)));
        let Some(whole) = whole else { return Ok(()) };
        let rest = self.pending.split_off(whole);
        let lines = std::mem::replace(&mut self.pending, rest);
        self.printer.verbatim(&lines)
    }

    /// Writes the rest.
    pub(crate) fn end(self) -> Result<(), CliError> {
        self.printer.verbatim(&self.pending)
    }
}

/// Length without an incomplete last character.
fn whole_characters(bytes: &[u8]) -> usize {
    let start = bytes.len().saturating_sub(3);
    let lead = bytes[start..]
        .iter()
        .rposition(|byte| *byte >= 0xc0)
        .map(|at| start + at);
    lead.filter(|at| str::from_utf8(&bytes[*at..]).is_err())
        .unwrap_or(bytes.len())
}

fn has_colours(stream: &impl anstream::stream::RawStream) -> bool {
    anstream::AutoStream::choice(stream) != anstream::ColorChoice::Never
}

/// Text for a bar on standard error.
fn on_stderr(text: &Text) -> String {
    if has_colours(&io::stderr()) {
        text.styled().to_owned()
    } else {
        text.plain().into_owned()
    }
}

/// Writer of log records to standard error, one at a time. Foreign text in them is escaped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Records {
    /// Whether colours are preserved.
    pub(crate) colours: bool,
}

impl io::Write for Records {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let colours = if self.colours {
            Colours::Preserved
        } else {
            Colours::Removed
        };
        io::stderr().write_all(foreign::visible_record(record, colours).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for Records {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

/// Exit code after requested help.
pub(crate) fn shown(result: &Result<(), CliError>) -> ExitCode {
    ExitCode::from(result.as_ref().map_or_else(CliError::code, |()| exit::SUCCESS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_characters_end_before_a_broken_one() {
        for (bytes, length) in [
            ("aé".as_bytes(), 3),
            (&"aé".as_bytes()[..2], 1),
            ("a✓".as_bytes(), 4),
            (b"a", 1),
            (b"", 0),
        ] {
            assert_eq!(whole_characters(bytes), length, "{bytes:?}");
        }
        assert_eq!(whole_characters(&"a✓".as_bytes()[..3]), 1);
    }
}
