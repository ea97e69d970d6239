use super::*;

/// The local names of the elements, or the error.
fn names(document: &str) -> Result<Vec<String>, &'static str> {
    let mut tokens = Tokens::new(document.as_bytes());
    let mut found = Vec::new();
    loop {
        match tokens.next().map_err(|error| error.message)? {
            Token::Start(name, attributes) => {
                let values = attributes.iter().map(|(name, value)| format!(" {name}={value}"));
                found.push(format!("{}{}", name.local, values.collect::<String>()));
            }
            Token::End => {}
            Token::Eof => return Ok(found),
        }
    }
}

#[test]
fn documents_that_go_accepts_are_read() {
    for (document, expected) in [
        ("\u{feff}text<a/>more", vec!["a"]),
        (
            "<?xml version='1.0' encoding=\"Utf-8\"?><!DOCTYPE a [<!ENTITY b 'c>'>]><a/>",
            vec!["a"],
        ),
        (
            "<a b='1' b=\"2\" x:c='&lt;&#39;&#x3e;&amp;#39;'></a>",
            vec!["a b=1 b=2 c=<'>&#39;"],
        ),
        ("<x:a><![CDATA[<b>]]><!-- c --></x:a ><d\n/>", vec!["a", "d"]),
        ("<a b='1\r\n2\r3'/>", vec!["a b=1\n2\n3"]),
        ("<a b='&#xd800;'/>", vec!["a b=\u{fffd}"]),
        ("", vec![]),
    ] {
        let expected = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(names(document), Ok(expected), "{document}");
    }
}

#[test]
fn documents_that_go_refuses_are_errors() {
    for (document, expected) in [
        ("<a>", "unexpected end of the document"),
        ("<a", "unexpected end of the document"),
        ("<a></b>", "an element is closed by another end tag"),
        ("<x:a></y:a>", "an element is closed by another end tag"),
        ("</a>", "unexpected end tag"),
        ("<a>&nbsp;</a>", "invalid character entity"),
        ("<a>a & b</a>", "invalid character entity"),
        ("<a b=1/>", "an attribute value is not quoted"),
        ("<a b/>", "an attribute has no value"),
        ("<a b='<'/>", "< in an attribute value"),
        ("<a>]]></a>", "]]> outside of a CDATA section"),
        ("<a>&#0;</a>", "illegal character"),
        ("<a>\u{1b}</a>", "illegal character"),
        ("<!-- a -- b --><a/>", "a comment contains --"),
        ("<?xml version='1.1'?><a/>", "the XML version is not 1.0"),
        (
            "<?xml version='1.0' encoding='UTF-16'?><a/>",
            "the declared encoding is not UTF-8",
        ),
        ("< a/>", "expected an element name after <"),
        ("<1a/>", "invalid XML name"),
        ("<a:b:c/>", "expected an element name after <"),
        ("<a><![CDATA[b", "unexpected end of the document"),
    ] {
        assert_eq!(names(document), Err(expected), "{document}");
    }
    let mut tokens = Tokens::new(b"<a>\xff</a>");
    tokens.next().unwrap();
    assert_eq!(tokens.next().unwrap_err().message, "invalid UTF-8");
}
