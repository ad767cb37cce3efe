//! ECDSA on P-521 with SHA-512 (ES512), which the token library lacks and the certificate library has.

use webpki::aws_lc_rs::ECDSA_P521_SHA512;

/// Of one coordinate, and of each half of a signature. Source: RFC 7518 §3.4.
pub(crate) const FIELD_BYTES: usize = 66;

/// Whether a point (`0x04`, x, y) has signed a message. `signature` is R and S, one behind the other.
pub(crate) fn verify(point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    if signature.len() != 2 * FIELD_BYTES {
        return false;
    }
    let (r, s) = signature.split_at(FIELD_BYTES);
    ECDSA_P521_SHA512
        .verify_signature(point, message, &der(r, s))
        .is_ok()
}

/// `SEQUENCE { r INTEGER, s INTEGER }`. Source: RFC 3279 §2.2.3.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    const SEQUENCE: u8 = 0x30;
    let mut numbers = integer(r);
    numbers.extend(integer(s));
    let mut out = vec![SEQUENCE];
    out.extend(length(numbers.len()));
    out.extend(numbers);
    out
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    const INTEGER: u8 = 2;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let mut digits = bytes.get(zeros..).unwrap_or_default().to_vec();
    // A first bit would make it negative, and nothing is no number.
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    let mut out = vec![INTEGER];
    out.extend(length(digits.len()));
    out.extend(digits);
    out
}

/// Lengths of DER up to 255, which two numbers of 67 bytes stay below.
fn length(bytes: usize) -> Vec<u8> {
    const LONG_ONE_BYTE: u8 = 0x81;
    let bytes = u8::try_from(bytes).unwrap_or(u8::MAX);
    if bytes < 0x80 {
        vec![bytes]
    } else {
        vec![LONG_ONE_BYTE, bytes]
    }
}
