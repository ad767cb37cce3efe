//! What becomes of each object, as conditions.
//!
//! In: one object and a [`super::Lookup`]. Out: its conditions. Never: says anything of parents that waypoints are not
//! responsible for (Gateways).
//!
//! A route has conditions for each of its parents. They stand in one list, as objects here have one: the message names the
//! parent where there are several, and of several that agree there is one.
//!
//! Sources: Gateway API, `RouteConditionType` and its reasons; GEP-1364. `WaypointAccepted` as istiod words it (WPT-09).

mod istio;
mod route;
mod traffic_policy;

pub use istio::{destination_rule, virtual_service};
pub use route::{grpc_route, http_route, tcp_route, tls_route};
pub use traffic_policy::{envoy_filter, traffic_policy};

use super::notes::{Notes, message};
use crate::status::{Condition, UNSUPPORTED_VALUE};

/// Whether a route is attached. Source: Gateway API, `RouteConditionAccepted`.
pub const ACCEPTED: &str = "Accepted";
/// Whether all that it refers to can be had. Source: `RouteConditionResolvedRefs`.
pub const RESOLVED_REFS: &str = "ResolvedRefs";
/// Whether some of its rules are not in force as they are written. Source: `RouteConditionPartiallyInvalid`.
pub const PARTIALLY_INVALID: &str = "PartiallyInvalid";

/// What is said where no service is in front of which a waypoint stands.
const NO_WAYPOINT: &str = "it has no effect until a waypoint stands before the service";

/// `ResolvedRefs`.
fn resolved(notes: &Notes) -> Condition {
    let reason = notes.unresolved.first().map(|(reason, _)| *reason);
    Condition {
        kind: RESOLVED_REFS,
        status: reason.is_none(),
        reason: reason.unwrap_or(RESOLVED_REFS),
        message: match reason {
            None => "all references are resolved".to_owned(),
            Some(_) => message(notes.unresolved.iter().map(|(_, text)| text)),
        },
    }
}

/// The condition `kind` of something that is in force, as far as its notes say.
fn accepted(kind: &'static str, notes: &Notes, remark: Option<&str>) -> Condition {
    let mut texts: Vec<String> = notes.ignored.iter().cloned().collect();
    let reason = if texts.is_empty() {
        ACCEPTED
    } else {
        UNSUPPORTED_VALUE
    };
    if texts.is_empty() && remark.is_none() {
        texts.push("attached to the waypoint".to_owned());
    }
    texts.extend(remark.map(str::to_owned));
    Condition {
        kind,
        status: true,
        reason,
        message: message(&texts),
    }
}
