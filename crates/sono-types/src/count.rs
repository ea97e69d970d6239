//! Numbers in statuses and progress updates. Plugins and clusters choose them, and views sum them up: each is limited when it is
//! parsed, so that no sum overflows.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Maximum absolute value of a number. Sums of some millions of them fit into 64 bits.
pub const MAX: i64 = 1 << 40;

/// The number, or the nearest limit.
pub(crate) fn limited(number: i64) -> i64 {
    number.clamp(-MAX, MAX)
}

pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    i64::deserialize(deserializer).map(limited)
}

/// A number of nodes.
pub(crate) fn nodes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let count = u64::deserialize(deserializer)?.min(MAX.unsigned_abs());
    Ok(usize::try_from(count).unwrap_or(usize::MAX >> 24))
}

pub(crate) fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BTreeMap<String, i64>>, D::Error> {
    let mut numbers = Option::<BTreeMap<String, i64>>::deserialize(deserializer)?;
    for number in numbers.iter_mut().flat_map(BTreeMap::values_mut) {
        *number = limited(*number);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{RunStatus, status::folded_count};

    /// Sums of such numbers ended `status` and `wait`.
    #[test]
    fn numbers_of_a_status_are_limited() {
        let status: RunStatus = serde_json::from_value(json!({
            "status": "running",
            "left-out": [{"plugin": "p", "count": u64::MAX, "nodes": [], "reason": "r"}],
            "plugins": [{"plugin": "p", "node": "n", "status": "running", "result-counts": {"passed": i64::MAX, "failed": i64::MIN, "x": 1},
                "progress": {"name": "p", "node": "n", "timestamp": "2026-01-01T00:00:00Z", "total": i64::MAX, "completed": i64::MIN,
                    "more-failures": i64::MAX}}]}))
        .unwrap();
        let [row] = status.rows() else { panic!("{status:?}") };
        let progress = row.progress.as_ref().unwrap();
        assert_eq!(
            (progress.total, progress.completed, progress.more_failures),
            (MAX, -MAX, MAX)
        );
        let counts = row.result_counts.as_ref().unwrap();
        assert_eq!(counts.values().copied().collect::<Vec<_>>(), [-MAX, MAX, 1]);
        assert_eq!(status.left_out[0].count as u64, MAX.unsigned_abs());
        assert_eq!(folded_count("(1099511627776 nodes)"), Some(1 << 40));
        for beyond in [
            "(1099511627777 nodes)",
            "(18446744073709551615 nodes)",
            "(99999999999999999999 nodes)",
            "(-1 nodes)",
        ] {
            assert_eq!(folded_count(beyond), None, "{beyond}");
        }
    }
}
