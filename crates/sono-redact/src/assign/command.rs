//! Flags of programs whose values are passwords: `mysql -pX`, `curl -u user:X`.

use crate::{
    bytes::{before, is_blank, part, run},
    finding::Finding,
    hits::Rule,
    values::can_be_secret,
};

/// Most bytes of a command line.
const LINE: usize = 1_024;

/// How a program takes a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    /// `-pX` or `-p X`
    Password(&'static str),
    /// `-u user:X`
    User(&'static str),
}

/// Programs with their flags. Longer names come after shorter ones with the same start.
pub(crate) const PROGRAMS: &[(&str, &[Flag])] = &[
    ("mysql", &[Flag::Password("-p")]),
    ("mariadb", &[Flag::Password("-p")]),
    ("mongo", &[Flag::Password("-p")]),
    (
        "curl",
        &[
            Flag::User("-u"),
            Flag::User("--user"),
            Flag::User("-U"),
            Flag::User("--proxy-user"),
        ],
    ),
    ("redis-cli", &[Flag::Password("-a")]),
    ("sshpass", &[Flag::Password("-p")]),
    ("docker", &[Flag::Password("-p")]),
    ("podman", &[Flag::Password("-p")]),
    ("helm", &[Flag::Password("-p")]),
    ("ldapsearch", &[Flag::Password("-w")]),
    ("ldapadd", &[Flag::Password("-w")]),
    ("ldapmodify", &[Flag::Password("-w")]),
    ("sqlcmd", &[Flag::Password("-P")]),
    ("mosquitto_", &[Flag::Password("-P")]),
    ("cqlsh", &[Flag::Password("-p")]),
    ("smbclient", &[Flag::User("-U")]),
];

/// The flags of a program, by its path.
pub(crate) fn flags_of(program: &str) -> &'static [Flag] {
    let name = program.rsplit('/').next().unwrap_or_default();
    PROGRAMS
        .iter()
        .find(|(start, _)| {
            name == *start || (["mysql", "mariadb", "mongo", "mosquitto_"].contains(start) && name.starts_with(start))
        })
        .map_or(&[], |(_, flags)| flags)
}

impl Flag {
    /// The place of the password in `argument`, given the argument before it.
    pub(crate) fn password(self, previous: &str, argument: &str) -> Option<usize> {
        match self {
            Self::Password(flag) => {
                let attached = argument.len() > flag.len() && argument.starts_with(flag);
                // `docker run -p 80:80`
                let is_port = |text: &str| {
                    text.bytes()
                        .all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'/'))
                };
                let (start, value) = if attached {
                    (flag.len(), argument.get(flag.len()..)?)
                } else if previous == flag && !argument.starts_with('-') {
                    (0, argument)
                } else {
                    return None;
                };
                (!is_port(value) || value.len() > 8)
                    .then_some(start)
                    .filter(|_| can_be_secret(value))
            }
            Self::User(flag) => {
                let start = if previous == flag {
                    0
                } else if flag.len() == 2 && argument.len() > 2 && argument.starts_with(flag) {
                    2
                } else if argument.starts_with(flag) && argument.as_bytes().get(flag.len()) == Some(&b'=') {
                    flag.len() + 1
                } else {
                    return None;
                };
                let user = argument.get(start..)?;
                let colon = user.find([':', '%'])?;
                can_be_secret(user.get(colon + 1..)?).then_some(start + colon + 1)
            }
        }
    }
}

/// Passwords in the command line of the program whose name is from `start` to `end`. Returns the end of what was read.
pub(crate) fn in_line(text: &[u8], start: usize, end: usize, findings: &mut Vec<Finding>) -> usize {
    let previous = before(text, start);
    let name_end = run(text, end, 24, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
    });
    if previous.is_ascii_alphanumeric()
        || matches!(previous, b'_' | b'-' | b'.')
        || !is_blank(text.get(name_end).copied().unwrap_or_default())
    {
        return name_end;
    }
    let flags = std::str::from_utf8(part(text, start, name_end)).map_or(&[][..], flags_of);
    let line_end = run(text, name_end, LINE, |byte| {
        !matches!(byte, b'\n' | b'\r' | b'|' | b';' | 0)
    });
    let mut before_token = "";
    let mut index = name_end;
    while index < line_end && !flags.is_empty() {
        let first = run(text, index, line_end - index, is_blank);
        let last = run(text, first, line_end - first, |byte| !is_blank(byte));
        if last == first {
            break;
        }
        let Ok(token) = std::str::from_utf8(part(text, first, last)) else {
            break;
        };
        let bare = token.trim_matches(['"', '\'', ',', '`', ')', ']', '\\']);
        let offset = first + (token.len() - token.trim_start_matches(['"', '\'', ',', '`', ')', ']', '\\']).len());
        if let Some(password) = flags.iter().find_map(|flag| flag.password(before_token, bare)) {
            findings.push(Finding {
                start: offset + password,
                end: offset + bare.len(),
                rule: Rule::Name,
            });
        }
        before_token = bare;
        index = last;
    }
    line_end
}
