//! Private keys: ECDSA on P-256, encoded as SEC1.

use aws_lc_rs::{
    encoding::{AsDer, EcPrivateKeyRfc5915Der},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{PrivateKeyDer, PrivateSec1KeyDer, pem::PemObject};

use crate::TlsError;

/// A signing key and its PEM encoding.
pub(crate) struct SigningKey {
    pub(crate) pair: KeyPair,
    /// `EC PRIVATE KEY` with the curve's identifier, which Go's `ParseECPrivateKey` in Sonobuoy's worker requires.
    /// rcgen writes PKCS#8, which that function rejects.
    pub(crate) pem: String,
}

pub(crate) fn generate() -> Result<SigningKey, TlsError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| TlsError::GenerateKey)?;
    let der: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().map_err(|_| TlsError::GenerateKey)?;
    let der = PrivateSec1KeyDer::from(der.as_ref().to_vec());
    let pem = encode("EC PRIVATE KEY", der.secret_sec1_der());
    Ok(SigningKey {
        pair: load(&PrivateKeyDer::Sec1(der))?,
        pem,
    })
}

pub(crate) fn from_pem(text: &str) -> Result<SigningKey, TlsError> {
    let der = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(TlsError::ReadKey)?;
    Ok(SigningKey {
        pair: load(&der)?,
        pem: text.to_owned(),
    })
}

fn load(der: &PrivateKeyDer<'_>) -> Result<KeyPair, TlsError> {
    KeyPair::from_der_and_sign_algo(der, &PKCS_ECDSA_P256_SHA256).map_err(TlsError::LoadKey)
}

/// Encodes PEM (RFC 7468), in lines of 64 characters.
fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut lines = vec![format!("-----BEGIN {label}-----")];
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        lines.push(line.to_owned());
        rest = next;
    }
    lines.push(format!("-----END {label}-----\n"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_sec1_and_names_its_curve() {
        let key = generate().unwrap();
        assert!(key.pem.starts_with("-----BEGIN EC PRIVATE KEY-----\n"), "{}", key.pem);
        assert!(key.pem.ends_with("\n-----END EC PRIVATE KEY-----\n"), "{}", key.pem);
        let PrivateKeyDer::Sec1(der) = PrivateKeyDer::from_pem_slice(key.pem.as_bytes()).unwrap() else {
            panic!("not SEC1");
        };
        let der = der.secret_sec1_der();
        // RFC 5915: SEQUENCE { INTEGER 1, OCTET STRING (32), [0] OID prime256v1, [1] BIT STRING (65 bytes, uncompressed) }
        assert_eq!(der.len(), 121);
        assert_eq!(der[..7], [0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20]);
        assert_eq!(
            der[39..51],
            [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]
        );
        assert_eq!(der[51..57], [0xa1, 0x44, 0x03, 0x42, 0x00, 0x04]);
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        let other = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
        assert!(matches!(from_pem(&other), Err(TlsError::LoadKey(_))));
        assert!(matches!(from_pem("no key"), Err(TlsError::ReadKey(_))));
    }
}
