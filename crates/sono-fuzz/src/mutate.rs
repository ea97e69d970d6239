//! Mutation of inputs.

use crate::Random;

/// Longer inputs are truncated, to bound a target's time.
pub(crate) const MAX_BYTES: usize = 64 << 10;

/// Applies one to eight changes to an input of `corpus`; some insert words of `dictionary`.
pub(crate) fn mutate(random: &mut Random, corpus: &[Vec<u8>], dictionary: &[&str]) -> Vec<u8> {
    let mut input = pick(random, corpus).cloned().unwrap_or_default();
    for _ in 0..=random.below(8) {
        change(random, &mut input, corpus, dictionary);
    }
    input.truncate(MAX_BYTES);
    input
}

fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> Option<&'a T> {
    from.get(random.below(from.len()))
}

fn change(random: &mut Random, input: &mut Vec<u8>, corpus: &[Vec<u8>], dictionary: &[&str]) {
    let position = random.below(input.len() + 1);
    match random.below(9) {
        0 => {
            if let Some(byte) = input.get_mut(position) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(position) {
                *byte = random.number().to_le_bytes()[0];
            }
        }
        2 => input.truncate(position),
        3 => {
            let end = range_end(random, position, input.len());
            input.drain(position..end);
        }
        4 => {
            let end = range_end(random, position, input.len());
            let copies = 1 + random.below(16);
            let inserted = input[position..end].repeat(copies);
            insert(input, position, &inserted);
        }
        5 => {
            let other = pick(random, corpus).map_or(&[][..], Vec::as_slice);
            let from = random.below(other.len() + 1);
            input.truncate(position);
            input.extend_from_slice(&other[from..]);
        }
        6 => {
            let number = [0, 1, -1, i64::MAX, i64::MIN, 1 << 32, 255][random.below(7)].to_string();
            insert(input, position, number.as_bytes());
        }
        7 => {
            // Deep nesting breaks recursive parsers.
            let opening = ["[", "{", "(", "<a>", "- ", "{\"a\":", "&a [*a,", "? "][random.below(8)];
            let depth = 1 << random.below(13);
            insert(input, position, opening.repeat(depth).as_bytes());
        }
        _ => {
            let word = pick(random, dictionary).copied().unwrap_or_default();
            insert(input, position, word.as_bytes());
        }
    }
    input.truncate(MAX_BYTES);
}

fn range_end(random: &mut Random, start: usize, length: usize) -> usize {
    start + random.below((length - start).min(1024) + 1)
}

fn insert(input: &mut Vec<u8>, position: usize, inserted: &[u8]) {
    input.splice(position..position, inserted.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_and_inputs_are_bounded() {
        let corpus = [b"one two".to_vec(), vec![b'x'; MAX_BYTES]];
        let sequence = |seed| {
            let mut random = Random::new(seed);
            (0..200)
                .map(|_| mutate(&mut random, &corpus, &["word"]))
                .collect::<Vec<_>>()
        };
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
        assert!(sequence(9).iter().all(|input| input.len() <= MAX_BYTES));
        // An empty corpus and dictionary must not panic.
        let mut random = Random::new(1);
        for _ in 0..200 {
            mutate(&mut random, &[], &[]);
        }
    }
}
