//! "Did you mean …?"

/// The candidate that `text` is most likely a slip of, if there is one. Case does not count.
pub(crate) fn closest<'a>(text: &str, candidates: &[&'a str]) -> Option<&'a str> {
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

/// Letters to insert, remove or replace to get from one text to the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for column in 0..to.len() {
            let replaced = diagonal + usize::from(letter != to[column]);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
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
            ("Deployment", None),
            ("", None),
        ] {
            assert_eq!(closest(text, &drivers), expected, "{text}");
        }
    }
}
