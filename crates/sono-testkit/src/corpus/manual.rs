use yaml_rust2::{Yaml, YamlLoader};

use super::{Counts, add};

pub(super) fn counts(text: &str) -> Result<Counts, String> {
    let documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
    let mut counts = Counts::new();
    for document in documents
        .iter()
        .filter(|document| !matches!(document, Yaml::Null | Yaml::BadValue))
    {
        item(document, &mut counts)?;
    }
    Ok(counts)
}

fn item(item_: &Yaml, counts: &mut Counts) -> Result<(), String> {
    let Yaml::Hash(fields) = item_ else {
        return Err("an item is not a mapping".to_owned());
    };
    let field = |name: &str| fields.get(&Yaml::String(name.to_owned()));
    let word = match field("status") {
        None | Some(Yaml::Null) => "unknown".to_owned(),
        Some(Yaml::String(word) | Yaml::Real(word)) => word.clone(),
        Some(Yaml::Integer(number)) => number.to_string(),
        Some(Yaml::Boolean(word)) => word.to_string(),
        Some(_) => return Err("a status is not a scalar".to_owned()),
    };
    let lower = word.to_lowercase();
    let known = ["passed", "failed", "skipped", "timeout", "unknown"].contains(&lower.as_str());
    let word = if known { lower } else { word };
    match field("items") {
        Some(Yaml::Array(items)) if !items.is_empty() => {
            let failures = |counts: &Counts| ["failed", "timeout"].map(|word| counts.get(word).copied());
            let before = failures(counts);
            items.iter().try_for_each(|below| item(below, counts))?;
            if (word == "failed" || word == "timeout") && failures(counts) == before {
                add(counts, &word);
            }
            Ok(())
        }
        None | Some(Yaml::Null | Yaml::Array(_)) => {
            add(counts, if word.is_empty() { "unknown" } else { &word });
            Ok(())
        }
        Some(_) => Err("`items` is not a list".to_owned()),
    }
}
