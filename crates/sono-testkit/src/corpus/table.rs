use super::Counts;

/// A line of `outcomes.tsv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Path below `corpus/`.
    pub file: String,
    pub producer: String,
    /// The accepted verdicts.
    pub verdicts: Vec<String>,
    /// `None`: not compared.
    pub counts: Option<Counts>,
}

/// Reads `outcomes.tsv`. The error names the line.
pub fn expected(table: &str) -> Result<Vec<Expected>, String> {
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| row(line).ok_or_else(|| format!("cannot read `{line}`")))
        .collect()
}

fn row(line: &str) -> Option<Expected> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [file, producer, verdicts, counts] = fields.as_slice() else {
        return None;
    };
    let count = |field: &str| {
        let (count, word) = field.split_once(' ')?;
        Some((word.to_owned(), count.parse().ok()?))
    };
    let counts = match *counts {
        "-" => None,
        counts => Some(counts.split(", ").map(count).collect::<Option<Counts>>()?),
    };
    Some(Expected {
        file: (*file).to_owned(),
        producer: (*producer).to_owned(),
        verdicts: verdicts.split('|').map(str::to_owned).collect(),
        counts,
    })
}
