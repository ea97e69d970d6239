//! Durations of test cases, which trees of results do not contain.

use std::time::Duration;

use quick_xml::{Reader, events::Event};
use sono_types::text::decode_with_replacement;

use super::attributes::Attributes;

/// Calls `each` with the name and the duration of every test case that states one. What precedes an error in the file is used.
pub fn test_durations(content: &[u8], each: &mut dyn FnMut(&str, Duration)) {
    let decoded = decode_with_replacement(content);
    let mut reader = Reader::from_str(&decoded.text);
    reader.config_mut().allow_dangling_amp = true;
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => {
                let local_name = element.local_name();
                let local_name: &str = local_name.as_ref();
                if !local_name.eq_ignore_ascii_case("testcase") {
                    continue;
                }
                let Ok(attributes) = Attributes::of(&element) else {
                    continue;
                };
                let seconds = attributes.get("time").and_then(|time| time.trim().parse().ok());
                let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                if let (Some(name), Some(duration)) = (attributes.get("name"), duration) {
                    each(name, duration);
                }
            }
            Ok(Event::Eof) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_test_cases() {
        let text = "<testsuites time='9'><testsuite name='s' time='8'><testcase name='a &amp; b' time='0.5'/>\
            <TestCase name='c' TIME=' 2 '><failure>x</failure></TestCase><testcase name='d' time='-1'/>\
            <testcase name='e' time='NaN'/><testcase name='f' time='1e400'/><testcase time='3'/><testcase name='g'/>\
            </testsuite></wrong><testcase name='late' time='1'/>";
        let mut found = Vec::new();
        test_durations(text.as_bytes(), &mut |name, duration| {
            found.push((name.to_owned(), duration));
        });
        let milliseconds = Duration::from_millis;
        assert_eq!(
            found,
            [
                ("a & b".to_owned(), milliseconds(500)),
                ("c".to_owned(), milliseconds(2000))
            ]
        );
        test_durations(b"\xff\x00<testcase", &mut |_, _| unreachable!("no test case"));
    }
}
