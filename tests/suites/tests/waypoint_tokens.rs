//! Tokens at the waypoint: RequestAuthentication with unmodified clients; tokens signed by openssl and by PyJWT; hosts of keys
//! in the mesh and outside of it; those that fail or lie; those who try to pass with something else.

#[path = "waypoint_tokens/attacks.rs"]
mod attacks;
#[path = "waypoint_tokens/claims.rs"]
mod claims;
#[path = "waypoint_tokens/flips.rs"]
mod flips;
#[path = "waypoint_tokens/forged.rs"]
mod forged;
#[path = "waypoint_tokens/hosts.rs"]
mod hosts;
#[path = "waypoint_tokens/keys.rs"]
mod keys;
#[path = "waypoint_tokens/login.rs"]
mod login;

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use lab::{PodSpec, ServiceSpec};
use suites::asked::Issuer;
use suites::waypoint::{Answer, Curl, Ground, authorization_policy, request_authentication};

const ISSUER: &str = "https://issuer.example";
const OTHER: &str = "https://other.example";
const WEB: &str = "targetRefs: [{kind: Service, group: '', name: web}]";

const FORM: &str =
    "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
const NO_KEY: &str = "Jwks doesn't have key to match kid or alg from Jwt";
const NOT_FETCHED: &str = "Jwks remote fetch is failed";
const NOT_SIGNED: &str = "Jwt verification fails";
const DENIED: &str = "RBAC: access denied";

/// A RequestAuthentication for `web`; each rule is what stands between the braces of a `jwtRules[]`.
fn authentication(rules: &[String]) -> String {
    let mut spec = format!("{WEB}\njwtRules:\n");
    for rule in rules {
        // Writing to a text cannot fail.
        let _ = writeln!(spec, "- {{{rule}}}");
    }
    request_authentication("tokens", &spec)
}

/// A rule with the public keys of `issuers` in it.
fn inline(issuer: &str, issuers: &[&Issuer], more: &str) -> Result<String> {
    let keys = Issuer::set(issuers)?;
    Ok(format!("issuer: '{issuer}', jwks: '{keys}'{more}"))
}

/// A rule with keys at an address.
fn at(issuer: &str, uri: &str, more: &str) -> String {
    format!("issuer: '{issuer}', jwksUri: '{uri}'{more}")
}

/// An AuthorizationPolicy for `web` that lets nobody in without a token.
fn only_tokens() -> String {
    let rules = "rules:\n- from: [{source: {requestPrincipals: ['*']}}]\n";
    authorization_policy("only-tokens", &format!("{WEB}\n{rules}"))
}

fn bearer<'g>(ground: &'g Ground, path: &str, token: &str) -> Curl<'g> {
    ground
        .get(path)
        .header(&format!("authorization: Bearer {token}"))
}

fn passes(request: &Curl<'_>) -> Result<Answer> {
    let answer = request.send()?;
    ensure!(
        answer.status == 200 && !answer.pod().is_empty(),
        "{answer:?}"
    );
    Ok(answer)
}

/// That the waypoint itself refuses it, with this status and text.
fn refuses(request: &Curl<'_>, status: u16, text: &str) -> Result<Answer> {
    let answer = request.send()?;
    is_refusal(&answer, status, text)?;
    Ok(answer)
}

fn is_refusal(answer: &Answer, status: u16, text: &str) -> Result<()> {
    ensure!(
        answer.status == status && answer.text() == text,
        "expected {status} {text:?}: {answer:?}"
    );
    ensure!(answer.pod().is_empty(), "a backend was reached: {answer:?}");
    if text != DENIED {
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        let told = challenge.starts_with("Bearer realm=\"http://")
            && challenge.ends_with("\", error=\"invalid_token\"");
        ensure!(told, "{challenge}: {answer:?}");
    }
    Ok(())
}

/// What the access log says of such a refusal.
fn details(text: &str) -> String {
    format!("jwt_authn_access_denied{{{}}}", text.replace(' ', "_"))
}

/// A pod for a host of keys, in the mesh, and a service that leads to its port 8080.
fn with_host(builder: suites::waypoint::Builder, name: &str) -> suites::waypoint::Builder {
    let service = ServiceSpec::new(name).namespace("shop");
    builder
        .pod(
            PodSpec::new(name)
                .node(1)
                .namespace("shop")
                .label("app", name),
        )
        .service(service.named_port("http", 80, 8080).backend(name))
}
