//! Tokens with a fixed prefix, from the documentation of their services.

/// The characters after a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alphabet {
    Alnum,
    /// And `_`.
    Word,
    /// Of base64 in URLs: and `_`, `-`.
    Url,
    /// And `_`, `-`, `=`.
    UrlEq,
    /// And `_`, `-`, `.`.
    UrlDot,
    /// Capitals and digits.
    Upper,
    Hex,
    Base64,
    /// Small letters, digits, `:` and `-`.
    Rancher,
}

impl Alphabet {
    pub(crate) fn has(self, byte: u8) -> bool {
        let alnum = byte.is_ascii_alphanumeric();
        match self {
            Self::Alnum => alnum,
            Self::Word => alnum || byte == b'_',
            Self::Url => alnum || matches!(byte, b'_' | b'-'),
            Self::UrlEq => alnum || matches!(byte, b'_' | b'-' | b'='),
            Self::UrlDot => alnum || matches!(byte, b'_' | b'-' | b'.'),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Base64 => alnum || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-'),
            Self::Rancher => byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b':' | b'-'),
        }
    }
}

/// A format of tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) id: &'static str,
    pub(crate) prefix: &'static str,
    pub(crate) alphabet: Alphabet,
    /// Fewest characters after the prefix.
    pub(crate) least: usize,
    /// Most characters after the prefix.
    pub(crate) most: usize,
    /// Requires a digit after the prefix, since words may look the same.
    pub(crate) digit: bool,
}

const fn token(
    id: &'static str,
    prefix: &'static str,
    alphabet: Alphabet,
    least: usize,
    most: usize,
    digit: bool,
) -> Token {
    Token {
        id,
        prefix,
        alphabet,
        least,
        most,
        digit,
    }
}

/// All formats.
pub(crate) const TOKENS: &[Token] = &[
    token("github", "ghp_", Alphabet::Alnum, 30, 255, false),
    token("github", "gho_", Alphabet::Alnum, 30, 255, false),
    token("github", "ghu_", Alphabet::Alnum, 30, 255, false),
    token("github", "ghs_", Alphabet::Word, 30, 255, false),
    token("github", "ghr_", Alphabet::Alnum, 30, 255, false),
    token("github", "github_pat_", Alphabet::Word, 22, 255, false),
    token("gitlab", "glpat-", Alphabet::UrlDot, 16, 255, false),
    token("gitlab", "gldt-", Alphabet::UrlDot, 16, 255, false),
    token("gitlab", "glrt-", Alphabet::UrlDot, 16, 255, false),
    token("gitlab", "glcbt-", Alphabet::UrlDot, 16, 255, false),
    token("gitlab", "glptt-", Alphabet::UrlDot, 16, 255, false),
    token("gitlab", "glft-", Alphabet::UrlDot, 16, 255, false),
    token("gitlab", "glsoat-", Alphabet::UrlDot, 16, 255, false),
    token("gitlab", "glimt-", Alphabet::UrlDot, 16, 255, false),
    token("gitlab", "glagent-", Alphabet::UrlDot, 16, 255, false),
    token("slack", "xoxb-", Alphabet::Url, 10, 255, true),
    token("slack", "xoxp-", Alphabet::Url, 10, 255, true),
    token("slack", "xoxa-", Alphabet::Url, 10, 255, true),
    token("slack", "xoxr-", Alphabet::Url, 10, 255, true),
    token("slack", "xoxs-", Alphabet::Url, 10, 255, true),
    token("slack", "xoxe.", Alphabet::UrlDot, 10, 255, true),
    token("slack", "xoxo-", Alphabet::Url, 10, 255, true),
    token("slack", "xapp-", Alphabet::Url, 10, 255, true),
    token("google", "AIza", Alphabet::Url, 35, 64, false),
    token("google", "ya29.", Alphabet::UrlDot, 20, 2048, false),
    token("google", "GOCSPX-", Alphabet::Url, 20, 64, false),
    token("aws-key-id", "AKIA", Alphabet::Upper, 16, 16, false),
    token("aws-key-id", "ASIA", Alphabet::Upper, 16, 16, false),
    token("aws-key-id", "ABIA", Alphabet::Upper, 16, 16, false),
    token("aws-key-id", "ACCA", Alphabet::Upper, 16, 16, false),
    token("stripe", "sk_live_", Alphabet::Alnum, 10, 255, false),
    token("stripe", "sk_test_", Alphabet::Alnum, 10, 255, false),
    token("stripe", "rk_live_", Alphabet::Alnum, 10, 255, false),
    token("stripe", "rk_test_", Alphabet::Alnum, 10, 255, false),
    token("stripe", "whsec_", Alphabet::Base64, 16, 255, false),
    token("openai", "sk-proj-", Alphabet::Url, 16, 255, false),
    token("openai", "sk-svcacct-", Alphabet::Url, 16, 255, false),
    token("openai", "sk-admin-", Alphabet::Url, 16, 255, false),
    token("anthropic", "sk-ant-", Alphabet::Url, 16, 255, false),
    token("openai", "sk-", Alphabet::Url, 20, 255, true),
    token("hashicorp", "hvs.", Alphabet::UrlDot, 18, 512, false),
    token("hashicorp", "hvb.", Alphabet::UrlDot, 18, 512, false),
    token("hashicorp", "hvr.", Alphabet::UrlDot, 18, 512, false),
    token("npm", "npm_", Alphabet::Alnum, 30, 64, false),
    token("pypi", "pypi-AgE", Alphabet::Url, 16, 512, false),
    token("sendgrid", "SG.", Alphabet::UrlDot, 40, 128, true),
    token("docker", "dckr_pat_", Alphabet::Url, 16, 64, false),
    token("docker", "dckr_oat_", Alphabet::Url, 16, 64, false),
    token("grafana", "glsa_", Alphabet::Word, 32, 64, false),
    token("grafana", "glc_", Alphabet::Base64, 32, 512, false),
    token("digitalocean", "dop_v1_", Alphabet::Hex, 40, 80, false),
    token("digitalocean", "doo_v1_", Alphabet::Hex, 40, 80, false),
    token("digitalocean", "dor_v1_", Alphabet::Hex, 40, 80, false),
    token("shopify", "shpat_", Alphabet::Hex, 32, 40, false),
    token("shopify", "shpca_", Alphabet::Hex, 32, 40, false),
    token("shopify", "shppa_", Alphabet::Hex, 32, 40, false),
    token("shopify", "shpss_", Alphabet::Hex, 32, 40, false),
    token("linear", "lin_api_", Alphabet::Alnum, 32, 64, false),
    token("doppler", "dp.pt.", Alphabet::Alnum, 32, 64, false),
    token("doppler", "dp.st.", Alphabet::UrlDot, 32, 96, false),
    token("databricks", "dapi", Alphabet::Hex, 32, 40, true),
    token("newrelic", "NRAK-", Alphabet::Alnum, 20, 40, false),
    token("newrelic", "NRII-", Alphabet::Url, 20, 40, false),
    token("postman", "PMAK-", Alphabet::Url, 40, 80, false),
    token("square", "sq0atp-", Alphabet::Url, 20, 60, false),
    token("square", "sq0csp-", Alphabet::Url, 20, 60, false),
    token("twilio", "SK", Alphabet::Hex, 32, 32, true),
    token("huggingface", "hf_", Alphabet::Alnum, 30, 60, false),
    token("replicate", "r8_", Alphabet::Alnum, 30, 60, false),
    token("planetscale", "pscale_tkn_", Alphabet::UrlDot, 20, 80, false),
    token("planetscale", "pscale_pw_", Alphabet::UrlDot, 20, 80, false),
    token("planetscale", "pscale_oauth_", Alphabet::UrlDot, 20, 80, false),
    token("pulumi", "pul-", Alphabet::Hex, 40, 40, false),
    token("sentry", "sntrys_", Alphabet::Base64, 40, 512, false),
    token("sentry", "sntryu_", Alphabet::Hex, 40, 80, false),
    token("tailscale", "tskey-", Alphabet::Url, 16, 128, false),
    token("supabase", "sbp_", Alphabet::Hex, 40, 64, false),
    token("artifactory", "AKCp", Alphabet::Alnum, 60, 100, false),
    token("artifactory", "cmVmdGtu", Alphabet::Alnum, 50, 80, false),
    token("age", "AGE-SECRET-KEY-1", Alphabet::Upper, 58, 58, false),
    token("openshift", "sha256~", Alphabet::Url, 40, 64, false),
    token("rubygems", "rubygems_", Alphabet::Hex, 40, 60, false),
    token("atlassian", "ATATT3", Alphabet::UrlEq, 100, 512, false),
    token("atlassian", "ATCTT3", Alphabet::UrlEq, 100, 512, false),
    token("bitbucket", "ATBB", Alphabet::Alnum, 24, 64, true),
    token("figma", "figd_", Alphabet::Url, 32, 64, false),
    token("notion", "ntn_", Alphabet::Alnum, 40, 64, false),
    token("fly", "fm2_", Alphabet::Base64, 40, 1024, false),
    token("fly", "fo1_", Alphabet::Url, 40, 64, false),
    token("buildkite", "bkua_", Alphabet::Hex, 40, 64, false),
    token("circleci", "CCIPAT_", Alphabet::Word, 40, 128, false),
    token("dynatrace", "dt0c01.", Alphabet::UrlDot, 60, 128, false),
    token("dynatrace", "dt0s01.", Alphabet::UrlDot, 60, 128, false),
    token("contentful", "CFPAT-", Alphabet::Url, 40, 64, false),
    token("readme", "rdme_", Alphabet::Alnum, 60, 80, false),
    token("typeform", "tfp_", Alphabet::UrlDot, 40, 80, false),
    token("easypost", "EZAK", Alphabet::Alnum, 50, 64, false),
    token("easypost", "EZTK", Alphabet::Alnum, 50, 64, false),
    token("perplexity", "pplx-", Alphabet::Alnum, 40, 80, false),
    token("groq", "gsk_", Alphabet::Alnum, 40, 80, false),
    token("xai", "xai-", Alphabet::Alnum, 60, 100, false),
    token("nvidia", "nvapi-", Alphabet::Url, 40, 100, false),
    token("mailgun", "key-", Alphabet::Hex, 32, 32, true),
    token("rancher", "token-", Alphabet::Rancher, 50, 80, false),
    token("rancher", "kubeconfig-u-", Alphabet::Rancher, 40, 120, false),
    token("onepassword", "ops_eyJ", Alphabet::Base64, 60, 2048, false),
    token("cloudflare", "v1.0-", Alphabet::Url, 100, 200, true),
    token("teleport", "tbot-", Alphabet::Alnum, 30, 80, false),
    token("terraform", ".atlasv1.", Alphabet::Url, 50, 80, false),
    token("elastic", "essu_", Alphabet::Base64, 40, 200, false),
    token("adafruit", "aio_", Alphabet::Alnum, 26, 32, true),
    token("clojars", "CLOJARS_", Alphabet::Alnum, 50, 70, false),
    token("prefect", "pnu_", Alphabet::Alnum, 30, 40, false),
    token("harness", "pat.", Alphabet::UrlDot, 50, 80, true),
    token("scaleway", "SCW", Alphabet::Upper, 17, 17, true),
];
