//! The vectors of the RFC, and a round trip through another implementation.

use rustls_pki_types::{CertificateDer, pem::PemObject};

use super::{base64, encode};

#[test]
fn base64_agrees_with_the_vectors_of_rfc_4648() {
    for (bytes, expected) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(base64(bytes.as_bytes()), expected, "{bytes:?}");
    }
    assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
}

#[test]
fn pem_is_read_back_as_the_same_bytes() {
    for length in [1, 47, 48, 49, 96, 500] {
        let bytes: Vec<u8> = (0..length)
            .map(|i| u8::try_from(i % 251).unwrap())
            .collect();
        let text = encode("CERTIFICATE", &bytes);
        assert!(text.lines().all(|line| line.len() <= 64), "{text}");
        assert_eq!(
            CertificateDer::from_pem_slice(text.as_bytes())
                .unwrap()
                .as_ref(),
            bytes
        );
    }
}
