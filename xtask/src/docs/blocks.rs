//! The fenced blocks of a page and their meaning:
//!
//! - `sh` is a script for `sh -eu`, which must succeed.
//! - `text` that begins with `$ ` is a session: each line after `$ ` is a command, followed by its expected output. `…` matches
//!   any text within a line; a line with only `…` matches any lines.
//! - any other block with the first line `# NAME` and a file extension is written to that file.
//! - a script or session after a line `<!-- not run: REASON -->` is skipped.

use super::Problem;

/// Languages of commands; other blocks are only shown.
const COMMANDS: [&str; 4] = ["sh", "bash", "shell", "console"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// Line number of the opening fence, counted from 1.
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Script(String),
    Session(Vec<SessionCommand>),
    File {
        name: String,
        text: String,
    },
    /// Commands that are not run, with the reason.
    Skipped(String),
    Shown,
}

/// A command of a session and its expected output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionCommand {
    pub(super) line: usize,
    pub(super) command: String,
    pub(super) output: String,
}

impl Block {
    pub(super) fn is_executed(&self) -> bool {
        matches!(self.kind, Kind::Script(_) | Kind::Session(_))
    }
}

/// An open fenced block: fence, indentation, language, line number, and the reason in front of it.
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
                let block = open.take().expect("a block is open");
                blocks.push(close(page, block, &mut problems));
            } else {
                // Remove the fence's indentation from the text.
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
            problems.push(Problem::new(page, line, "this reason is not followed by a block"));
        }
    }
    if let Some(block) = open {
        problems.push(Problem::new(page, block.line, "this block is not closed"));
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
                problem("missing reason for not running this block");
            }
            Kind::Skipped(reason)
        }
        Some(_) => {
            problem("a reason on a block that is never run");
            Kind::Shown
        }
        None if language.is_empty() => {
            problem("missing language of this block: sh, text, yaml, …");
            Kind::Shown
        }
        None if is_session && language == "text" => Kind::Session(session(line, &text)),
        None if language == "sh" => Kind::Script(text),
        None if is_script || is_session => {
            problem("use `sh` for commands, and `text` that begins with `$ ` for sessions");
            Kind::Shown
        }
        None => match file_name(&text) {
            Some(name) => Kind::File { name, text },
            None => Kind::Shown,
        },
    };
    Block { line, kind }
}

fn session(line: usize, text: &str) -> Vec<SessionCommand> {
    let mut session: Vec<SessionCommand> = Vec::new();
    for (index, text) in text.lines().enumerate() {
        match (text.strip_prefix("$ "), session.last_mut()) {
            (Some(command), _) => session.push(SessionCommand {
                line: line + 1 + index,
                command: command.to_owned(),
                output: String::new(),
            }),
            (None, Some(command)) => {
                command.output.push_str(text);
                command.output.push('\n');
            }
            (None, None) => {}
        }
    }
    session
}

/// The file name of a first line such as `# name.yaml`.
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

    fn problems(page: &str) -> Vec<(usize, String)> {
        let (_, found) = blocks("p.md", page);
        found
            .into_iter()
            .map(|problem| (problem.line, problem.message))
            .collect()
    }

    #[test]
    fn blocks_of_all_kinds_are_recognized() {
        let page = "# Title\n\n```sh\na\nb\n```\n\ntext\n\n```text\n$ c\n1\n2\n$ d\n```\n\n<!-- not run: needs a cluster -->\n\n```sh\ne\n```\n\
                    ```yaml\n# f.yaml\ng: 1\n```\n```yaml\n# a comment: with words\ng: 1\n```\n```text\nh\n```\n";
        assert_eq!(
            kinds(page),
            [
                Kind::Script("a\nb\n".to_owned()),
                Kind::Session(vec![
                    SessionCommand {
                        line: 11,
                        command: "c".to_owned(),
                        output: "1\n2\n".to_owned()
                    },
                    SessionCommand {
                        line: 14,
                        command: "d".to_owned(),
                        output: String::new()
                    },
                ]),
                Kind::Skipped("needs a cluster".to_owned()),
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
    fn blocks_in_lists_and_with_wide_fences_are_closed_correctly() {
        assert_eq!(
            kinds("1. a\n   ```sh\n   b\n     c\n   ```\n````sh\n```\n````\n"),
            [Kind::Script("b\n  c\n".to_owned()), Kind::Script("```\n".to_owned())]
        );
    }

    #[test]
    fn blocks_with_wrong_markup_are_reported() {
        let problem = |line: usize, message: &str| (line, message.to_owned());
        assert_eq!(
            problems("```\na\n```\n"),
            [problem(1, "missing language of this block: sh, text, yaml, …")]
        );
        assert_eq!(
            problems("```bash\na\n```\n"),
            [problem(
                1,
                "use `sh` for commands, and `text` that begins with `$ ` for sessions"
            )]
        );
        assert_eq!(
            problems("<!-- not run: -->\n```sh\na\n```\n"),
            [problem(2, "missing reason for not running this block")]
        );
        assert_eq!(
            problems("<!-- not run: why -->\ntext\n```sh\na\n```\n"),
            [problem(1, "this reason is not followed by a block")]
        );
        assert_eq!(
            problems("<!-- not run: why -->\n```yaml\na\n```\n"),
            [problem(2, "a reason on a block that is never run")]
        );
        assert_eq!(problems("```sh\na\n"), [problem(1, "this block is not closed")]);
    }
}
