//! The identity of the peer.

use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// The DNS names of a certificate, exactly as written; empty if it cannot be parsed. A plugin's name need not be a
/// valid DNS name: for example `cis-1.8`.
pub fn certificate_names(der: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(der) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_certificate_has_no_names() {
        assert_eq!(certificate_names(b""), Vec::<String>::new());
        assert_eq!(certificate_names(b"\x30\x03\x02\x01\x01"), Vec::<String>::new());
    }
}
