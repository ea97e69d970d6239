//! A Rust source file as syntax: its items, its tokens with their lines, and the comments between them.

use std::ops::Range;

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, File, Item, Meta,
    spanned::Spanned,
    visit::{self, Visit},
};

/// A parsed file.
pub(crate) struct Source {
    pub(crate) file: File,
    /// All tokens in their order, groups opened: delimiters are left out.
    pub(crate) tokens: Vec<Token>,
    pub(crate) comments: Vec<Comment>,
    /// Lines of items that exist in tests alone, from 1.
    test_lines: Vec<Range<usize>>,
}

/// An identifier, a literal or a punctuation character.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
    /// Number of open parentheses, brackets and braces.
    pub(crate) depth: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Identifier,
    Literal,
    Punctuation,
}

/// One line of a comment, without its marks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Comment {
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
}

impl Source {
    /// # Errors
    /// For text that is not Rust.
    pub(crate) fn parse(text: &str) -> syn::Result<Self> {
        let stream: TokenStream = text.parse()?;
        let file = syn::parse2(stream.clone())?;
        let mut leaves = Vec::new();
        flatten(stream, 0, &mut leaves);
        leaves.sort_by_key(|(range, _)| range.start);
        let mut tests = TestItems { lines: Vec::new() };
        tests.visit_file(&file);
        Ok(Self {
            comments: comments(text, &leaves),
            tokens: leaves.into_iter().filter_map(|(_, token)| token).collect(),
            file,
            test_lines: tests.lines,
        })
    }

    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.test_lines.iter().any(|lines| lines.contains(&line))
    }
}

/// Leaves and delimiters by their spans; a delimiter has no token.
fn flatten(stream: TokenStream, depth: usize, leaves: &mut Vec<(Range<usize>, Option<Token>)>) {
    for tree in stream {
        let (kind, text) = match &tree {
            TokenTree::Group(group) => {
                leaves.push((group.span_open().byte_range(), None));
                leaves.push((group.span_close().byte_range(), None));
                flatten(group.stream(), depth + 1, leaves);
                continue;
            }
            TokenTree::Ident(name) => (Kind::Identifier, name.to_string()),
            TokenTree::Punct(mark) => (Kind::Punctuation, mark.to_string()),
            TokenTree::Literal(literal) => (Kind::Literal, literal.to_string()),
        };
        let line = tree.span().start().line;
        leaves.push((
            tree.span().byte_range(),
            Some(Token {
                kind,
                text,
                line,
                depth,
            }),
        ));
    }
}

/// Comments that are not documentation: the text between two tokens. Documentation is a literal token.
fn comments(text: &str, leaves: &[(Range<usize>, Option<Token>)]) -> Vec<Comment> {
    let mut found = Vec::new();
    let mut from = 0;
    let mut line = 1;
    let end = text.len()..text.len();
    for range in leaves.iter().map(|(range, _)| range).chain([&end]) {
        if let Some(gap) = text.get(from..range.start) {
            let parts = gap.split('\n').enumerate();
            found.extend(parts.filter_map(|(index, part)| {
                let part = part.trim_matches(|mark: char| mark.is_whitespace() || "/*".contains(mark));
                let text = part.to_owned();
                (!text.is_empty()).then_some(Comment {
                    text,
                    line: line + index,
                })
            }));
        }
        let end = from.max(range.end);
        line += text.get(from..end).map_or(0, |passed| passed.matches('\n').count());
        from = end;
    }
    found
}

/// Whether a file below `src` or `tests` holds tests alone, by its path.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.split('/').any(|name| name == "tests" || name == "tests.rs")
}

/// Whether an item exists in tests alone.
fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.segments.last().is_some_and(|segment| segment.ident == "test"),
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        Meta::NameValue(_) => false,
    })
}

struct TestItems {
    lines: Vec<Range<usize>>,
}

impl<'ast> Visit<'ast> for TestItems {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if is_test_only(attributes) {
            self.lines.push(item.span().start().line..item.span().end().line + 1);
        } else {
            visit::visit_item(self, item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_read_between_tokens_and_documentation_is_a_literal() {
        let source = Source::parse("// a b\n/// c\nfn d() { e(\"// f\"); /* g\n h */ }\n// i").expect("Rust");
        let comments = source
            .comments
            .iter()
            .map(|comment| (comment.line, comment.text.as_str()));
        assert_eq!(comments.collect::<Vec<_>>(), [(1, "a b"), (3, "g"), (4, "h"), (5, "i")]);
        let literals = source.tokens.iter().filter(|token| token.kind == Kind::Literal);
        let literals: Vec<_> = literals.map(|token| (token.line, token.text.as_str())).collect();
        assert_eq!(literals, [(2, "\" c\""), (3, "\"// f\"")]);
    }

    #[test]
    fn test_items_are_known_by_their_lines() {
        let source = Source::parse("fn a() {}\n#[cfg(test)]\nmod b {\n    fn c() {}\n}\nfn d() {}").expect("Rust");
        assert_eq!(
            (1..=6).filter(|line| source.is_test(*line)).collect::<Vec<_>>(),
            [2, 3, 4, 5]
        );
    }
}
