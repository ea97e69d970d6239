use super::*;

fn declared_as(label: &str, content: &[u8]) -> Vec<u8> {
    let declaration = format!("<?xml version=\"1.0\" encoding=\"{label}\"?>");
    [declaration.as_bytes(), content].concat()
}

fn utf16(text: &str, unit: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

#[test]
fn marks_and_first_bytes_choose_the_encoding() {
    let text = "<a>ä 😀</a>\r\n";
    let (little, big) = (utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes));
    for bytes in [
        text.as_bytes().to_vec(),
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        [b"\xff\xfe", little.as_slice()].concat(),
        [b"\xfe\xff", big.as_slice()].concat(),
        little,
        big,
    ] {
        assert_eq!(decode(&bytes).as_deref(), Ok(text), "{bytes:02x?}");
    }
    assert_eq!(decode(b"").as_deref(), Ok(""));
    assert_eq!(decode(b"a").as_deref(), Ok("a"));
    assert_eq!(decode(b"\xef\xbb\xbf").as_deref(), Ok(""));
    // A byte order mark overrides the declaration.
    let marked = [b"\xef\xbb\xbf".as_slice(), &declared_as("latin1", "ä".as_bytes())].concat();
    assert!(decode(&marked).unwrap().ends_with("?>ä"));
}

#[test]
fn declared_encodings_are_known_by_their_usual_names() {
    for (labels, content, expected) in [
        (
            "ISO-8859-1 iso_8859-1 ISO8859_1 iso8859-1 latin1 latin-1 l1 Cp1252 windows-1252 CP819 ibm819",
            &b"\xe4"[..],
            "ä",
        ),
        ("windows-1252 cp1252 MS1252", b"\x93\x80\x96", "“€–"),
        ("iso-8859-15 ISO8859_15 latin9 latin-9", b"\xa4", "€"),
        ("iso-8859-2 ISO8859_2 latin2 l2", b"\xb3", "ł"),
        ("windows-1251 Cp1251", b"\xc4\xe0", "Да"),
        ("koi8-r KOI8_R cp20866", b"\xe4", "Д"),
        (
            "Shift_JIS shift-jis SJIS MS932 cp932 Windows-31J x-sjis",
            b"\x93\xfa",
            "日",
        ),
        ("EUC-JP euc_jp eucjp", b"\xc6\xfc", "日"),
        ("GBK gb2312 GB18030 MS936 cp936", b"\xb2\xd6", "仓"),
        ("Big5 cp950 MS950", b"\xa4\xe9", "日"),
        ("EUC-KR euc_kr MS949 cp949 ks_c_5601-1987", b"\xb0\xa1", "가"),
        ("UTF-8 utf8 UTF_8 cp65001 utf-8-sig", "é".as_bytes(), "é"),
        // Converted after it was written.
        ("utf-16 UTF-16LE ucs-2 US-ASCII", "é".as_bytes(), "é"),
        // Unknown label of a UTF-8 file.
        ("klingon", "é".as_bytes(), "é"),
    ] {
        for label in labels.split(' ') {
            let bytes = declared_as(label, content);
            let text = decode(&bytes).unwrap_or_else(|error| panic!("{label}: {error}"));
            assert_eq!(text.split_once("?>").unwrap().1, expected, "{label}");
        }
    }
    let single = b"\n<?xml version = '1.0' encoding = 'latin1' standalone='yes' ?>\xe4";
    assert!(decode(single).unwrap().ends_with('ä'));
}

#[test]
fn undecodable_bytes_are_reported_with_their_position() {
    let error = |bytes: &[u8]| decode(bytes).unwrap_err().to_string();
    assert_eq!(error(b"a\nb\xe4c"), "byte 3 (line 2) is not UTF-8: 0xe4");
    assert_eq!(error(b"\xef\xbb\xbfa\xff"), "byte 4 (line 1) is not UTF-8: 0xff");
    assert_eq!(error(b"\xff\xfea\0b"), "byte 4 (line 1) is not UTF-16LE: 0x62");
    assert_eq!(
        error(b"\xff\xfea\0\x00\xd8b\0"),
        "byte 4 (line 1) is not UTF-16LE: 0x00 0xd8"
    );
    assert_eq!(
        error(&declared_as("gbk", b"\xb2\xd6\n\xb2<")),
        "byte 39 (line 2) is not GBK: 0xb2"
    );
    assert_eq!(
        error(&declared_as("us-ascii", b"\xe4")),
        "byte 41 (line 1) is not UTF-8: 0xe4"
    );
    for label in ["cp437", "iso-2022-kr", "utf-7"] {
        assert_eq!(
            error(&declared_as(label, b"\xe4")),
            format!("unknown encoding `{label}`")
        );
    }
    assert_eq!(error(b"\xff\xfe\0\0a\0\0\0"), "unknown encoding `UTF-32`");
    // Seven bits that are not what they look like.
    for (label, content) in [
        ("UTF-7", &b"+AOk-"[..]),
        ("unicode-1-1-utf-7", b"a +- b"),
        ("HZ-GB-2312", b"~{2bJT~}"),
        ("iso-2022-kr", b"\x1b$)C\x0e0!\x0f"),
        ("ISO-2022-CN", b"\x1b$)A"),
    ] {
        assert_eq!(
            error(&declared_as(label, content)),
            format!("unknown encoding `{label}`")
        );
        assert!(decode(&declared_as(label, b"plain")).is_ok(), "{label}");
    }
}

#[test]
fn error_far_into_a_file_is_found() {
    let mut bytes = "äöü line\n".repeat(2000).into_bytes();
    let position = bytes.len();
    bytes.extend(b"\xfc\n");
    let Decoded { text, error } = decode_with_replacement(&bytes);
    let error = error.unwrap();
    assert_eq!((error.position, error.line, error.bytes), (position, 2001, vec![0xfc]));
    assert!(text.ends_with("line\n\u{fffd}\n"));
}
