//! Numbers and names for people.

/// `2,799`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (start, rest) = digits.split_at(first);
    let threes = rest
        .as_bytes()
        .chunks(3)
        .map(|three| String::from_utf8_lossy(three).into_owned());
    let parts: Vec<String> = Some(start.to_owned())
        .filter(|start| !start.is_empty())
        .into_iter()
        .chain(threes)
        .collect();
    parts.join(",")
}

/// `1 test`, `2,799 tests`
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(number))
}

/// Maximum number of names in [`names`].
const MAX_NAMES: usize = 2;

/// `node1, node2 and 98 more`
pub(crate) fn names(names: &[&str]) -> String {
    let first = names.iter().take(MAX_NAMES + 1).copied().collect::<Vec<_>>();
    match names.len() {
        0..=3 => first.join(", "),
        number => format!("{} and {} more", first[..MAX_NAMES].join(", "), number - MAX_NAMES),
    }
}

/// The text without digits, names of pods and the name of a node, in which equal messages about several nodes differ.
pub(crate) fn without_variations(text: &str, node: &str) -> String {
    let is_name = |word: &str| word.contains("sonobuoy-") || (!node.is_empty() && word.contains(node));
    let words = text.split_whitespace().map(|word| {
        if is_name(word) {
            "…".to_owned()
        } else {
            word.replace(|letter: char| letter.is_ascii_digit(), "")
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (12_345, "12,345"),
            (1_234_567, "1,234,567"),
        ];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn numbers_and_nouns_agree() {
        let counts = [0, 1, 2, 1000].map(|number| counted(number, "test"));
        assert_eq!(counts, ["0 tests", "1 test", "2 tests", "1,000 tests"]);
    }

    #[test]
    fn many_names_are_counted() {
        assert_eq!(names(&["a"]), "a");
        assert_eq!(names(&["a", "b", "c"]), "a, b, c");
        assert_eq!(names(&["a", "b", "c", "d"]), "a, b and 2 more");
    }
}
