//! Measures the speed of all layers on a log. It prints only: speed is compared on one machine with an optimized build.

use std::time::Instant;

use sono_redact::{Known, KnownValues, Layers, Redactor};

#[test]
fn speed_of_all_layers_is_printed() {
    let size: usize = if cfg!(debug_assertions) { 1 << 20 } else { 64 << 20 };
    let mut known = KnownValues::default();
    for number in 0..1_000_u64 {
        known.add(
            "password",
            format!("{:016x}-Zq8wL2mPx7Rt", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).as_bytes(),
        );
    }
    #[expect(clippy::disallowed_methods, reason = "a measurement")]
    let now = Instant::now;
    let began = now();
    let redactor = Redactor::new(Known::Values(known));
    println!("1,000 values prepared in {:?}", began.elapsed());
    let line = "I1130 10:00:00.000000       1 event.go:389] \"Event occurred\" object=\"default/shop-7d4b9c\" kind=\"Pod\" reason=\"Scheduled\" message=\"assigned default/shop to n1\"\n\
        {\"level\":\"info\",\"ts\":\"2026-11-30T10:00:00Z\",\"msg\":\"request \\\"GET /\\\" done\",\"status\":200,\"path\":\"/api/v1/items/42\",\"token_count\":12}\n\
        10.244.0.17 - - [30/Nov/2026:10:00:00 +0000] \"GET /healthz?full=1 HTTP/1.1\" 200 2 \"-\" \"kube-probe/1.34\"\n";
    let text: Vec<u8> = line.bytes().cycle().take(size).collect();
    for layers in [Layers::Known, Layers::Shapes, Layers::All] {
        let began = now();
        let mut stream = redactor.stream(layers);
        let mut out = Vec::with_capacity(size + (1 << 20));
        stream.push(&text, &mut out);
        let found = stream.finish(&mut out);
        let took = began.elapsed();
        println!(
            "{layers:?}: {:.1} MB/s, {} redactions",
            f64::from(u32::try_from(size).unwrap()) / 1e6 / took.as_secs_f64(),
            found.total()
        );
    }
}
