//! What the text of `--plugin` means. Pure.

use sono_types::PluginName;

/// Where a definition is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// On standard input.
    Input,
    /// Behind an address.
    Url(String),
    /// In a registry, without the leading `oci://`.
    Artifact(String),
    /// An installed plugin, a built-in one, a file or a directory.
    Name(String),
    /// An address that nothing here can read, with its scheme.
    Foreign(String),
}

/// Where a definition is, and the name that it gets instead of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) place: Place,
    pub(crate) rename: Option<PluginName>,
}

impl Source {
    /// Reads `PLACE` or `PLACE@NAME`. The last `@` counts, and only where a plugin's name follows: addresses with a user,
    /// versions in paths and digests stay whole. What `is_there` knows as it stands is never cut.
    pub(crate) fn parse(text: &str, is_there: impl Fn(&str) -> bool) -> Self {
        let (place, rename) = if is_there(text) { (text, None) } else { split(text) };
        let place = match place.split_once("://") {
            None if place == "-" => Place::Input,
            None => Place::Name(place.to_owned()),
            Some(("oci", artifact)) => Place::Artifact(artifact.to_owned()),
            Some(("http" | "https", _)) => Place::Url(place.to_owned()),
            Some((scheme, _)) => Place::Foreign(scheme.to_owned()),
        };
        Self { place, rename }
    }
}

fn split(text: &str) -> (&str, Option<PluginName>) {
    let whole = (text, None);
    // Up to here an `@` belongs to the address.
    let authority_end = match text.find("://") {
        Some(at) => match text[at + 3..].find('/') {
            Some(slash) => at + 3 + slash,
            None => return whole,
        },
        None => 0,
    };
    let Some((place, name)) = text.rsplit_once('@') else {
        return whole;
    };
    let is_file = [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending));
    match PluginName::parse(name) {
        Ok(name) if !place.is_empty() && place.len() >= authority_end && !is_file => (place, Some(name)),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, place: Place, rename: Option<&str>) {
        let rename = rename.map(|name| PluginName::parse(name).unwrap());
        assert_eq!(Source::parse(text, |_| false), Source { place, rename }, "{text}");
    }

    fn name(text: &str) -> Place {
        Place::Name(text.to_owned())
    }

    fn url(text: &str) -> Place {
        Place::Url(text.to_owned())
    }

    /// BUG 39: an `@` in a path or an address.
    #[test]
    fn the_last_at_renames_where_a_name_follows() {
        check("e2e", name("e2e"), None);
        check("a.yaml@b", name("a.yaml"), Some("b"));
        check("me@home/a.yaml@b", name("me@home/a.yaml"), Some("b"));
        check("me@home/a.yaml", name("me@home/a.yaml"), None);
        check("plugin@1.2.yaml", name("plugin@1.2.yaml"), None);
        check("a.yaml@No_Name", name("a.yaml@No_Name"), None);
        check("@b", name("@b"), None);
        check("https://u:p@h/a.yaml", url("https://u:p@h/a.yaml"), None);
        check("https://u@h", url("https://u@h"), None);
        check("https://u@h/a.yaml@b", url("https://u@h/a.yaml"), Some("b"));
        check("http://h/a@1.2/p.yaml", url("http://h/a@1.2/p.yaml"), None);
        check("-", Place::Input, None);
        check("-@b", Place::Input, Some("b"));
        let artifact = |text: &str| Place::Artifact(text.to_owned());
        check("oci://r/p:1@b", artifact("r/p:1"), Some("b"));
        check("oci://r/p@sha256:00ff", artifact("r/p@sha256:00ff"), None);
        check("oci://r/p@sha256:00ff@b", artifact("r/p@sha256:00ff"), Some("b"));
        check("ftp://h/a.yaml", Place::Foreign("ftp".to_owned()), None);
    }

    /// BUG 39: a file may be called as it likes.
    #[test]
    fn what_is_there_is_not_cut() {
        let source = Source::parse("a@b", |text| text == "a@b");
        assert_eq!(
            source,
            Source {
                place: name("a@b"),
                rename: None
            }
        );
    }
}
