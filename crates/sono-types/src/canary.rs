//! Canaries: random values that a run plants in a cluster to test the redaction of its archive.
//!
//! The command line plants some of them, the program in the aggregator's image prints the others. Both derive them from
//! one seed, so that no object has to contain the values that the program prints.

use std::fmt;

/// Environment variable with the seed for the program in the image.
pub const SEED_VARIABLE: &str = "SONO_CANARIES";
/// Name of the Secret, the ConfigMap, the Event and the plugin that contain canaries.
pub const NAME: &str = "sono-canaries";
/// Label of all objects that contain canaries: the id of the run.
pub const LABEL: &str = "sono-canaries";

/// Random bits from which all canaries of a run are derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u128);

impl Seed {
    /// The seed with these random bits.
    pub fn new(random: u128) -> Self {
        Self(random)
    }

    /// The seed of the text that `Display` writes: 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digits.then(|| u128::from_str_radix(text, 16).ok().map(Self))?
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

/// Where a canary is planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
    /// An environment variable of a pod.
    Variable,
    /// An argument of a container.
    Argument,
    /// An annotation.
    Annotation,
    /// The message of an Event.
    Event,
    /// A line of a pod's log.
    Log,
    /// A string of JSON in a pod's log.
    JsonLog,
    /// Base64 in a pod's log.
    Base64Log,
    /// A line of a pod's log, written in two parts.
    SplitLog,
    /// A line of more than 64 KiB in a pod's log.
    LongLine,
    /// A text file in a plugin result.
    Result,
    /// A file compressed with gzip in a plugin result.
    GzipResult,
    /// An XML file in a plugin result.
    XmlResult,
    /// A compressed file in a `.tar.gz` in a plugin result.
    NestedResult,
    /// A custom resource.
    CustomResource,
}

impl Place {
    /// All places.
    pub const ALL: [Self; 16] = [
        Self::Secret,
        Self::ConfigMap,
        Self::Variable,
        Self::Argument,
        Self::Annotation,
        Self::Event,
        Self::Log,
        Self::JsonLog,
        Self::Base64Log,
        Self::SplitLog,
        Self::LongLine,
        Self::Result,
        Self::GzipResult,
        Self::XmlResult,
        Self::NestedResult,
        Self::CustomResource,
    ];

    /// The name of the place in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::ConfigMap => "configmap",
            Self::Variable => "env",
            Self::Argument => "args",
            Self::Annotation => "annotation",
            Self::Event => "event",
            Self::Log => "log",
            Self::JsonLog => "log-json",
            Self::Base64Log => "log-base64",
            Self::SplitLog => "log-split",
            Self::LongLine => "log-long-line",
            Self::Result => "result",
            Self::GzipResult => "result-gzip",
            Self::XmlResult => "result-xml",
            Self::NestedResult => "result-nested",
            Self::CustomResource => "custom-resource",
        }
    }
}

/// A planted value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// Where it is planted.
    pub place: Place,
    /// Whether a Secret contains the value.
    pub in_secret: bool,
    /// The value: 28 or 33 printable characters of ASCII.
    pub value: String,
}

/// The canaries of one place: the first is in a Secret. The place [`Place::Secret`] has only that one.
pub fn at(seed: Seed, place: Place) -> (String, String) {
    (value(seed, place, true), value(seed, place, false))
}

/// All canaries of a run, by place.
pub fn all(seed: Seed) -> Vec<Canary> {
    let both = Place::ALL.into_iter().flat_map(|place| [(place, true), (place, false)]);
    both.filter(|(place, in_secret)| *in_secret || *place != Place::Secret)
        .map(|(place, in_secret)| Canary {
            place,
            in_secret,
            value: value(seed, place, in_secret),
        })
        .collect()
}

/// A text next to the canaries of a place, which is not a secret: it shows that the place is part of the archive.
pub fn marker(seed: Seed, place: Place) -> String {
    let mut state = Mixer::new(seed, 1_000 + place as u64);
    format!("planted-{}-{:08x}", place.name(), state.next() >> 32)
}

fn value(seed: Seed, place: Place, in_secret: bool) -> String {
    let mut state = Mixer::new(seed, 2 * place as u64 + u64::from(in_secret));
    let mut text: String = (0..27).map(|_| state.letter()).collect();
    // A password without a digit may be a word.
    text.insert(5, state.digit());
    if in_secret {
        // Characters that differ in JSON, YAML, XML and URLs, and between both alphabets of base64 at any position.
        text.insert_str(12, "<???");
        text.insert(20, '\\');
    }
    text
}

/// The generator `splitmix64`.
struct Mixer(u64);

impl Mixer {
    fn new(Seed(seed): Seed, stream: u64) -> Self {
        let [high, low] = [seed >> 64, seed].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or_default());
        let mut first = Self(high ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self(first.next() ^ low)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn letter(&mut self) -> char {
        let mut letters = ('a'..='z').chain('A'..='Z').chain('0'..='9');
        let index = usize::try_from(self.next() % 62).unwrap_or_default();
        letters.nth(index).unwrap_or('a')
    }

    fn digit(&mut self) -> char {
        let index = u32::try_from(self.next() % 10).unwrap_or_default();
        char::from_digit(index, 10).unwrap_or('0')
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn canaries_of_one_seed_differ_from_each_other_and_from_those_of_another() {
        let of = |random| all(Seed::new(random)).into_iter().map(|canary| canary.value);
        let values: BTreeSet<String> = of(1).chain(of(2)).chain(of(1 << 64)).collect();
        assert_eq!(values.len(), 3 * (2 * Place::ALL.len() - 1));
        let again: BTreeSet<String> = of(1).chain(of(2)).chain(of(1 << 64)).collect();
        assert_eq!(values, again);
    }

    #[test]
    fn canary_in_a_secret_has_characters_that_are_escaped() {
        for canary in all(Seed::new(7)) {
            let escaped: String = canary
                .value
                .chars()
                .filter(|letter| !letter.is_alphanumeric())
                .collect();
            let expected = if canary.in_secret { (33, "<???\\") } else { (28, "") };
            assert_eq!((canary.value.len(), escaped.as_str()), expected, "{canary:?}");
        }
    }

    #[test]
    fn seed_is_read_as_written() {
        let seed = Seed::new(0xfeed << 80);
        assert_eq!(Seed::parse(&seed.to_string()), Some(seed));
        for text in ["", "12", "+0000000000000000000000000000001", &"g".repeat(32)] {
            assert_eq!(Seed::parse(text), None, "{text}");
        }
    }
}
