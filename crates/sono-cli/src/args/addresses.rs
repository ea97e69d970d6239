//! Flags that say which definitions of plugins are taken from addresses.

use clap::Args;

/// Which definitions from addresses are taken.
#[derive(Debug, Clone, Default, Args)]
pub struct Addresses {
    /// Fetch definitions of plugins by plain HTTP too, where everybody on the way can change them
    #[arg(long)]
    pub allow_http: bool,
    /// SHA-256 that a fetched definition must have, in hexadecimal digits; may be given more than once, for several plugins
    #[arg(long, value_name = "DIGEST", value_parser = sha256)]
    pub sha256: Vec<String>,
}

fn sha256(text: &str) -> Result<String, &'static str> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(digits.to_ascii_lowercase())
    } else {
        Err("a SHA-256 has 64 hexadecimal digits")
    }
}
