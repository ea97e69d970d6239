//! "Did you mean …?"

/// The candidate that `text` is most likely a slip of, if there is one. Case does not count.
pub fn closest<'a>(text: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let text = text.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (distance(&text, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ` (did you mean x?)`, or nothing.
pub(crate) fn hint(text: &str, candidates: &[&str]) -> String {
    closest(text, candidates).map_or_else(String::new, |candidate| format!(" (did you mean {candidate}?)"))
}

/// Letters to insert, remove, replace or swap with their neighbour to get from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.iter().enumerate() {
        let mut row = vec![index + 1];
        for column in 0..to.len() {
            let replaced = above[column] + usize::from(*letter != to[column]);
            let mut least = replaced.min(above[column + 1] + 1).min(row[column] + 1);
            if index > 0 && column > 0 && *letter == to[column - 1] && from[index - 1] == to[column] {
                least = least.min(before[column - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
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
