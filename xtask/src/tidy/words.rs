//! Words that this project does not use, with the field's words for them: in identifiers, literals, comments and pages.
//! The vocabulary is `docs/internals/glossary.md`.

use std::{collections::BTreeMap, sync::LazyLock};

use super::violation::Violation;
use crate::rust_source::{Kind, Source, is_test_file};

struct Banned {
    /// Words in lower case, next to each other.
    phrase: &'static str,
    instead: &'static str,
}

const fn banned(phrase: &'static str, instead: &'static str) -> Banned {
    Banned { phrase, instead }
}

const BANNED: &[Banned] = &[
    banned("anew", "again, or the verb with re-"),
    banned("are there", "exist"),
    banned("be had", "be fetched, be read, be available"),
    banned("beside", "next to, compared with"),
    banned("by hand of", "by"),
    banned("circle", "cycle"),
    banned("comes", "arrives, follows, is"),
    banned("cost a line", "are reported in one line"),
    banned("costs a line", "is reported in one line"),
    banned("desk", "coordinator handle"),
    banned("for ever", "forever, without limit"),
    banned("go on", "continue, resume"),
    banned("goes", "is deleted, is sent, continues"),
    banned("are no", "are not"),
    banned("is had", "is available"),
    banned("is no", "is not a"),
    banned("is heard", "is handled"),
    banned("is there", "exists"),
    banned("keeper", "checkpoint writer"),
    banned("mend", "fix"),
    banned("mended", "fixed"),
    banned("nobody", "no process, no client, or the active voice"),
    banned("once more", "again, retry"),
    banned("room", "space, capacity"),
    banned("shortage", "disk full"),
    banned("tell", "report, say which"),
    banned("teller", "event recorder"),
    banned("tells", "reports, shows"),
    banned("the way out", "hint"),
    banned("told", "reported, informed"),
    banned("was no", "was not a"),
    banned("vault", "checkpoint store"),
    banned("wants", "requires"),
    banned("what bit", "the cause"),
    banned("whoever", "the client, the process, the user"),
];

/// Phrases with the words after their first one.
type Phrases = BTreeMap<&'static str, Vec<(&'static Banned, Vec<&'static str>)>>;

static BY_FIRST_WORD: LazyLock<Phrases> = LazyLock::new(|| {
    let mut phrases = Phrases::new();
    for banned in BANNED {
        let mut words = banned.phrase.split(' ');
        let first = words.next().unwrap_or_default();
        phrases.entry(first).or_default().push((banned, words.collect()));
    }
    phrases
});

/// A file that may use a banned phrase, and why.
struct Exception {
    /// A file, or a directory with its `/`.
    path: &'static str,
    phrase: &'static str,
    #[expect(dead_code, reason = "read by people")]
    reason: &'static str,
}

const HERE: &str = "xtask/src/tidy/words.rs";

/// Every phrase.
const ANY: &str = "*";

const MOST_EXCEPTIONS: usize = 20;

const EXCEPTIONS: &[Exception] = &[
    Exception {
        path: HERE,
        phrase: ANY,
        reason: "the list itself",
    },
    Exception {
        path: "crates/sono-redact/src/values.rs",
        phrase: "vault",
        reason: "marks of references to the products of that name",
    },
    Exception {
        path: "crates/sono-aggregator/src/observe/metrics.rs",
        phrase: "room",
        reason: "a label's value that dashboards query",
    },
];

/// A banned phrase and its place.
#[derive(Clone)]
pub(super) struct Hit {
    path: String,
    line: usize,
    banned: &'static Banned,
}

/// Phrases in the product code of one file: tests are not read.
pub(super) fn in_source(path: &str, source: &Source) -> Vec<Hit> {
    if is_test_file(path) {
        return Vec::new();
    }
    let comments = source
        .comments
        .iter()
        .map(|comment| (comment.line, comment.text.clone()));
    let tokens = source.tokens.iter().filter_map(|token| match token.kind {
        Kind::Identifier => Some((token.line, words_of_identifier(&token.text))),
        Kind::Literal => Some((token.line, token.text.replace("\\n", " "))),
        Kind::Punctuation => None,
    });
    let texts = comments.chain(tokens).filter(|(line, _)| !source.is_test(*line));
    texts.flat_map(|(line, text)| hits(path, line, &text)).collect()
}

/// Phrases in a page without its code: neither blocks between fences nor spans in backticks.
pub(super) fn in_page(path: &str, page: &str) -> Vec<Hit> {
    let mut in_block = false;
    let mut found = Vec::new();
    for (index, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            let prose: Vec<&str> = line.split('`').step_by(2).collect();
            found.extend(hits(path, index + 1, &prose.join(" ` ")));
        }
    }
    found
}

/// Hits without an exception, exceptions without a hit, and more exceptions than are allowed.
pub(super) fn judge(hits: &[Hit]) -> Vec<Violation> {
    judge_with(hits, EXCEPTIONS)
}

fn judge_with(hits: &[Hit], exceptions: &[Exception]) -> Vec<Violation> {
    let excepted = hits
        .iter()
        .filter(|hit| !exceptions.iter().any(|exception| exception.covers(hit)));
    let mut violations: Vec<Violation> = excepted
        .map(|hit| {
            let message = format!("\"{}\": write {}", hit.banned.phrase, hit.banned.instead);
            Violation::at(&hit.path, hit.line, message)
        })
        .collect();
    let unused = exceptions
        .iter()
        .filter(|exception| !hits.iter().any(|hit| exception.covers(hit)));
    violations.extend(unused.map(|exception| {
        let message = format!("no longer contains \"{}\": delete its exception", exception.phrase);
        Violation::at(exception.path, None, message)
    }));
    if exceptions.len() > MOST_EXCEPTIONS {
        let message = format!("{} exceptions for words, more than {MOST_EXCEPTIONS}", exceptions.len());
        violations.push(Violation::at(HERE, None, message));
    }
    violations
}

impl Exception {
    fn covers(&self, hit: &Hit) -> bool {
        let of_path = hit.path == self.path || self.path.ends_with('/') && hit.path.starts_with(self.path);
        of_path && (self.phrase == ANY || self.phrase == hit.banned.phrase)
    }
}

fn hits(path: &str, line: usize, text: &str) -> Vec<Hit> {
    let words: Vec<String> = text
        .split(|letter: char| !letter.is_alphanumeric() && letter != '\'')
        .map(str::to_lowercase)
        .filter(|word| !word.is_empty())
        .collect();
    let starts = words.iter().enumerate();
    let words = &words;
    let found = starts.flat_map(|(index, word)| {
        let phrases = BY_FIRST_WORD.get(word.as_str()).into_iter().flatten();
        let following = words.get(index + 1..).unwrap_or_default();
        let before = index.checked_sub(1).and_then(|index| words.get(index));
        phrases
            .filter(move |(_, rest)| {
                following.len() >= rest.len() && following.iter().zip(rest).all(|(word, expected)| word == expected)
            })
            .filter(move |(_, rest)| !is_plain_no(before, rest, following))
            .map(|(banned, _)| *banned)
    });
    let hit = |banned| Hit {
        path: path.to_owned(),
        line,
        banned,
    };
    found.map(hit).collect()
}

/// Whether "is no" is plain English: "there is no X", "is no longer X".
fn is_plain_no(before: Option<&String>, rest: &[&str], following: &[String]) -> bool {
    let after = following.get(1).map(String::as_str);
    rest == ["no"] && (before.is_some_and(|word| word == "there") || matches!(after, Some("longer" | "more" | "less")))
}

/// `is_thereAnd` as `is there And`.
fn words_of_identifier(identifier: &str) -> String {
    let mut words = String::with_capacity(identifier.len() + 8);
    for letter in identifier.chars() {
        if letter == '_' {
            words.push(' ');
        } else {
            if letter.is_uppercase() && words.ends_with(char::is_lowercase) {
                words.push(' ');
            }
            words.push(letter);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrases(hits: &[Hit]) -> Vec<(usize, &'static str)> {
        hits.iter().map(|hit| (hit.line, hit.banned.phrase)).collect()
    }

    fn of_source(text: &str) -> Vec<(usize, &'static str)> {
        phrases(&in_source("crates/a/src/b.rs", &Source::parse(text).expect("Rust")))
    }

    #[test]
    fn banned_phrases_are_found_in_comments_literals_and_identifiers() {
        let text = "// Whoever\n/// It goes.\nfn is_there(a: ShortageOf) { b(\"c for  ever\"); }\n// forever, meshroom";
        let mut found = of_source(text);
        found.sort_unstable();
        let expected = [
            (1, "whoever"),
            (2, "goes"),
            (3, "for ever"),
            (3, "is there"),
            (3, "shortage"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn no_is_banned_for_not_a_only() {
        let text =
            "// It is no file. There is no file; it is no longer open, there are no others.\n// They are no files.";
        assert_eq!(of_source(text), [(1, "is no"), (2, "are no")]);
    }

    #[test]
    fn tests_and_code_in_pages_are_not_read() {
        assert_eq!(of_source("#[cfg(test)]\nmod tests {\n    // whoever\n}"), []);
        let found = in_page("docs/a.md", "a `told` b\n```text\ntold\n```\nhe told\n");
        assert_eq!(phrases(&found), [(5, "told")]);
    }

    #[test]
    fn exceptions_cover_their_file_and_phrase_and_are_used() {
        let exception = |path, phrase| Exception {
            path,
            phrase,
            reason: "a test",
        };
        let hits = [hits("a/b.rs", 1, "told"), hits("a/c.rs", 2, "told anew")].concat();
        let exceptions = [exception("a/c.rs", ANY), exception("d/", "told")];
        let expected = [
            Violation::at("a/b.rs", 1, "\"told\": write reported, informed"),
            Violation::at("d/", None, "no longer contains \"told\": delete its exception"),
        ];
        assert_eq!(judge_with(&hits, &exceptions), expected);
    }
}
