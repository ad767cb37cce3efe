//! Clients of the control plane that others wrote: grpcurl with our `.proto` files, a program of Envoy's and Istio's
//! own generated messages (`tests/peers/xds`), and openssl for requests and certificates.
//!
//! In: a machine of a lab, a token. Out: what was answered. Both programs are put into place by `scripts/peer-grpc`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use lab::{Controller, Machine, Output};
use serde_json::Value;

/// The method of the CA.
pub const SIGN: &str = "istio.v1.auth.IstioCertificateService/CreateCertificate";
/// The method of xDS.
pub const DELTA: &str =
    "envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/// How long a call may take that is to be answered, in seconds.
const CALL_SECONDS: &str = "20";

/// A program that `scripts/peer-grpc` puts into place, or `None` and a line that says why.
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
pub fn program(name: &str) -> Option<PathBuf> {
    if !lab::possible() {
        return None;
    }
    let place = format!("../../target/peers/grpc/{name}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    let found = path.canonicalize().ok();
    if found.is_none() {
        eprintln!("skipped: {name} is not there (scripts/peer-grpc installs it; it needs Go)");
    }
    found
}

/// Where a client sits: a machine, and the controller as it is reached from there.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The controller.
    pub controller: &'a Controller,
    /// The node by whose link it is reached.
    pub node: usize,
}

impl Seat<'_> {
    fn address(&self) -> String {
        let address = self.controller.address(self.node);
        address.trim_start_matches("https://").to_owned()
    }

    /// Keeps a token in a file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn keep(&self, name: &str, token: &str) -> Result<PathBuf> {
        let path = self.machine.folder().join(format!("{name}.token"));
        fs::write(&path, token)?;
        Ok(path)
    }

    /// Runs the program of `tests/peers/xds`.
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not end.
    pub fn xds(&self, program: &Path, token: &Path, arguments: &[&str]) -> Result<Output> {
        let mut line: Vec<OsString> = vec![program.into()];
        line.extend(["-address".into(), self.address().into()]);
        line.extend(["-roots".into(), self.controller.root().into()]);
        line.extend(["-token".into(), token.into()]);
        line.extend(arguments.iter().map(OsString::from));
        self.machine.exec(line)
    }
}

/// What a call of grpcurl came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The answer, as JSON.
    Ok(String),
    /// Code and message.
    Refused(String, String),
}

impl Answer {
    /// That it was refused with this code; returns the message.
    ///
    /// # Errors
    ///
    /// When it was not.
    pub fn refused(&self, code: &str) -> Result<&str> {
        match self {
            Self::Refused(found, message) if found == code => Ok(message),
            Self::Refused(..) | Self::Ok(_) => {
                anyhow::bail!("expected a refusal with {code}, found {self:?}")
            }
        }
    }
}

/// grpcurl in a seat.
#[derive(Clone, Debug)]
pub struct Grpcurl<'a> {
    program: PathBuf,
    seat: Seat<'a>,
}

impl<'a> Grpcurl<'a> {
    /// grpcurl, if it is installed.
    pub fn find(seat: Seat<'a>) -> Option<Self> {
        let program = program("grpcurl")?;
        Some(Self { program, seat })
    }

    /// Calls a method with one message, or several.
    ///
    /// # Errors
    ///
    /// When grpcurl cannot be started, or says something that is neither an answer nor a refusal.
    pub fn call(&self, method: &str, headers: &[String], messages: &[u8]) -> Result<Answer> {
        let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../common/wire/proto");
        let mut line: Vec<OsString> = vec![self.program.clone().into()];
        line.extend(["-cacert".into(), self.seat.controller.root().into()]);
        line.extend(["-max-time", CALL_SECONDS].map(OsString::from));
        line.extend(["-import-path".into(), protos.canonicalize()?.into()]);
        for proto in ["ca", "discovery", "workload", "security"] {
            line.extend(["-proto".into(), format!("{proto}.proto").into()]);
        }
        for header in headers {
            line.extend(["-H".into(), header.into()]);
        }
        line.extend(["-d".into(), "@".into()]);
        line.extend([self.seat.address().into(), method.into()]);
        let output = self.seat.machine.command(line).stdin(messages).output()?;
        if output.status.success() {
            return Ok(Answer::Ok(output.text()));
        }
        // ERROR:, then lines `  Code: X` and `  Message: Y`.
        let errors = output.errors();
        let field = |name: &str| {
            let mut lines = errors.lines().map(str::trim);
            lines.find_map(|line| line.strip_prefix(name).map(|it| it.trim().to_owned()))
        };
        match (field("Code:"), field("Message:")) {
            (Some(code), Some(message)) => Ok(Answer::Refused(code, message)),
            (Some(_) | None, _) => {
                anyhow::bail!("neither an answer nor a refusal: {}", errors.trim())
            }
        }
    }

    /// Asks for a certificate; `identity` is the one to be impersonated.
    ///
    /// # Errors
    ///
    /// As [`Grpcurl::call`].
    pub fn sign(&self, token: Option<&str>, csr: &str, identity: Option<&str>) -> Result<Answer> {
        let mut message = serde_json::json!({"csr": csr, "validityDuration": "3600"});
        if let Some(identity) = identity {
            message["metadata"] = serde_json::json!({"ImpersonatedIdentity": identity});
        }
        self.call(SIGN, &bearer(token), message.to_string().as_bytes())
    }

    /// Subscribes to every resource of a type.
    ///
    /// # Errors
    ///
    /// As [`Grpcurl::call`].
    pub fn subscribe(&self, token: Option<&str>, of: &str) -> Result<Answer> {
        let message = serde_json::json!({
            "node": {"id": "ztunnel~10.0.0.1~any.istio-system~istio-system.svc.cluster.local"},
            "typeUrl": of,
        });
        self.call(DELTA, &bearer(token), message.to_string().as_bytes())
    }
}

fn bearer(token: Option<&str>) -> Vec<String> {
    token
        .into_iter()
        .map(|token| format!("authorization: Bearer {token}"))
        .collect()
}

/// A signing request that openssl has made.
#[derive(Clone, Debug)]
pub struct Csr {
    /// PEM.
    pub pem: String,
    /// Its file.
    pub path: PathBuf,
}

impl Csr {
    /// Makes one with a fresh ECDSA P-256 key; `uri` is its subjectAltName.
    ///
    /// # Errors
    ///
    /// When openssl fails.
    pub fn make(on: &Machine, name: &str, uri: Option<&str>) -> Result<Self> {
        let (path, key) = (
            on.folder().join(format!("{name}.csr")),
            on.folder().join(format!("{name}.key")),
        );
        let words =
            "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /";
        let mut line: Vec<OsString> = words.split(' ').map(OsString::from).collect();
        line.extend([
            "-keyout".into(),
            (&key).into(),
            "-out".into(),
            (&path).into(),
        ]);
        if let Some(uri) = uri {
            line.extend(["-addext".into(), format!("subjectAltName=URI:{uri}").into()]);
        }
        on.exec(line)?.ok()?;
        Ok(Self {
            pem: fs::read_to_string(&path)?,
            path,
        })
    }
}

/// The certificates of an answer of the CA.
///
/// # Errors
///
/// When it is a refusal, or holds none.
pub fn chain(answer: &Answer) -> Result<Vec<String>> {
    let Answer::Ok(text) = answer else {
        anyhow::bail!("{answer:?}");
    };
    let answer: Value = serde_json::from_str(text)?;
    let chain = answer["certChain"].as_array().context("certChain")?;
    let chain: Vec<String> = chain
        .iter()
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect();
    ensure!(!chain.is_empty(), "an empty chain");
    Ok(chain)
}

/// What openssl reads in the first certificate of a PEM text: its subjectAltName.
///
/// # Errors
///
/// When it is none.
pub fn subject_alternative_name(on: &Machine, pem: &str) -> Result<String> {
    let line = ["openssl", "x509", "-noout", "-ext", "subjectAltName"];
    let text = on.command(line).stdin(pem.as_bytes()).output()?.ok()?;
    let name = text
        .lines()
        .map(str::trim)
        .find(|it| it.contains(':') && !it.starts_with("X509v3"));
    Ok(name.context("no subjectAltName")?.to_owned())
}
