//! Suggestions for misspelled names: "did you mean …?"

/// The candidate that is most similar to `text`, if any is similar enough. Case-insensitive.
pub fn closest<'a>(text: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let text = text.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (distance(&text, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ` (did you mean x?)`, or an empty text.
pub(crate) fn hint(text: &str, candidates: &[&str]) -> String {
    closest(text, candidates).map_or_else(String::new, |candidate| format!(" (did you mean {candidate}?)"))
}

/// Damerau-Levenshtein distance (optimal string alignment) of two texts.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.iter().enumerate() {
        let mut row = vec![index + 1];
        for column in 0..to.len() {
            let replaced = above[column] + usize::from(*letter != to[column]);
            let mut min = replaced.min(above[column + 1] + 1).min(row[column] + 1);
            if index > 0 && column > 0 && *letter == to[column - 1] && from[index - 1] == to[column] {
                min = min.min(before[column - 1] + 1);
            }
            row.push(min);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspellings_are_recognised_and_other_words_are_not() {
        let drivers = ["Job", "DaemonSet"];
        for (text, expected) in [
            ("Deamonset", Some("DaemonSet")),
            ("jobs", Some("Job")),
            ("daemon-set", Some("DaemonSet")),
            ("Jbo", Some("Job")),
            ("Deployment", None),
            ("", None),
        ] {
            assert_eq!(closest(text, &drivers), expected, "{text}");
        }
    }
}
