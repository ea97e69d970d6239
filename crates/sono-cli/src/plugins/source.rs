//! Values of `--plugin`. Pure.

use sono_types::PluginName;

/// Location of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// Standard input.
    Input,
    /// HTTP or HTTPS URL.
    Url(String),
    /// OCI artifact in a registry, without the leading `oci://`.
    Artifact(String),
    /// Installed plugin, built-in plugin, file or directory.
    Name(String),
    /// Unsupported URL scheme.
    Foreign(String),
}

/// Location of a definition, and its new name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) location: Location,
    pub(crate) rename: Option<PluginName>,
}

impl Source {
    /// Parses `LOCATION` or `LOCATION@NAME`. Only the last `@` is a separator, and only before a valid plugin name: URLs
    /// with a user, versions in paths and digests are not split. A text for which `exists` holds is never split.
    pub(crate) fn parse(text: &str, exists: impl Fn(&str) -> bool) -> Self {
        let (location, rename) = if exists(text) { (text, None) } else { split(text) };
        let location = match location.split_once("://") {
            None if location == "-" => Location::Input,
            None => Location::Name(location.to_owned()),
            Some(("oci", artifact)) => Location::Artifact(artifact.to_owned()),
            Some(("http" | "https", _)) => Location::Url(location.to_owned()),
            Some((scheme, _)) => Location::Foreign(scheme.to_owned()),
        };
        Self { location, rename }
    }
}

fn split(text: &str) -> (&str, Option<PluginName>) {
    let whole = (text, None);
    // An `@` before this position belongs to the URL.
    let authority_end = match text.find("://") {
        Some(at) => match text[at + 3..].find('/') {
            Some(slash) => at + 3 + slash,
            None => return whole,
        },
        None => 0,
    };
    let Some((location, name)) = text.rsplit_once('@') else {
        return whole;
    };
    let is_file = [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending));
    match PluginName::parse(name) {
        Ok(name) if !location.is_empty() && location.len() >= authority_end && !is_file => (location, Some(name)),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, location: Location, rename: Option<&str>) {
        let rename = rename.map(|name| PluginName::parse(name).unwrap());
        assert_eq!(Source::parse(text, |_| false), Source { location, rename }, "{text}");
    }

    fn name(text: &str) -> Location {
        Location::Name(text.to_owned())
    }

    fn url(text: &str) -> Location {
        Location::Url(text.to_owned())
    }

    /// BUG 39: an `@` in a path or a URL.
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
        check("-", Location::Input, None);
        check("-@b", Location::Input, Some("b"));
        let artifact = |text: &str| Location::Artifact(text.to_owned());
        check("oci://r/p:1@b", artifact("r/p:1"), Some("b"));
        check("oci://r/p@sha256:00ff", artifact("r/p@sha256:00ff"), None);
        check("oci://r/p@sha256:00ff@b", artifact("r/p@sha256:00ff"), Some("b"));
        check("ftp://h/a.yaml", Location::Foreign("ftp".to_owned()), None);
    }

    /// BUG 39: the name of an existing file may contain `@`.
    #[test]
    fn existing_name_is_not_split() {
        let source = Source::parse("a@b", |text| text == "a@b");
        assert_eq!(
            source,
            Source {
                location: name("a@b"),
                rename: None
            }
        );
    }
}
