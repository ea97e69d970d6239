//! Causes of failures that the aggregator has stored (`plugins/NAME/why.json`).

use std::{
    collections::BTreeSet,
    io::{self, Read},
};

use sono_analysis::{MAX_CAUSES_BYTES, Why};

/// Causes of the plugins that were read.
#[derive(Debug, Default)]
pub(in super::super) struct Causes {
    /// Causes of all of them.
    pub(in super::super) why: Why,
    plugins: BTreeSet<String>,
    /// Plugin of the current file.
    current: Option<String>,
}

impl Causes {
    /// Notes the plugin of the next file in the archive.
    pub(super) fn enter(&mut self, plugin: Option<&str>) {
        if self.current.as_deref() != plugin {
            self.current = plugin.map(str::to_owned);
        }
    }

    /// Reads the causes of a plugin. Damaged ones are ignored: `sono why` finds them again.
    pub(super) fn read(&mut self, plugin: &str, content: &mut dyn Read) -> io::Result<()> {
        let mut text = Vec::new();
        content.take(MAX_CAUSES_BYTES).read_to_end(&mut text)?;
        if self.plugins.insert(plugin.to_owned()) {
            match Why::parse(&text) {
                Ok(why) => self.why.merge(why),
                Err(error) => tracing::debug!(%error, plugin, "cannot read the stored causes"),
            }
        }
        Ok(())
    }

    /// Whether the causes of the current plugin may follow: they are at the end of its directory.
    pub(super) fn may_follow(&self, has_failed: impl Fn(&str) -> bool) -> bool {
        self.current
            .as_deref()
            .is_some_and(|plugin| !self.plugins.contains(plugin) && has_failed(plugin))
    }
}
