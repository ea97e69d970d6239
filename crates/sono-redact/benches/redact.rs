//! Speed and memory of the redaction: `cargo xtask bench redact`.
//!
//! Prints a table. Fails if a goal is missed: 40 MB/s for logs with all layers and 1,000 known values; 16 MiB of additional
//! memory for 1,000 values, 48 MiB for 5,000.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a measurement: it prints, and reads clock, memory and its arguments"
)]

use std::{
    hint::black_box,
    process::{Command, ExitCode},
    time::Duration,
};

use serde_json::json;
use sono_redact::{Known, KnownValues, Layers, Redactions, Redactor};

/// Bytes of each log.
const LOG: usize = 32 << 20;
/// Bytes of each adversarial text.
const ADVERSARIAL: usize = 1 << 20;
/// Times that each is redacted, since one takes too little time to measure.
const REPEATED: u32 = 4;
/// MB/s of logs.
const SPEED: f64 = 40.0;
/// Known values, and their most additional memory in KiB.
const MEMORY: [(u64, u64); 2] = [(1_000, 16 << 10), (5_000, 48 << 10)];
/// Seconds that a text of 160 kB took with commit baf4e4a, a text of 1 MB more than 300.
const BEFORE: f64 = 38.0;

const LOGS: [(&str, &str); 7] = [
    (
        "klog",
        "I1130 10:00:00.000000       1 event.go:389] \"Event occurred\" object=\"default/shop-7d4b9c\" kind=\"Pod\" reason=\"Scheduled\" message=\"assigned default/shop to n1\"\n",
    ),
    (
        "JSON",
        "{\"level\":\"info\",\"ts\":\"2026-11-30T10:00:00Z\",\"msg\":\"request \\\"GET /\\\" done\",\"status\":200,\"path\":\"/api/v1/items/42\",\"token_count\":12}\n",
    ),
    (
        "access log",
        "10.244.0.17 - - [30/Nov/2026:10:00:00 +0000] \"GET /healthz?full=1%20x HTTP/1.1\" 200 2 \"-\" \"kube-probe/1.34\"\n",
    ),
    (
        "stack trace",
        "\tat org.example.shop.checkout.PaymentService$$Lambda$42.authenticate(PaymentService.java:117) ~[shop-1.2.3.jar!/:1.2.3]\n",
    ),
    (
        "key=value",
        "time=2026-11-30T10:00:00Z level=info msg=\"synced secret\" key=default/shop-tls took=12ms user=system:serviceaccount:default:shop\n",
    ),
    (
        "base64",
        "payload Q29uZ3JhdHVsYXRpb25zLCB5b3UgZGVjb2RlZCBhIGxpbmUgb2YgYSBiZW5jaG1hcmssIHdoaWNoIGhhcyBubyBzZWNyZXQ= done\n",
    ),
    (
        "assignments",
        "connecting with user=shop password=[redacted] token: eyJhbGciOiJub25lIn0 url=https://shop:x@db.example.com/ attempt=1\n",
    ),
];

const PATTERNS: [&str; 10] = [
    "a=password",
    "passwordtoken",
    "password=\"",
    "-----BEGIN ",
    "://u:p@",
    "eyJhbGciOiJIUzI1.",
    "curl -u ",
    "\\",
    "LS0tLS1CRUdJTi",
    "ab7-",
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("memory"), Some(values)) => {
            println!("{}", memory(values.parse().unwrap()));
            ExitCode::SUCCESS
        }
        _ => all(),
    }
}

fn all() -> ExitCode {
    let mut missed = 0;
    let redactor = Redactor::new(Known::Values(values(1_000)));
    println!(
        "{:<28}{:>12}{:>12}{:>12}{:>10}",
        "1,000 known values", "known MB/s", "all MB/s", "copy MB/s", "all/goal"
    );
    for (name, line) in LOGS {
        let text: Vec<u8> = line.bytes().cycle().take(LOG).collect();
        let copy = speed(LOG, || drop(black_box(text.clone())));
        let [known, all] = [Layers::Known, Layers::All].map(|layers| speed(LOG, || stream(&redactor, &text, layers)));
        missed += usize::from(all < SPEED);
        println!("{name:<28}{known:>12.1}{all:>12.1}{copy:>12.0}{:>10.2}", all / SPEED);
    }
    println!();
    println!(
        "{:<28}{:>12}{:>12}{:>12}",
        "adversarial, 1 MB", "ms", "half: ms", "ratio"
    );
    for pattern in PATTERNS {
        let text: Vec<u8> = pattern.bytes().cycle().take(ADVERSARIAL).collect();
        let several =
            |text: &[u8]| time(|| (0..REPEATED).for_each(|_| stream(&redactor, text, Layers::All))) / REPEATED;
        let (half, whole) = (several(&text[..ADVERSARIAL / 2]), several(&text));
        let ratio = whole.as_secs_f64() / half.as_secs_f64();
        println!(
            "{pattern:<28}{:>12.1}{:>12.1}{ratio:>12.2}",
            millis(whole),
            millis(half)
        );
        missed += usize::from(ratio > 4.0);
    }
    let text = "a=password".repeat(16_000);
    let object = time(|| {
        let mut object = json!({"kind": "ConfigMap", "data": {"note": text}});
        redactor.object(&mut object, &|| Duration::ZERO, &mut Redactions::default());
        black_box(object);
    });
    let (now, times) = (millis(object), BEFORE / object.as_secs_f64());
    println!("ConfigMap of 160 kB: {now:.1} ms; commit baf4e4a took {BEFORE} s, {times:.0} times as long");
    println!();
    println!("{:<28}{:>12}{:>12}{:>12}", "memory", "KiB", "goal KiB", "ratio");
    let program = std::env::current_exe().unwrap();
    let measured = |values: u64| -> u64 {
        let output = Command::new(&program)
            .args(["memory", &values.to_string()])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    };
    let without = measured(0);
    for (values, goal) in MEMORY {
        let additional = measured(values).saturating_sub(without);
        missed += usize::from(additional > goal);
        let ratio = f64::from(u32::try_from(additional).unwrap()) / f64::from(u32::try_from(goal).unwrap());
        println!(
            "{:<28}{additional:>12}{goal:>12}{ratio:>12.2}",
            format!("{values} values")
        );
    }
    println!();
    println!("{missed} goals missed");
    ExitCode::from(u8::from(missed > 0))
}

/// Values like those of Secrets: a third are long, as keys are.
fn values(count: u64) -> KnownValues {
    let mut known = KnownValues::default();
    for number in 0..count {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let value = format!("{mixed:016x}-Zq8wL2mPx7Rt");
        let value = if number % 3 == 0 { value.repeat(12) } else { value };
        known.add("password", value.as_bytes());
    }
    known
}

fn stream(redactor: &Redactor, text: &[u8], layers: Layers) {
    let mut stream = redactor.stream(layers);
    let mut out = Vec::with_capacity(1 << 20);
    for piece in text.chunks(64 << 10) {
        stream.push(piece, &mut out);
        black_box(&out);
        out.clear();
    }
    black_box(stream.finish(&mut out).total());
}

/// Peak memory of this process in KiB after a log was redacted with so many values.
fn memory(count: u64) -> u64 {
    let redactor = Redactor::new(Known::Values(values(count)));
    let text: Vec<u8> = LOGS
        .iter()
        .flat_map(|(_, line)| line.bytes())
        .cycle()
        .take(4 << 20)
        .collect();
    stream(&redactor, &text, Layers::All);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

/// The best of three times on a core, so that other programs on the machine do not count.
fn time(mut work: impl FnMut()) -> Duration {
    let once = |_| {
        let began = cpu_time();
        work();
        cpu_time().saturating_sub(began)
    };
    (0..3).map(once).min().unwrap_or_default().max(Duration::from_millis(1))
}

/// Time of this process on a core, to some milliseconds.
fn cpu_time() -> Duration {
    // Yielding updates the kernel's count.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn speed(bytes: usize, work: impl FnMut()) -> f64 {
    f64::from(u32::try_from(bytes).unwrap()) / 1e6 / time(work).as_secs_f64()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
