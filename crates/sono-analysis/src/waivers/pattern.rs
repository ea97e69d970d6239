//! Patterns of waivers: names with `*`, and ranges of versions.

/// A pattern in which `*` is any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(String);

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// Whether all of the text matches. The time is at most the product of the lengths.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.split_once(part) {
                _ if part.is_empty() => {}
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// Numbers of a version; missing ones are zero.
type Numbers = [u64; 3];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

/// Conditions on a version, separated by commas: `>=1.36, <1.38`. Suffixes of versions are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Versions(Vec<(Comparison, Numbers, usize)>);

impl Versions {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let condition = |part: &str| {
            let part = part.trim();
            let signs = [
                ("<=", Comparison::AtMost),
                (">=", Comparison::AtLeast),
                ("<", Comparison::Less),
                (">", Comparison::More),
                ("=", Comparison::Equal),
            ];
            let sign = signs
                .into_iter()
                .find_map(|(sign, comparison)| Some((comparison, part.strip_prefix(sign)?)));
            let (comparison, version) = sign.unwrap_or((Comparison::Equal, part));
            let (numbers, count) = numbers(version.trim())
                .ok_or_else(|| format!("invalid version range `{text}`: use for example \">=1.36, <1.38\""))?;
            Ok((comparison, numbers, count))
        };
        text.split(',').map(condition).collect::<Result<_, String>>().map(Self)
    }

    /// Whether all conditions hold. `=1.37` and `<=1.37` include all of 1.37.
    pub(super) fn contains(&self, version: &str) -> bool {
        let end = version.find(['-', '+']).unwrap_or(version.len());
        let Some((version, _)) = numbers(version.get(..end).unwrap_or_default()) else {
            return false;
        };
        self.0.iter().all(|(comparison, bound, count)| {
            // Compared as far as the bound is given.
            let order = version.iter().take(*count).cmp(bound.iter().take(*count));
            match comparison {
                Comparison::Less => order.is_lt(),
                Comparison::AtMost => order.is_le(),
                Comparison::More => order.is_gt(),
                Comparison::AtLeast => order.is_ge(),
                Comparison::Equal => order.is_eq(),
            }
        })
    }
}

/// Numbers of `v1.37.2`, and how many are given.
fn numbers(version: &str) -> Option<(Numbers, usize)> {
    let version = version.strip_prefix('v').unwrap_or(version);
    let mut numbers = Numbers::default();
    let parts: Vec<&str> = version.split('.').collect();
    if parts.len() > numbers.len() {
        return None;
    }
    for (number, part) in numbers.iter_mut().zip(&parts) {
        if !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    Some((numbers, parts.len()))
}
