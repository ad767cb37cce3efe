//! Whether a connection may reach a workload, by its layer-4 policies.
//!
//! In: a snapshot and what is known of the connection. Out: a [`Verdict`]. Never: awaits, logs, reads a clock.
//!
//! Order: any DENY that matches denies; without an ALLOW policy the connection is allowed; any ALLOW that matches
//! allows; else it is denied. Policies that apply are those of the mesh, those of the destination's namespace and
//! those that the destination lists. Source: Istio AuthorizationPolicy, implicit enablement.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use mesh::{
    PolicyKey, Snapshot, SpiffeId, Workload,
    authorization::Action,
    policy::{Applicable, Mode, PolicyIndex, Query},
};

pub mod oracle;

/// What policies look at.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// The workload that is to be reached.
    pub destination: &'a Workload,
    /// Who the peer is by its certificate; `None` for plaintext. Never taken from an address or a header.
    pub identity: Option<&'a SpiffeId>,
    /// For whom the peer comes, as it says itself: taken only from a peer that is the destination's own waypoint, and then beside
    /// `identity`, never in its place. A field about the source's identity holds if it holds for one of the two, and its
    /// `not` form only if it does for neither. It is no word about addresses.
    pub behind: Option<&'a SpiffeId>,
    /// The address that the connection comes from.
    pub source_ip: IpAddr,
    /// The workload's own address and the port on which the application is to be reached.
    pub destination_addr: SocketAddr,
}

/// What the policies say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What is to happen.
    pub enforced: Outcome,
    /// What dry-run policies would add; `None` where none applies. For the log only.
    pub dry_run: Option<Box<DryRun>>,
}

/// Allowed or not, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It may pass.
    Allow {
        /// The ALLOW policy of the smallest key that matches; `None` where there is no ALLOW policy.
        by: Option<PolicyKey>,
    },
    /// It may not.
    Deny(Denial),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A DENY policy matches; of several, the one of the smallest key.
    Explicit(PolicyKey),
    /// There are ALLOW policies, and none matches.
    NotAllowed,
}

/// What dry-run policies would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// The dry-run DENY policy of the smallest key that matches.
    pub denied_by: Option<PolicyKey>,
    /// The dry-run ALLOW policy of the smallest key that matches.
    pub allowed_by: Option<PolicyKey>,
    /// What would happen if the dry-run policies were enforced beside the others.
    pub outcome: Outcome,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Explicit(policy) => write!(f, "explicitly denied by: {policy}"),
            Self::NotAllowed => f.write_str("allow policies exist, but none allowed"),
        }
    }
}

/// Decides by the policies of a snapshot.
#[must_use]
pub fn authorize(snapshot: &Snapshot, connection: &Connection<'_>) -> Verdict {
    evaluate(snapshot.policies(), connection)
}

/// Decides by policies alone.
#[must_use]
pub fn evaluate(policies: &PolicyIndex, connection: &Connection<'_>) -> Verdict {
    let applicable = policies.applicable(connection.destination);
    let any = |mode| {
        [Action::Allow, Action::Deny]
            .into_iter()
            .any(|action| applicable.exists(mode, action))
    };
    let (enforced, dry_run) = (any(Mode::Enforced), any(Mode::DryRun));
    if !enforced && !dry_run {
        return Verdict {
            enforced: Outcome::Allow { by: None },
            dry_run: None,
        };
    }
    let mut query = Query::new(
        connection.identity,
        connection.source_ip,
        connection.destination_addr,
    );
    if let Some(client) = connection.behind {
        query = query.behind(client);
    }
    let enforced = Findings::new(&applicable, Mode::Enforced, &query);
    let dry_run = dry_run.then(|| {
        let found = Findings::new(&applicable, Mode::DryRun, &query);
        let outcome = enforced.beside(found).outcome();
        Box::new(DryRun {
            denied_by: found.denied_by.cloned(),
            allowed_by: found.allowed_by.cloned(),
            outcome,
        })
    });
    Verdict {
        enforced: enforced.outcome(),
        dry_run,
    }
}

/// What matches among the policies of one mode.
#[derive(Clone, Copy, Debug)]
struct Findings<'a> {
    denied_by: Option<&'a PolicyKey>,
    allowed_by: Option<&'a PolicyKey>,
    /// Whether there are ALLOW policies.
    must_be_allowed: bool,
}

impl<'a> Findings<'a> {
    fn new(applicable: &Applicable<'a>, mode: Mode, query: &Query) -> Self {
        let denied_by = applicable.first_match(mode, Action::Deny, query);
        let must_be_allowed = applicable.exists(mode, Action::Allow);
        // An enforced denial needs no second question.
        let ask = must_be_allowed && (denied_by.is_none() || mode == Mode::DryRun);
        let allowed_by = ask
            .then(|| applicable.first_match(mode, Action::Allow, query))
            .flatten();
        Self {
            denied_by,
            allowed_by,
            must_be_allowed,
        }
    }

    fn beside(self, other: Self) -> Self {
        let smaller =
            |a: Option<&'a PolicyKey>, b: Option<&'a PolicyKey>| a.into_iter().chain(b).min();
        Self {
            denied_by: smaller(self.denied_by, other.denied_by),
            allowed_by: smaller(self.allowed_by, other.allowed_by),
            must_be_allowed: self.must_be_allowed || other.must_be_allowed,
        }
    }

    fn outcome(self) -> Outcome {
        match (self.denied_by, self.allowed_by) {
            (Some(policy), _) => Outcome::Deny(Denial::Explicit(policy.clone())),
            (None, Some(policy)) => Outcome::Allow {
                by: Some(policy.clone()),
            },
            (None, None) if self.must_be_allowed => Outcome::Deny(Denial::NotAllowed),
            (None, None) => Outcome::Allow { by: None },
        }
    }
}

#[cfg(test)]
mod tests;
