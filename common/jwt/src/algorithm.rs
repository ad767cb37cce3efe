//! Signature algorithms, and which kind of key each is for. Source: RFC 7518 §3.1, RFC 8037.

use jsonwebtoken as library;

/// What `alg` may say. There is no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    /// RSASSA-PKCS1-v1_5.
    Rs256,
    Rs384,
    Rs512,
    /// RSASSA-PSS.
    Ps256,
    Ps384,
    Ps512,
    /// ECDSA on P-256, P-384 and P-521.
    Es256,
    Es384,
    Es512,
    /// Ed25519.
    EdDsa,
    /// HMAC.
    Hs256,
    Hs384,
    Hs512,
}

/// Kinds of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// `kty` RSA.
    Rsa,
    /// `kty` EC, `crv` P-256.
    P256,
    /// `kty` EC, `crv` P-384.
    P384,
    /// `kty` EC, `crv` P-521.
    P521,
    /// `kty` OKP, `crv` Ed25519.
    Ed25519,
    /// `kty` oct.
    Symmetric,
}

impl Algorithm {
    /// The algorithm of a name; `None` for `none` and anything else. Names know case.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            "ES512" => Self::Es512,
            "EdDSA" => Self::EdDsa,
            "HS256" => Self::Hs256,
            "HS384" => Self::Hs384,
            "HS512" => Self::Hs512,
            _ => return None,
        })
    }

    /// The one kind of key that it is for.
    pub(crate) fn family(self) -> Family {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                Family::Rsa
            }
            Self::Es256 => Family::P256,
            Self::Es384 => Family::P384,
            Self::Es512 => Family::P521,
            Self::EdDsa => Family::Ed25519,
            Self::Hs256 | Self::Hs384 | Self::Hs512 => Family::Symmetric,
        }
    }

    /// What the token library calls it; `None` for the one that it lacks.
    pub(crate) fn library(self) -> Option<library::Algorithm> {
        use library::Algorithm as Known;
        Some(match self {
            Self::Rs256 => Known::RS256,
            Self::Rs384 => Known::RS384,
            Self::Rs512 => Known::RS512,
            Self::Ps256 => Known::PS256,
            Self::Ps384 => Known::PS384,
            Self::Ps512 => Known::PS512,
            Self::Es256 => Known::ES256,
            Self::Es384 => Known::ES384,
            Self::Es512 => return None,
            Self::EdDsa => Known::EdDSA,
            Self::Hs256 => Known::HS256,
            Self::Hs384 => Known::HS384,
            Self::Hs512 => Known::HS512,
        })
    }
}
