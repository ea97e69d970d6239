//! Flags for plugin definitions that are fetched from a URL.

use clap::Args;

/// Checks of plugin definitions that are fetched from a URL.
#[derive(Debug, Clone, Default, Args)]
pub struct Addresses {
    /// Allow plugin definitions over plain HTTP, which anyone on the network path can change
    #[arg(long, help_heading = "Plugins", hide_short_help = true)]
    pub allow_http: bool,
    /// Expected SHA-256 of a fetched plugin definition, in hexadecimal; repeatable
    #[arg(long, value_name = "DIGEST", value_parser = sha256, help_heading = "Plugins", hide_short_help = true)]
    pub sha256: Vec<String>,
}

fn sha256(text: &str) -> Result<String, &'static str> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(digits.to_ascii_lowercase())
    } else {
        Err("expected 64 hexadecimal digits")
    }
}
