//! What becomes of what is open when policies change.
//!
//! In: what it was let in on, and policies as they are now. Out: whether it may go on. Never: asks an authorizer again, or believes
//! a token again, that was not asked or believed when it came: what cannot be told is cut.
//!
//! | since it was let in | what is open |
//! |---|---|
//! | it is denied now | is cut; before its answer has begun: 403 |
//! | a policy came that nobody here can enforce | the same |
//! | a header is looked at now that nobody looked at before, and the head is gone | is cut; before: it is judged, as the head is there |
//! | another authorizer is to be asked, or another service answers for one | is cut; before: 503 |
//! | one that had not decided and failed open is another in anything, or does not fail open any more | the same: that was no yes |
//! | it is not known whether somebody is to be asked, as the head has changed since it came | the same |
//! | the issuer of its token is not believed any more, or has other keys | the same |
//! | other tokens are believed than before, it had none that was, and policies look at tokens | the same |
//! | who named the client of a request may not speak for others any more | the same |
//! | nothing is known any more of the port | goes on, until something is known |
//!
//! Source: none; Envoy lets what is open end by itself, with its listener's drain time.

use decision::access as decide;
use http::{HeaderMap, HeaderName, StatusCode};
use mesh::{Name, Snapshot, access::jwt::JwtRule};
use telemetry::http::Details;

use super::{
    Set, books, connection,
    facts::{Head, KeptHeader},
    grant::{Kept, LineRef, Terms},
    needs,
};
use crate::{request::reply::Reply, session::Session};

/// Why something that was let in may not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// A policy holds now that cannot be enforced.
    #[error("policy {0} holds now and cannot be enforced")]
    Unenforced(Name),
    /// It is denied now.
    #[error("policies deny it now: {0}")]
    Denied(Details),
    /// It cannot be told.
    #[error("policies have changed, and it cannot be told whether it may go on")]
    Unknown,
}

impl Lost {
    /// What is answered where no answer has begun.
    #[must_use]
    pub fn reply(&self) -> Reply {
        match self {
            Self::Unenforced(policy) => Reply::unenforced(policy),
            Self::Denied(details) => Reply::denied(details.clone()),
            Self::Unknown => Reply::new(StatusCode::SERVICE_UNAVAILABLE, Details::POLICY_CHANGED),
        }
    }

    /// How the log calls it.
    #[must_use]
    pub fn details(&self) -> Details {
        self.reply().details
    }
}

impl Terms {
    /// Looks again, if policies have changed. `line` is what was asked for, `None` where no request is read; `live` are the headers as policies
    /// saw them, where they are still there.
    ///
    /// # Errors
    /// Why it may not go on.
    pub fn look_again(
        &mut self,
        session: &Session,
        line: Option<LineRef<'_>>,
        live: Option<&HeaderMap>,
    ) -> Result<(), Lost> {
        // Before the snapshot: see [`crate::session::Flips`].
        let epoch = session.flips.epoch();
        if epoch == self.seen {
            return Ok(());
        }
        let snapshot = session.proxy.view.load();
        self.judge(session, &snapshot, line, live)?;
        self.seen = epoch;
        Ok(())
    }

    fn judge(
        &mut self,
        session: &Session,
        snapshot: &Snapshot,
        line: Option<LineRef<'_>>,
        live: Option<&HeaderMap>,
    ) -> Result<(), Lost> {
        let Some(settings) = session.settings(snapshot) else {
            return Ok(());
        };
        let table = session.table(snapshot);
        if let Some(policy) = connection::unenforced(settings, table.map(|table| &**table)) {
            return Err(Lost::Unenforced(policy.clone()));
        }
        if session.target.service().is_some() && table.is_none() {
            return Ok(());
        }
        let policies = [Some(&settings.policies), table.map(|table| &table.policies)];
        let plain = table.map(|table| &**table);
        if line.is_none() {
            self.client = connection::client(session, settings, plain);
        } else if self.client != session.client.ip()
            && !connection::believes(session, settings, plain)
        {
            return Err(Lost::Unknown);
        }
        let kept = self.kept();
        if line.is_some() {
            let needs = [
                Some(needs::of_settings(settings)),
                table.map(needs::of_table),
            ];
            let mut headers = needs.iter().flatten().flat_map(|needs| &needs.headers);
            // Nothing is kept of a head that nobody looked at.
            if live.is_none() && !headers.all(|name| has(&kept.headers, name)) {
                return Err(Lost::Unknown);
            }
            // Whom to ask is a question about the head that came, of which no more is left.
            let of_custom = needs.iter().flatten().flat_map(|needs| &needs.custom);
            if let Some(came) = &kept.came
                && !of_custom.into_iter().all(|name| has(&came.headers, name))
            {
                return Err(Lost::Unknown);
            }
            let looks_at_tokens = needs.iter().flatten().any(|needs| needs.tokens);
            if !believes(kept, policies, looks_at_tokens) {
                return Err(Lost::Unknown);
            }
        }
        let seen = self.facts(session, line, live.map(Head::Live));
        let books = books(policies);
        let came = self.facts_that_came(session, line, live.map(Head::Live));
        let is_let_by = |custom: &decide::Custom<'_>| {
            let mut asked = kept.asked.iter();
            asked.any(|asked| asked.counts_for(custom.external))
        };
        if !decide::custom(&books, &came).iter().all(is_let_by) {
            return Err(Lost::Unknown);
        }
        match decide::authorize(&books, &seen).enforced.details() {
            None => Ok(()),
            Some(details) => Err(Lost::Denied(details.into())),
        }
    }
}

/// Whether it is known what a header was.
fn has(kept: &[KeptHeader], name: &HeaderName) -> bool {
    kept.iter().any(|(found, _)| found == name)
}

/// Whether what was believed of its tokens is believed now.
fn believes(kept: &Kept, policies: Set<'_>, looks_at_tokens: bool) -> bool {
    let now = || {
        let both = policies.iter().flatten();
        both.flat_map(|policies| &policies.authentication)
    };
    let Some(token) = &kept.token else {
        // It may have one that nobody looked at, or not there.
        return !looks_at_tokens || now().eq(&kept.authentication);
    };
    let of_issuer = |rule: &&JwtRule| &*rule.issuer == token.issuer();
    let mut rules = now().flat_map(|policy| &policy.rules).filter(of_issuer);
    rules.any(|rule| {
        let before = kept.authentication.iter();
        let mut before = before.flat_map(|policy| &policy.rules).filter(of_issuer);
        before.any(|old| {
            old.keys == rule.keys
                && old.audiences == rule.audiences
                && old.space_delimited_claims == rule.space_delimited_claims
        })
    })
}
