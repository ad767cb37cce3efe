//! Why a token is not believed, in the words of Envoy: people know them, and tools look for them.

/// Why a token is not believed. `Display` is what the client is told. Source: Envoy 1.40, the status of `jwt_authn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// There is none, where there must be one.
    #[error("Jwt is missing")]
    Missing,
    /// `nbf` is to come.
    #[error("Jwt not yet valid")]
    NotYetValid,
    /// `exp` is over.
    #[error("Jwt is expired")]
    Expired,
    /// Not three parts, or more bytes than anybody needs.
    #[error("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections")]
    Form,
    /// The header is not base64url.
    #[error("Jwt header is an invalid Base64url encoded")]
    HeaderBase64,
    /// The header is no JSON object, or says something twice, or nests too deep.
    #[error("Jwt header is an invalid JSON")]
    HeaderJson,
    /// No `alg`.
    #[error("Jwt header [alg] field is required and must be a string")]
    AlgorithmMissing,
    /// An `alg` that nobody implements, as `none`.
    #[error("Jwt header [alg] is not supported")]
    AlgorithmUnknown,
    /// `kid` is no text.
    #[error("Jwt header [kid] field is not a string")]
    KeyId,
    /// The token demands something that nobody here understands. Source: RFC 7515 §4.1.11; Envoy does not look.
    #[error("Jwt header [crit] is not supported")]
    Critical,
    /// The payload is not base64url.
    #[error("Jwt payload is an invalid Base64url encoded")]
    PayloadBase64,
    /// The payload is no JSON object, or says something twice, or nests too deep.
    #[error("Jwt payload is an invalid JSON")]
    PayloadJson,
    /// `iss` is no text.
    #[error("Jwt payload [iss] field is not a string")]
    IssuerText,
    /// `sub` is no text.
    #[error("Jwt payload [sub] field is not a string")]
    SubjectText,
    /// `jti` is no text.
    #[error("Jwt payload [jti] field is not a string")]
    TokenIdText,
    /// `iat` is no number.
    #[error("Jwt payload [iat] field is not an integer")]
    IssuedNumber,
    /// `iat` is negative or too large.
    #[error("Jwt payload [iat] field is not a positive 64 bit integer")]
    IssuedRange,
    /// `nbf` is no number.
    #[error("Jwt payload [nbf] field is not an integer")]
    NotBeforeNumber,
    /// `nbf` is negative or too large.
    #[error("Jwt payload [nbf] field is not a positive 64 bit integer")]
    NotBeforeRange,
    /// `exp` is no number.
    #[error("Jwt payload [exp] field is not an integer")]
    ExpiryNumber,
    /// `exp` is negative or too large.
    #[error("Jwt payload [exp] field is not a positive 64 bit integer")]
    ExpiryRange,
    /// `aud` is neither a text nor a list of texts.
    #[error("Jwt payload [aud] field is not a string or string list")]
    AudienceText,
    /// The signature is not base64url.
    #[error("Jwt signature is an invalid Base64url encoded")]
    SignatureBase64,
    /// The signature has not the length that Ed25519 has.
    #[error("Jwt ED25519 signature is wrong length")]
    SignatureLength,
    /// No policy names its issuer for the place where it was found.
    #[error("Jwt issuer is not configured")]
    UnknownIssuer,
    /// It is for somebody else.
    #[error("Audiences in Jwt are not allowed")]
    Audience,
    /// No key of the issuer has signed it.
    #[error("Jwt verification fails")]
    Signature,
    /// More tokens than anybody sends.
    #[error("Found multiple Jwt tokens")]
    Multiple,
    /// The issuer has no key with this `kid` and `alg`.
    #[error("Jwks doesn't have key to match kid or alg from Jwt")]
    NoKey,
    /// The issuer's keys are no JSON.
    #[error("Jwks is an invalid JSON")]
    KeysJson,
    /// The issuer's keys are no JWK set.
    #[error("Jwks does not have [keys] field")]
    KeysMissing,
    /// The issuer's keys are no list.
    #[error("[keys] in Jwks is not an array")]
    KeysNoList,
    /// None of the issuer's keys can be used.
    #[error("Jwks doesn't have any valid public key")]
    NoValidKeys,
    /// The issuer's keys cannot be had.
    #[error("Jwks remote fetch is failed")]
    Fetch,
}

impl Refusal {
    /// Whether the token may be right, but not here: 403 in the place of 401.
    #[must_use]
    pub fn is_forbidden(self) -> bool {
        self == Self::Audience
    }

    /// Whether the keys are to blame and another look at their host may help.
    #[must_use]
    pub fn asks_for_keys(self) -> bool {
        self == Self::NoKey
    }
}
