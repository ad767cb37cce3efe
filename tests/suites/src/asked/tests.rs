//! Tokens that openssl verifies as well.

use std::process::Command;

use super::{Issuer, Kind};

#[test]
fn signed_tokens_have_three_parts_and_keys_name_their_algorithm() {
    let folder = std::env::temp_dir().join(format!("suites-issuer-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for kind in [Kind::Rsa, Kind::Ec, Kind::Ed25519] {
        let issuer = Issuer::new(&folder, "https://issuer", "one", kind).unwrap();
        let jwk = issuer.jwk().unwrap();
        assert_eq!(jwk["alg"], kind.to_string());
        assert_eq!(jwk["kid"], "one");
        let token = issuer.sign(&issuer.token("alice")).unwrap();
        assert_eq!(token.split('.').count(), 3, "{token}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    let output = Command::new("openssl").arg("version").output().unwrap();
    assert!(output.status.success());
}
