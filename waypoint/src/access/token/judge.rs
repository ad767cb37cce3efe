//! Whose a token is, and whether it is believed.
//!
//! In: tokens, and the rules that look where they were found. Out: by which rule each is believed, or the first refusal. Never: asks for
//! the keys of an issuer for a token that is not its own, or not for now, or not for us.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use jwt::{KeySet, Refusal, Token, Verified};

use super::{
    compiled::{Rule, RuleKeys},
    place::{Candidate, Spot},
};
use crate::{access::keys::Asker, proxy::Proxy};

/// What a request is judged with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) proxy: &'a Arc<Proxy>,
    pub(super) rules: &'a [&'a Rule],
    pub(super) wall: SystemTime,
    pub(super) now: Instant,
}

/// A token that is believed.
#[derive(Debug)]
pub(super) struct Believed {
    /// The place of the rule that does.
    pub(super) rule: usize,
    pub(super) token: Verified,
}

/// Judges all tokens of a request.
pub(super) async fn all<'r>(
    asked: Asked<'_>,
    found: Vec<Candidate<'r>>,
) -> Result<Vec<(Spot<'r>, Believed)>, Refusal> {
    let mut believed = Vec::with_capacity(found.len());
    for candidate in found {
        let by = one(asked, &candidate).await?;
        believed.push((candidate.spot, by));
    }
    Ok(believed)
}

/// The first rule that believes a token does. Of several refusals the one that says most is told: Envoy's choice.
async fn one(asked: Asked<'_>, candidate: &Candidate<'_>) -> Result<Believed, Refusal> {
    let mut refusal = Refusal::UnknownIssuer;
    for reading in &candidate.readings {
        let mut token = match Token::parse(&reading.text) {
            Ok(token) => token,
            Err(other) => {
                refusal = other;
                continue;
            }
        };
        for index in &reading.rules {
            let Some(rule) = asked.rules.get(*index) else {
                continue;
            };
            match by(asked, rule, &mut token).await {
                Ok(token) => {
                    return Ok(Believed {
                        rule: *index,
                        token,
                    });
                }
                Err(Refusal::UnknownIssuer) => {}
                Err(other) => refusal = other,
            }
        }
    }
    Err(refusal)
}

/// Whether one rule believes a token.
async fn by(asked: Asked<'_>, rule: &Rule, token: &mut Token<'_>) -> Result<Verified, Refusal> {
    token.check(&rule.issuer, &rule.audiences, asked.wall)?;
    let verify = |token: &mut Token<'_>, keys: &KeySet| token.verify(keys, &rule.space_delimited);
    match &rule.keys {
        RuleKeys::Inline(keys) => verify(token, keys.as_ref().map_err(|refusal| *refusal)?),
        RuleKeys::Fetched(issuer) => {
            let asker = Asker {
                proxy: Some(asked.proxy),
                timeout: rule.timeout,
                now: asked.now,
            };
            let keys = issuer.keys(asker).await?;
            match verify(token, &keys) {
                // An issuer that has a new key uses it at once.
                Err(refusal) if refusal.asks_for_keys() => match issuer.newer(&keys, asker).await {
                    Some(newer) => verify(token, &newer),
                    None => Err(refusal),
                },
                verified => verified,
            }
        }
    }
}
