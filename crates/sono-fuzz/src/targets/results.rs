//! Result files from plugins.

use std::io::{self, Read};

use sono_results::{PluginInput, TreeLimits, from_yaml, process_plugin, read_tree, to_yaml};
use sono_types::{
    PluginName, ResultFiles, ResultFormat,
    text::{Decoded, decode, decode_with_replacement},
};

use super::Target;

pub(super) const JUNIT: Target = Target {
    name: "junit",
    run: |input| process(input, ResultFormat::Junit, "results/global/junit_01.xml"),
    seeds: || {
        texts(&[
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites><testsuite name=\"a\" tests=\"3\" failures=\"1\"><properties><property name=\"p\" value=\"v\"/></properties><testcase name=\"one\" classname=\"c\" time=\"1.5\"/><testcase name=\"two\"><failure type=\"F\" message=\"m\">text &amp; more</failure><system-out><![CDATA[out]]></system-out></testcase><testcase name=\"three\"><skipped/></testcase></testsuite></testsuites>",
            "<testsuite><testsuite><testcase name=\"deep\"><error>x</error></testcase></testsuite></testsuite>",
            "<report><testsuites errors=\"1\"><testsuite result=\"failed\"><error/><testcase status=\"notrun\" failure=\"&#55357;&#56832;\"><step><failure/></step></testcase></testsuite></testsuites></report><testcase/>&e; after",
        ])
    },
    dictionary: &[
        "<testsuite>",
        "</testsuite>",
        "<testcase name=\"x\">",
        "</testcase>",
        "<failure>",
        "<skipped/>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<!DOCTYPE a [<!ENTITY b \"c\">]>",
        "&b;",
        "&#0;",
        "&#xffffffff;",
        "<?xml encoding=\"UTF-16\"?>",
    ],
};

/// Text files from people and plugins, in any encoding.
pub(super) const TEXT: Target = Target {
    name: "text",
    run: |input| {
        let Decoded { text, error } = decode_with_replacement(input);
        match error {
            None => assert_eq!(decode(input).as_deref(), Ok(&*text)),
            Some(error) => {
                assert!(error.position < input.len() && error.line > 0, "{error:?}");
                assert!(decode(input).is_err());
            }
        }
    },
    seeds: || {
        let utf16 = "\u{feff}<a>ä 😀</a>"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let mut seeds = texts(&["\u{feff}name: ä\n", "<?xml version=\"1.0\" encoding=\"gbk\"?><a/>"]);
        seeds.push(utf16);
        seeds
    },
    dictionary: &[
        "encoding=\"",
        "shift_jis",
        "iso-2022-jp",
        "euc-kr",
        "utf-16",
        "cp437",
        "\u{1b}$B",
        "?>",
        "\0",
        "\u{feff}",
    ],
};

pub(super) const GOJSON: Target = Target {
    name: "gojson",
    run: |input| process(input, ResultFormat::GoJson, "results/global/out.json"),
    seeds: || {
        texts(&[
            "{\"Time\":\"2026-01-01T00:00:00Z\",\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"TestA\"}\n{\"Action\":\"output\",\"Package\":\"p\",\"Test\":\"TestA\",\"Output\":\"=== RUN\\n\"}\n{\"Action\":\"fail\",\"Package\":\"p\",\"Test\":\"TestA/sub\",\"Elapsed\":0.1}\n{\"Action\":\"pass\",\"Package\":\"p\"}\n",
            "ok plain text before\n{\"Action\":\"skip\",\"Test\":\"B\"}\n",
        ])
    },
    dictionary: &[
        "\"Action\":",
        "\"fail\"",
        "\"Test\":",
        "\"Elapsed\":1e999",
        "\\ud800",
        "\n",
        "null",
        "{}",
    ],
};

pub(super) const MANUAL: Target = Target {
    name: "manual",
    run: |input| {
        process(input, ResultFormat::Manual, "results/global/sonobuoy_results.yaml");
        // Writing and reading an item must not change it.
        if let Ok(item) = from_yaml(&String::from_utf8_lossy(input)) {
            let text = to_yaml(&item);
            let reread = from_yaml(&text).expect("the written tree can be read");
            assert_eq!(reread, item, "changed by writing and reading\n{text}");
        }
    },
    seeds: || {
        texts(&[
            "name: a\nstatus: passed\nmeta: {type: summary}\nitems:\n- name: b\n  status: failed\n  details: {n: 1, t: yes, nested: {l: [1, x]}}\n  items:\n  - {name: c, status: custom}\n",
            "name: \"12:30\"\nstatus: \"\"\ndetails:\n  text: |\n    one\n\n    two\n",
        ])
    },
    dictionary: &[
        "items:\n- ",
        "details:\n  ",
        "status: ",
        "name: ",
        "meta:",
        "0x1f",
        "1e400",
        ".inf",
        ".nan",
        "~",
        "!!str ",
        "&a ",
        "*a",
        "---\n",
        "'",
        "\\x00",
        "|2-\n",
        ">\n",
    ],
};

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A plugin's results with one file.
struct SingleFile<'a> {
    name: &'a str,
    content: &'a [u8],
}

impl ResultFiles for SingleFile<'_> {
    fn list(&self, below: &str) -> io::Result<Vec<String>> {
        Ok(if self.name.starts_with(below) {
            vec![self.name.to_owned()]
        } else {
            Vec::new()
        })
    }

    fn directories(&self, below: &str) -> io::Result<Vec<String>> {
        Ok(if below == "results" {
            vec!["global".to_owned()]
        } else {
            Vec::new()
        })
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        if name == self.name {
            Ok(Box::new(self.content))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}

fn process(content: &[u8], format: ResultFormat, name: &str) {
    let plugin = PluginName::parse("fuzz").expect("it is a name");
    let input = PluginInput {
        name: &plugin,
        format,
        result_files: &[],
        per_node: false,
        compatibility: sono_results::Compatibility::default(),
        limits: TreeLimits::PLUGIN,
    };
    let (mut spool, mut yaml, mut json) = (Vec::new(), Vec::new(), Vec::new());
    let collected = process_plugin(&input, &SingleFile { name, content }, &mut spool).expect("writing to memory");
    let written = collected.write(&mut spool.as_slice(), &mut yaml, &mut json);
    written.expect("writing to memory");
    // Both files of the archive must be readable and hold the same tree.
    let tree = read_tree(&yaml, None).expect("the written tree can be read");
    assert_eq!(
        read_tree(&yaml, Some(&json)).expect("the written tree can be read"),
        tree
    );
}
