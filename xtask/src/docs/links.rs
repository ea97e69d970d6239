//! Links within the repository: the file is there, and the heading.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use super::Problem;

/// A link and its line.
#[derive(Debug, PartialEq, Eq)]
struct Link<'text> {
    line: usize,
    target: &'text str,
}

/// What leads nowhere. `pages` by their paths within the repository.
pub(super) fn check(pages: &BTreeMap<String, String>, is_there: &dyn Fn(&Path) -> bool) -> Vec<Problem> {
    let anchors: BTreeMap<&str, BTreeSet<String>> = pages
        .iter()
        .map(|(name, text)| (name.as_str(), anchors(text)))
        .collect();
    let mut problems = Vec::new();
    for (name, text) in pages {
        for Link { line, target } in links(text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let Some(file) = resolve(name, path) else {
                problems.push(Problem::new(
                    name,
                    line,
                    format!("{target} leads out of the repository"),
                ));
                continue;
            };
            if !is_there(Path::new(&file)) {
                problems.push(Problem::new(name, line, format!("{target} leads to no file")));
            } else if !anchor.is_empty() && anchors.get(file.as_str()).is_none_or(|known| !known.contains(anchor)) {
                problems.push(Problem::new(name, line, format!("{target} leads to no heading")));
            }
        }
    }
    problems
}

/// Pages that the index does not lead to.
pub(super) fn missing<'a>(index: &str, text: &str, pages: impl Iterator<Item = &'a String>) -> Vec<Problem> {
    let linked: BTreeSet<String> = links(text)
        .iter()
        .filter_map(|link| resolve(index, link.target.split('#').next().unwrap_or_default()))
        .collect();
    pages
        .filter(|page| *page != index && !linked.contains(*page))
        .map(|page| Problem::new(index, 1, format!("the index does not lead to {page}")))
        .collect()
}

/// The path within the repository of what `path` means in `page`; an empty one is the page itself.
fn resolve(page: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(page.to_owned());
    }
    let folder = Path::new(page).parent().unwrap_or_else(|| Path::new(""));
    let mut found = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::Normal(name) => found.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !found.pop() {
                    return None;
                }
            }
            Component::Prefix(_) | Component::RootDir => return None,
        }
    }
    let names: Vec<_> = found.iter().map(|name| name.to_string_lossy()).collect();
    Some(names.join("/"))
}

/// Lines outside of fenced blocks, with code spans blanked out.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fence = None;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let bare = line.trim();
        let width = bare.len() - bare.trim_start_matches('`').len();
        match fence {
            Some(open) if width >= open && width == bare.len() => fence = None,
            Some(_) => {}
            None if width >= 3 => fence = Some(width),
            None => return Some((index + 1, line)),
        }
        None
    })
}

fn links(text: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    for (line, text) in prose(text) {
        // `[name]: target`
        if let Some((_, target)) = text.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            links.push(Link {
                line,
                target: target.trim(),
            });
            continue;
        }
        // Every second piece between backticks is code.
        let mut offset = 0;
        for (number, piece) in text.split('`').enumerate() {
            let start = offset;
            offset += piece.len() + 1;
            for (at, _) in piece.match_indices("](") {
                if number % 2 == 1 {
                    continue;
                }
                // The text of a link may hold code, so that its target is looked for in the whole line.
                let rest = &text[start + at + 2..];
                if let Some(end) = rest.find(')') {
                    let target = rest[..end].split(' ').next().unwrap_or_default();
                    links.push(Link { line, target });
                }
            }
        }
    }
    links
}

/// The anchors of all headings, as code hosting sites make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        if !(1..=6).contains(&level) || !title.starts_with(' ') {
            continue;
        }
        let anchor: String = without_targets(title.trim())
            .to_lowercase()
            .chars()
            .filter_map(|letter| match letter {
                ' ' => Some('-'),
                letter if letter.is_alphanumeric() || "-_".contains(letter) => Some(letter),
                _ => None,
            })
            .collect();
        let number = seen.entry(anchor.clone()).or_default();
        anchors.insert(if *number == 0 {
            anchor
        } else {
            format!("{anchor}-{number}")
        });
        *number += 1;
    }
    anchors
}

/// `[text](target)` becomes `[text]`.
fn without_targets(title: &str) -> String {
    let mut pieces = title.split("](");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push_str(piece.split_once(')').map_or("", |(_, rest)| rest));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(pages: &[(&str, &str)]) -> BTreeMap<String, String> {
        pages
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    fn found(text: &str) -> Vec<String> {
        let pages = pages(&[
            ("docs/a.md", text),
            ("b.md", "# One `two`, three!\n\n## Same\n\n## Same\n"),
        ]);
        let is_there = |path: &Path| ["docs/a.md", "b.md", "docs"].iter().any(|name| path == Path::new(name));
        check(&pages, &is_there)
            .into_iter()
            .map(|problem| format!("{}: {}", problem.line, problem.what))
            .collect()
    }

    #[test]
    fn links_that_lead_nowhere_are_named() {
        assert_eq!(
            found(
                "# Top\n[a](#top) [b](../b.md) [c](../b.md#one-two-three) [d](../b.md#same-1) [`e`](../docs) [f](https://x.y/z)\n\
                 ![g](h.png)\n[i](#nowhere) [j](../b.md#same-2)\n[k](../../l)\n\n[m]: n.md\n`[o](p)` [q](./a.md \"title\")\n```\n[r](s)\n```\n"
            ),
            [
                "3: h.png leads to no file",
                "4: #nowhere leads to no heading",
                "4: ../b.md#same-2 leads to no heading",
                "5: ../../l leads out of the repository",
                "7: n.md leads to no file",
            ]
        );
    }

    #[test]
    fn the_index_leads_to_every_page() {
        let names = ["docs/README.md", "docs/a.md", "docs/b.md", "README.md"].map(str::to_owned);
        let problems = missing("docs/README.md", "[a](a.md#x) [top](../README.md)", names.iter());
        let said: Vec<&str> = problems.iter().map(|problem| problem.what.as_str()).collect();
        assert_eq!(said, ["the index does not lead to docs/b.md"]);
    }
}
