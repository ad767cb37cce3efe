//! Who signs tokens, with keys and signatures by openssl; and what its host answers.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::{Answer, Question};

/// What a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RS256, 2048 bits.
    Rsa,
    /// ES256.
    Ec,
    /// EdDSA.
    Ed25519,
}

/// A key and its name. Its files are in a folder that somebody else removes.
#[derive(Debug)]
pub struct Issuer {
    issuer: String,
    kid: String,
    kind: Kind,
    key: PathBuf,
}

/// A token that is being written.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its header.
    pub header: Value,
    /// Its claims.
    pub claims: Value,
}

impl Issuer {
    /// Makes a key. `issuer` is what tokens have as `iss`.
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn new(folder: &Path, issuer: &str, kid: &str, kind: Kind) -> Result<Self> {
        let key = folder.join(format!("{kid}.key"));
        let path = key.to_str().context("a path that is text")?;
        let (algorithm, option) = match kind {
            Kind::Rsa => ("RSA", "rsa_keygen_bits:2048"),
            Kind::Ec => ("EC", "ec_paramgen_curve:P-256"),
            Kind::Ed25519 => ("ED25519", ""),
        };
        let mut arguments = vec!["genpkey", "-algorithm", algorithm, "-out", path];
        if !option.is_empty() {
            arguments.extend(["-pkeyopt", option]);
        }
        openssl(&arguments, &[])?;
        Ok(Self {
            issuer: issuer.to_owned(),
            kid: kid.to_owned(),
            kind,
            key,
        })
    }

    /// What a host of keys answers: `/keys` with the set that `keys` are, `<anything>/.well-known/openid-configuration` with a
    /// document of `issuer` that names `/keys` of the host that was asked, everything else with 404.
    pub fn host(
        issuer: &str,
        keys: &Value,
    ) -> impl Fn(&Question) -> Response<Answer> + Send + Sync + use<> {
        let (issuer, keys) = (issuer.to_owned(), keys.clone());
        move |question| {
            let path = question.request.uri().path();
            if path == "/keys" {
                return Response::new(keys.to_string().into());
            }
            if path.ends_with("/.well-known/openid-configuration") {
                let host = question.header("host");
                let document = json!({"issuer": issuer, "jwks_uri": format!("http://{host}/keys")});
                return Response::new(document.to_string().into());
            }
            let mut response = Response::new(Answer::default());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }

    /// A JWK set of the public keys of `issuers`.
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn set(issuers: &[&Self]) -> Result<Value> {
        let keys: Vec<Value> = issuers.iter().map(|it| it.jwk()).collect::<Result<_>>()?;
        Ok(json!({"keys": keys}))
    }

    /// `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The public key, PEM.
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn public_pem(&self) -> Result<Vec<u8>> {
        openssl(&["pkey", "-in", self.path()?, "-pubout"], &[])
    }

    /// The public key as a JWK.
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn jwk(&self) -> Result<Value> {
        let der = openssl(
            &["pkey", "-in", self.path()?, "-pubout", "-outform", "DER"],
            &[],
        )?;
        // The key's bytes end a SubjectPublicKeyInfo.
        let tail = |length: usize| {
            let from = der.len().checked_sub(length)?;
            der.get(from..)
        };
        let mut jwk = match self.kind {
            Kind::Rsa => {
                let modulus = openssl(&["rsa", "-in", self.path()?, "-noout", "-modulus"], &[])?;
                let modulus = String::from_utf8(modulus)?;
                let digits = modulus.trim().strip_prefix("Modulus=");
                json!({
                    "kty": "RSA",
                    "alg": "RS256",
                    "n": encode(hex(digits.context("a modulus")?)?),
                    "e": "AQAB",
                })
            }
            Kind::Ec => {
                let (x, y) = tail(64).context("a point")?.split_at(32);
                json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "x": encode(x), "y": encode(y)})
            }
            Kind::Ed25519 => {
                let x = tail(32).context("a key")?;
                json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": encode(x)})
            }
        };
        if let Some(fields) = jwk.as_object_mut() {
            fields.insert("kid".to_owned(), self.kid.clone().into());
            fields.insert("use".to_owned(), "sig".into());
        }
        Ok(jwk)
    }

    /// A token for `subject` that is good for an hour from now, to be changed and signed.
    pub fn token(&self, subject: &str) -> Token {
        let algorithm = match self.kind {
            Kind::Rsa => "RS256",
            Kind::Ec => "ES256",
            Kind::Ed25519 => "EdDSA",
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        Token {
            header: json!({"alg": algorithm, "typ": "JWT", "kid": self.kid}),
            claims: json!({"iss": self.issuer, "sub": subject, "iat": now, "exp": now + 3600}),
        }
    }

    /// Signs with this key, whatever the token says of itself.
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn sign(&self, token: &Token) -> Result<String> {
        self.sign_text(&token.text())
    }

    /// The same, of header and claims as [`Token::joined`] makes them.
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn sign_text(&self, text: &str) -> Result<String> {
        let signature = self.signature(text)?;
        let signature = match self.kind {
            Kind::Rsa | Kind::Ed25519 => signature,
            Kind::Ec => raw(&signature)?,
        };
        Ok(format!("{text}.{}", encode(signature)))
    }

    /// The signature as openssl writes it: of ECDSA that is DER, and not what a token has (RFC 7518, section 3.4).
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn signature(&self, text: &str) -> Result<Vec<u8>> {
        let key = self.path()?;
        match self.kind {
            Kind::Rsa | Kind::Ec => openssl(&["dgst", "-sha256", "-sign", key], text.as_bytes()),
            Kind::Ed25519 => {
                // It reads its input twice, so it must be a file.
                let file = self.key.with_extension("text");
                std::fs::write(&file, text)?;
                let input = file.to_str().context("a path that is text")?;
                openssl(
                    &["pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", input],
                    &[],
                )
            }
        }
    }

    fn path(&self) -> Result<&str> {
        self.key.to_str().context("a path that is text")
    }
}

impl Token {
    /// With a claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Some(claims) = self.claims.as_object_mut() {
            claims.insert(name.to_owned(), value.into());
        }
        self
    }

    /// With something in its header.
    #[must_use]
    pub fn head(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Some(header) = self.header.as_object_mut() {
            header.insert(name.to_owned(), value.into());
        }
        self
    }

    /// Header and claims, without a signature.
    pub fn text(&self) -> String {
        Self::joined(&self.header.to_string(), &self.claims.to_string())
    }

    /// Header and claims that need not be JSON, encoded, without a signature.
    pub fn joined(header: &str, claims: &str) -> String {
        format!("{}.{}", encode(header), encode(claims))
    }

    /// A part of a token: base64url without padding.
    pub fn part(bytes: &[u8]) -> String {
        encode(bytes)
    }

    /// Signed with a secret (HS256), by openssl.
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn sign_with_secret(&self, secret: &[u8]) -> Result<String> {
        let text = self.text();
        let digits: String = secret.iter().map(|it| format!("{it:02x}")).collect();
        let key = format!("hexkey:{digits}");
        let signature = openssl(
            &[
                "dgst", "-sha256", "-mac", "HMAC", "-macopt", &key, "-binary",
            ],
            text.as_bytes(),
        )?;
        Ok(format!("{text}.{}", encode(signature)))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rsa => "RS256",
            Self::Ec => "ES256",
            Self::Ed25519 => "EdDSA",
        })
    }
}

fn openssl(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("openssl")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "openssl {arguments:?}: {said}");
    Ok(output.stdout)
}

/// The two numbers of an ECDSA signature, 32 bytes each, in the place of DER.
fn raw(der: &[u8]) -> Result<Vec<u8>> {
    // SEQUENCE, length, then twice: INTEGER, length, bytes that may begin with a zero.
    let mut rest = der.get(2..).context("a sequence")?;
    let mut whole = Vec::with_capacity(64);
    for _ in 0..2 {
        let length = usize::from(*rest.get(1).context("a length")?);
        let number = rest.get(2..2 + length).context("a number")?;
        let number = &number[number.iter().take_while(|it| **it == 0).count()..];
        whole.extend(std::iter::repeat_n(0, 32 - number.len().min(32)));
        whole.extend(number);
        rest = rest.get(2 + length..).context("the rest")?;
    }
    Ok(whole)
}

fn hex(digits: &str) -> Result<Vec<u8>> {
    let pair = |at: usize| digits.get(at..at + 2).context("two digits");
    (0..digits.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(pair(at)?, 16)?))
        .collect()
}

/// Without padding (RFC 7515, section 2).
fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
