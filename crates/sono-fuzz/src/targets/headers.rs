//! Request headers and small bodies.

use jiff::Timestamp;
use sono_types::{PluginName, ProgressUpdate, ResultKey, Target as ResultTarget};

use super::Target;

pub(super) const DISPOSITION: Target = Target {
    name: "content-disposition",
    run: |input| {
        let name = sono_aggregator::disposition_file_name(Some(&String::from_utf8_lossy(input)));
        assert!(!name.is_empty(), "a result without a name");
    },
    seeds: || {
        texts(&[
            "attachment;filename=results.tar.gz",
            "attachment; filename=\"a \\\"b\\\".xml\"; filename*=UTF-8''%e2%82%ac%20rates",
            "attachment",
        ])
    },
    dictionary: &[
        "filename=",
        "filename*=",
        "UTF-8''",
        "iso-8859-1'en'",
        "%",
        "%ff",
        "%c3",
        "\\",
        "\"",
        ";",
        "=",
        "../",
        "\u{e9}",
    ],
};

pub(super) const PROGRESS: Target = Target {
    name: "progress",
    run: progress,
    seeds: || {
        texts(&[
            "{\"name\":\"x\",\"node\":\"y\",\"timestamp\":\"0001-01-01T00:00:00Z\",\"msg\":\"m\",\"total\":9,\"completed\":3,\"errors\":[\"a\"],\"failures\":null}",
            "{\"appendtotals\":true,\"appendcompleted\":1,\"appendfailing\":[\"f\"],\"TOTAL\":-1} trailing",
        ])
    },
    dictionary: &[
        "\"total\":",
        "\"completed\":",
        "9223372036854775807",
        "-9223372036854775808",
        "\"appendtotals\":true",
        "\"appendcompleted\":",
        "\"failures\":[\"x\"]",
        "\"appendfailing\":[\"x\"]",
        "1e3",
        "\\ud800",
        "null",
        "\u{20ac}",
    ],
};

pub(super) const PEM: Target = Target {
    name: "pem",
    run: |input| {
        let text = String::from_utf8_lossy(input);
        // Both may accept or reject the input; neither may panic.
        drop(sono_tls::client_config(&text, &text, &text));
        drop(sono_tls::Authority::from_pem(&text, &text));
        sono_tls::certificate_names(input);
    },
    seeds: || {
        let at = Timestamp::UNIX_EPOCH;
        let authority = sono_tls::Authority::new(at).expect("a CA");
        vec![format!("{}{}", authority.certificate_pem(), authority.key_pem()).into_bytes()]
    },
    dictionary: &[
        "-----BEGIN CERTIFICATE-----\n",
        "-----END CERTIFICATE-----\n",
        "-----BEGIN EC PRIVATE KEY-----\n",
        "-----END EC PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n",
        "=",
        "\r\n",
        "MII",
        "\0",
    ],
};

/// Folds the update onto itself: appended counts add up and must not overflow.
fn progress(input: &[u8]) {
    let key = ResultKey::new(PluginName::parse("fuzz").expect("it is a name"), ResultTarget::Global);
    if let Ok(update) = ProgressUpdate::from_body(input, &key, Timestamp::UNIX_EPOCH) {
        let mut folded = ProgressUpdate::fold(None, update.clone());
        for _ in 0..3 {
            folded = ProgressUpdate::fold(Some(folded), update.clone());
            folded.remaining();
        }
    }
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
