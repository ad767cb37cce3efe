//! Whether a connection may pass of which no request is read (AZ-10).
//!
//! In: a session. Out: a [`Grant`], or why not. Never: reads a byte of it. Fields that only a request has are taken as AZ-05 says:
//! a rule that allows by one never matches, any other is taken without it.
//!
//! Order: as for requests, without tokens: CUSTOM, DENY, ALLOW. An authorizer that is asked by HTTP cannot be asked about a connection,
//! which is closed then.

use std::{net::IpAddr, sync::Arc};

use decision::access as decide;
use mesh::{Name, access::ClientAddress, route::RouteTable, settings::WaypointSettings};
use telemetry::http::Details;

use super::{
    Set, asks_something, books, external,
    facts::Seen,
    grant::{Basis, Grant, Kept, Terms},
    needs, told, wanted,
};
use crate::{request::client, session::Session};

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It is not known which policies hold.
    #[error("it is not known which policies hold")]
    Unknown,
    /// A policy holds that nobody here can enforce.
    #[error("policy {0} cannot be enforced on a connection whose bytes are not looked at")]
    Unenforced(Name),
    /// A policy denies it, or none allows it.
    #[error("policies deny it: {0}")]
    Denied(Details),
    /// An authorizer denies it, or cannot be asked.
    #[error("{0}")]
    External(#[source] external::Refused),
}

/// Lets a connection in, or not.
///
/// # Errors
/// Why not.
pub async fn admit(session: &Arc<Session>) -> Result<Grant, Refused> {
    // Before the snapshot: see [`crate::session::Flips`].
    let seen = session.flips.epoch();
    let (settings, table) = {
        let snapshot = session.proxy.view.borrow();
        let settings = session.settings(&snapshot).ok_or(Refused::Unknown)?;
        (Arc::clone(settings), session.table(&snapshot).cloned())
    };
    if session.target.service().is_some() && table.is_none() {
        return Err(Refused::Unknown);
    }
    if let Some(policy) = unenforced(&settings, table.as_deref()) {
        return Err(Refused::Unenforced(policy.clone()));
    }
    let policies = [
        Some(&settings.policies),
        table.as_ref().map(|table| &table.policies),
    ];
    let client = client(session, &settings, table.as_deref());
    let kept = if asks_something(policies) {
        needs::tell_of_requests(&settings, table.as_ref());
        Some(Box::pin(judge(session, client, policies)).await?)
    } else {
        None
    };
    Ok(Grant::new(Basis {
        session: Arc::clone(session),
        terms: Terms::new(seen, client, kept),
        request: None,
    }))
}

/// The first policy that holds and that nobody here can enforce.
#[must_use]
pub fn unenforced<'p>(
    settings: &'p WaypointSettings,
    table: Option<&'p RouteTable>,
) -> Option<&'p Name> {
    let of_port = table.and_then(|table| table.unenforced.first());
    settings.unenforced.first().or(of_port)
}

/// Where the client is.
#[must_use]
pub(super) fn client(
    session: &Session,
    settings: &WaypointSettings,
    table: Option<&RouteTable>,
) -> IpAddr {
    client::of_connection(session, client_address(settings, table)).ip()
}

/// Whether the peer may speak for others.
#[must_use]
pub(super) fn believes(
    session: &Session,
    settings: &WaypointSettings,
    table: Option<&RouteTable>,
) -> bool {
    let policy = client_address(settings, table);
    policy.is_some_and(|policy| client::trusts(policy, session.identity()))
}

fn client_address<'p>(
    settings: &'p WaypointSettings,
    table: Option<&'p RouteTable>,
) -> Option<&'p ClientAddress> {
    let of_table = table.and_then(|table| table.client_address.as_ref());
    of_table.or(settings.client_address.as_ref())
}

async fn judge(session: &Arc<Session>, client: IpAddr, policies: Set<'_>) -> Result<Kept, Refused> {
    let books = books(policies);
    // What it borrows must not be held while somebody is asked.
    let wanted = wanted(&books, &Seen::new(session, client, None));
    let asked = external::check_connection(session, client, &wanted);
    let asked = asked.await.map_err(Refused::External)?;
    let seen = Seen::new(session, client, None);
    let verdict = decide::authorize(&books, &seen);
    told::judged(&books, &seen, &verdict);
    match verdict.enforced.details() {
        Some(details) => Err(Refused::Denied(details.into())),
        None => Ok(Kept {
            asked,
            ..Kept::default()
        }),
    }
}
