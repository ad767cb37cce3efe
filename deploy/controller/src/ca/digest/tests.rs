//! The hash and the hexadecimal.

use super::{hex, sha256, unhex};

#[test]
fn the_hash_is_that_of_the_standard() {
    // Source: FIPS 180-2, appendix B.1.
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hex(&sha256(b"abc")), abc);
    assert_eq!(unhex(abc).unwrap(), sha256(b"abc"));
    assert_eq!(unhex("0"), None);
    assert_eq!(unhex("zz"), None);
    assert_eq!(unhex("+1"), None);
}
