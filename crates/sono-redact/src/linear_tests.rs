//! Work for texts that are made to cost time, counted in steps.

use crate::{Known, KnownValues, Layers, Redactor, bytes::STEPS, scan};

/// More steps for each byte of a longer text would show in the comparison of half and whole.
const SIZE: usize = 96 << 10;
/// Most steps for each byte of a text.
const MOST: u64 = 400;

fn steps(redactor: &Redactor, text: &[u8]) -> u64 {
    let mut scratch = scan::Scratch::default();
    STEPS.with(|total| total.set(0));
    let outcome = redactor.search().scan(text, Layers::All, &mut scratch);
    let steps = STEPS.with(std::cell::Cell::get) + scratch.steps;
    assert!(outcome.is_ok() || scratch.steps > 0);
    steps
}

#[test]
fn adversarial_texts_take_linear_work() {
    let mut known = KnownValues::default();
    known.add("password", b"Zq8-wL2mPx-first-of-all");
    known.add("token", &[b"ab7-".repeat(300), b"Z".to_vec()].concat());
    let redactor = Redactor::new(Known::Values(known));
    for pattern in [
        "a=password",
        "passwordtoken",
        "password=\"",
        "password: ",
        "token=[redacted] ",
        "password=\"[redacted] ",
        "-----BEGIN PRIVATE KEY-----#",
        "-----BEGIN ",
        "://",
        "a://@",
        "a://u:p@",
        "x://u:",
        "eyJ",
        "eyJhbGciOiJIUzI1.",
        "curl -u ",
        "mysql ",
        "ghp_",
        "sk-",
        "basic ",
        "bearer ",
        "\\",
        "%",
        "&",
        "&#x",
        "\\u00",
        "password\\\\\\",
        "<password",
        "<password ",
        "name: password\n",
        "key=\"token\" value=",
        "password:\n  ",
        "password: |\n   ",
        ":5432:",
        "$2a$",
        ":aa",
        "8Q~",
        "LS0tLS1CRUdJTi",
        "ab7-",
        "Zq8-wL2m",
        "Zq8-wL2mPx-first-of-al",
        "password '",
        "a",
        "\n",
        " ",
    ] {
        let text = pattern.repeat(SIZE / pattern.len());
        let (half, whole) = (
            steps(&redactor, &text.as_bytes()[..SIZE / 2]),
            steps(&redactor, text.as_bytes()),
        );
        println!("{pattern:?}: {} steps a byte", whole / SIZE as u64);
        assert!(whole <= MOST * SIZE as u64, "{pattern:?}: {whole} steps");
        assert!(
            whole <= half * 5 / 2 + 100_000,
            "{pattern:?}: {half} steps for the half, {whole} for all"
        );
    }
}
