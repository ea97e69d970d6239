//! Done files, which plugins write.

use sono_worker::check_done_file;

use super::Target;

pub(super) const DONE_FILE: Target = Target {
    name: "done-file",
    run,
    seeds: || {
        let utf16 = "\u{feff}a.xml\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut seeds: Vec<Vec<u8>> = [
            "/tmp/results/a.xml\n",
            "a.xml",
            "C:\\tmp\\results\\sub\r\n",
            "\u{feff}sub/../a.xml",
            "done",
            "..",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec();
        seeds.push(utf16);
        seeds
    },
    dictionary: &[
        "/tmp/results",
        "done",
        "./",
        "../",
        "/",
        "\\",
        "c:",
        "link",
        "a.xml",
        "sub",
        "\0",
        "\n",
        "\u{feff}",
        "\u{e9}",
    ],
};

fn run(input: &[u8]) {
    let outside = tempfile::tempdir().expect("a directory for the test");
    let root = outside.path().canonicalize().expect("it exists");
    let results = root.join("results");
    fs_err::create_dir_all(results.join("sub")).expect("a directory for the test");
    for (name, content) in [("a.xml", &b"x"[..]), ("done", input)] {
        fs_err::write(results.join(name), content).expect("a file for the test");
    }
    #[cfg(unix)]
    fs_err::os::unix::fs::symlink("done", results.join("link")).expect("a link for the test");
    match check_done_file(&results) {
        Ok(None) => assert!(
            sono_types::text::decode(input).is_ok_and(|text| text.trim().is_empty()),
            "a done file that holds something is not reported"
        ),
        Ok(Some(path)) => {
            let real = path.canonicalize().expect("what is named exists");
            assert_ne!(real, results.join("done"), "it names itself");
            assert!(
                real == results || !results.starts_with(&real),
                "it names more than the results"
            );
        }
        Err(reason) => assert!(!reason.is_empty(), "refused without a reason"),
    }
}
