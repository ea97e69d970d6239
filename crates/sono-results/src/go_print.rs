//! Prints values like Go's `fmt`, the format of error details in Sonobuoy's archives (core §6.3, weakness W-51).

use serde_json::Value;

/// The text of a decoded JSON value: `map[k:v k2:v2]`, `[a b]`, `<nil>`, numbers as 64-bit floats.
pub(crate) fn sprint(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => float(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(sprint).collect();
            format!("[{}]", parts.join(" "))
        }
        Value::Object(map) => {
            let parts: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{key}:{}", sprint(value)))
                .collect();
            format!("map[{}]", parts.join(" "))
        }
    }
}

/// Shortest digits that read back, with an exponent of at least two digits from 1,000,000 and below 0.0001.
fn float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_printed_like_in_go() {
        for (value, expected) in [
            (json!("text"), "text"),
            (json!(null), "<nil>"),
            (json!(true), "true"),
            (json!(1), "1"),
            (json!(-3), "-3"),
            (json!(1.5), "1.5"),
            (json!(0), "0"),
            (json!(100_000), "100000"),
            (json!(1_000_000), "1e+06"),
            (json!(1_573_636_377), "1.573636377e+09"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001), "1e-05"),
            (json!(1e21), "1e+21"),
            (json!([]), "[]"),
            (json!(["a", 1, null]), "[a 1 <nil>]"),
            (
                json!({"b": {"d": 1, "c": [true]}, "a": ""}),
                "map[a: b:map[c:[true] d:1]]",
            ),
        ] {
            assert_eq!(sprint(&value), expected);
        }
    }
}
