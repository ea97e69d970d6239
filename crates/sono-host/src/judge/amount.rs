//! Formats amounts for humans.

/// `11.8 GiB`, `512 MiB`, `17 bytes`: one decimal below ten.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some((unit, power)) = UNITS
        .iter()
        .zip(1u32..)
        .filter(|(_, power)| count >> (power * 10) > 0)
        .last()
    else {
        return format!("{count} bytes");
    };
    let tenths = (u128::from(count) * 10) >> (power * 10);
    match tenths {
        0..100 => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{} {unit}", tenths / 10),
    }
}

/// `12.3 %`; 100 % if `whole` is 0.
pub(crate) fn percentage(part: u64, whole: u64) -> String {
    let tenths = (u128::from(part) * 1000).checked_div(u128::from(whole)).unwrap_or(1000);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// Whether `part` is at least `percent` percent of `whole`.
pub(crate) fn is_at_least(part: u64, percent: u64, whole: u64) -> bool {
    u128::from(part) * 100 >= u128::from(whole) * u128::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let cases = [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (10 << 20, "10 MiB"),
            ((3 << 30) + (1 << 29), "3.5 GiB"),
            (u64::MAX, "15 EiB"),
        ];
        for (count, expected) in cases {
            assert_eq!(bytes(count), expected);
        }
        assert_eq!(percentage(1, 3), "33.3 %");
        assert_eq!(percentage(u64::MAX, u64::MAX), "100.0 %");
        assert_eq!(percentage(0, 0), "100.0 %");
    }
}
