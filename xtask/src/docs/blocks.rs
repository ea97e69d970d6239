//! The fenced blocks of a page, and what is to be done with each:
//!
//! - `sh` is typed as a whole, by `sh -eu`; it has to end well.
//! - `text` that begins with `$ ` is a session: each line after `$ ` is typed, and what follows it is what it prints. `…` stands
//!   for anything within a line, a line of its own that is `…` for any lines.
//! - any other block whose first line is `# NAME` with a file's ending is written to that file.
//! - a block of one of the first two kinds after a line `<!-- not run: REASON -->` is left alone.

use super::Problem;

/// Languages of commands; others show something.
const COMMANDS: [&str; 4] = ["sh", "bash", "shell", "console"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Of its first line within the page, from 1.
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Script(String),
    Session(Vec<Typed>),
    File {
        name: String,
        text: String,
    },
    /// Commands that are not typed, and why.
    Left(String),
    Shown,
}

/// A line of a session and what it is to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) line: usize,
    pub(super) command: String,
    pub(super) printed: String,
}

impl Block {
    pub(super) fn is_typed(&self) -> bool {
        matches!(self.kind, Kind::Script(_) | Kind::Session(_))
    }
}

/// A fence that is open: its width, indentation, language, first line, and the reason in front of it.
struct Open {
    fence: String,
    indent: usize,
    language: String,
    line: usize,
    reason: Option<String>,
    text: String,
}

pub(super) fn blocks(page: &str, text: &str) -> (Vec<Block>, Vec<Problem>) {
    let (mut blocks, mut problems) = (Vec::new(), Vec::new());
    let mut open: Option<Open> = None;
    let mut reason: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let bare = line.trim_start();
        if let Some(block) = &mut open {
            if bare.trim_end() == block.fence {
                let block = open.take().expect("it is open");
                blocks.push(close(page, block, &mut problems));
            } else {
                // The fence's own indentation is no part of the text.
                let indent = line.len() - bare.len();
                block.text.push_str(&line[block.indent.min(indent)..]);
                block.text.push('\n');
            }
            continue;
        }
        if let Some(text) = not_run(bare) {
            reason = Some((number, text.to_owned()));
            continue;
        }
        let width = bare.len() - bare.trim_start_matches('`').len();
        if width >= 3 {
            let language = bare[width..].trim().to_owned();
            open = Some(Open {
                fence: "`".repeat(width),
                indent: line.len() - bare.len(),
                language,
                line: number,
                reason: reason.take().map(|(_, text)| text),
                text: String::new(),
            });
        } else if !bare.is_empty()
            && let Some((line, _)) = reason.take()
        {
            problems.push(Problem::new(page, line, "no block follows this reason"));
        }
    }
    if let Some(block) = open {
        problems.push(Problem::new(page, block.line, "this block does not end"));
    }
    (blocks, problems)
}

fn not_run(line: &str) -> Option<&str> {
    let reason = line.strip_prefix("<!-- not run:")?.strip_suffix("-->")?;
    Some(reason.trim())
}

fn close(page: &str, block: Open, problems: &mut Vec<Problem>) -> Block {
    let Open {
        language,
        line,
        reason,
        text,
        ..
    } = block;
    let is_script = COMMANDS.contains(&language.as_str());
    let is_session = text.starts_with("$ ");
    let mut problem = |what: &str| problems.push(Problem::new(page, line, what));
    let kind = match reason {
        Some(reason) if is_script || is_session => {
            if reason.is_empty() {
                problem("why this is not run is not said");
            }
            Kind::Left(reason)
        }
        Some(_) => {
            problem("this block would not be run anyway");
            Kind::Shown
        }
        None if language.is_empty() => {
            problem("what this block is in is not said: sh, text, yaml, …");
            Kind::Shown
        }
        None if is_session && language == "text" => Kind::Session(session(line, &text)),
        None if language == "sh" => Kind::Script(text),
        None if is_script || is_session => {
            problem("commands are `sh`, sessions are `text` that begins with `$ `");
            Kind::Shown
        }
        None => match file_name(&text) {
            Some(name) => Kind::File { name, text },
            None => Kind::Shown,
        },
    };
    Block { line, kind }
}

fn session(line: usize, text: &str) -> Vec<Typed> {
    let mut session: Vec<Typed> = Vec::new();
    for (index, text) in text.lines().enumerate() {
        match (text.strip_prefix("$ "), session.last_mut()) {
            (Some(command), _) => session.push(Typed {
                line: line + 1 + index,
                command: command.to_owned(),
                printed: String::new(),
            }),
            (None, Some(typed)) => {
                typed.printed.push_str(text);
                typed.printed.push('\n');
            }
            (None, None) => {}
        }
    }
    session
}

/// `# name.yaml` in the first line.
fn file_name(text: &str) -> Option<String> {
    let name = text.lines().next()?.strip_prefix("# ")?;
    let (stem, end) = name.rsplit_once('.')?;
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
    };
    (plain(stem) && plain(end)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(page: &str) -> Vec<Kind> {
        let (blocks, problems) = blocks("p.md", page);
        assert_eq!(problems, []);
        blocks.into_iter().map(|block| block.kind).collect()
    }

    fn complaints(page: &str) -> Vec<(usize, String)> {
        let (_, problems) = blocks("p.md", page);
        problems
            .into_iter()
            .map(|problem| (problem.line, problem.what))
            .collect()
    }

    #[test]
    fn each_block_says_what_is_done_with_it() {
        let page = "# Title\n\n```sh\na\nb\n```\n\ntext\n\n```text\n$ c\n1\n2\n$ d\n```\n\n<!-- not run: needs a cluster -->\n\n```sh\ne\n```\n\
                    ```yaml\n# f.yaml\ng: 1\n```\n```yaml\n# a comment: with words\ng: 1\n```\n```text\nh\n```\n";
        assert_eq!(
            kinds(page),
            [
                Kind::Script("a\nb\n".to_owned()),
                Kind::Session(vec![
                    Typed {
                        line: 11,
                        command: "c".to_owned(),
                        printed: "1\n2\n".to_owned()
                    },
                    Typed {
                        line: 14,
                        command: "d".to_owned(),
                        printed: String::new()
                    },
                ]),
                Kind::Left("needs a cluster".to_owned()),
                Kind::File {
                    name: "f.yaml".to_owned(),
                    text: "# f.yaml\ng: 1\n".to_owned()
                },
                Kind::Shown,
                Kind::Shown,
            ]
        );
    }

    #[test]
    fn blocks_in_lists_and_with_wide_fences_end_where_they_should() {
        assert_eq!(
            kinds("1. a\n   ```sh\n   b\n     c\n   ```\n````sh\n```\n````\n"),
            [Kind::Script("b\n  c\n".to_owned()), Kind::Script("```\n".to_owned())]
        );
    }

    #[test]
    fn commands_that_nobody_decided_on_are_named() {
        let said = |line: usize, what: &str| (line, what.to_owned());
        assert_eq!(
            complaints("```\na\n```\n"),
            [said(1, "what this block is in is not said: sh, text, yaml, …")]
        );
        assert_eq!(
            complaints("```bash\na\n```\n"),
            [said(1, "commands are `sh`, sessions are `text` that begins with `$ `")]
        );
        assert_eq!(
            complaints("<!-- not run: -->\n```sh\na\n```\n"),
            [said(2, "why this is not run is not said")]
        );
        assert_eq!(
            complaints("<!-- not run: why -->\ntext\n```sh\na\n```\n"),
            [said(1, "no block follows this reason")]
        );
        assert_eq!(
            complaints("<!-- not run: why -->\n```yaml\na\n```\n"),
            [said(2, "this block would not be run anyway")]
        );
        assert_eq!(complaints("```sh\na\n"), [said(1, "this block does not end")]);
    }
}
