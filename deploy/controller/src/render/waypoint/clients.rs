//! What a waypoint is told to do about clients: annotations of its Gateway or class, and `gatewayTopology` (ID-12, IN-01, IN-03).
//!
//! In: a Gateway, its class, MeshConfig. Out: what is on, the topology, and a condition for what is not as it is written. Never: trusts
//! anybody: a topology only says how those count whom a TrafficPolicy names.

use super::Found;
use crate::{
    objects::{ClientSwitches, ForwardClientCert, GatewayTopology, MeshConfig},
    status::{Condition, UNSUPPORTED_VALUE},
};

/// The type of the condition. Source: Gateway API, `GatewayConditionAccepted`.
const ACCEPTED: &str = "Accepted";
/// Source: Gateway API, `GatewayReasonInvalid`.
const INVALID: &str = "Invalid";

/// What a waypoint is told to do about clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients<'a> {
    /// Applications get `x-forwarded-client-cert: URI=<client>`.
    pub include_client_certificate: bool,
    /// Destinations are told who the client is.
    pub tell_client: bool,
    /// What stands before it, or why that cannot be known.
    pub topology: Option<Result<&'a GatewayTopology, &'a str>>,
    /// The topology is that of the MeshConfig, which is for other gateways, too.
    is_of_mesh: bool,
    /// What is not as it is written. **Shape**: sentences without a full stop.
    problems: Vec<String>,
}

/// What becomes of the addresses of a waypoint's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Nobody speaks for others.
    OfPeers,
    /// Those that a TrafficPolicy lists do.
    OfListed,
    /// Some are listed, and what counts of their word cannot be known: the waypoint is closed.
    Unknown,
}

/// What is told to a waypoint. A Gateway's own word counts before that of its class; a topology's `SANITIZE_SET` where neither speaks.
#[must_use]
pub fn clients<'a>(found: Found<'a>, config: &'a MeshConfig) -> Clients<'a> {
    let own = found.gateway.topology.as_ref();
    let topology = own.or(config.gateway_topology.as_ref());
    let mut problems = Vec::new();
    let sets = match topology {
        None => false,
        Some(Err(why)) => {
            problems.push(format!("{why}: nothing of gatewayTopology is in force"));
            false
        }
        Some(Ok(topology)) => match &topology.forward {
            ForwardClientCert::SanitizeSet => true,
            ForwardClientCert::Unsaid | ForwardClientCert::Sanitize => false,
            ForwardClientCert::Refused(why) => {
                problems.push(format!("{why}; it is taken as SANITIZE"));
                false
            }
        },
    };
    let include = switch(found, |it| it.include_client_certificate.as_ref());
    let tell = switch(found, |it| it.tell_client.as_ref());
    for problem in [include.as_ref(), tell.as_ref()].into_iter().flatten() {
        problems.extend(problem.as_ref().err().cloned());
    }
    let is_on = |switch: Option<Result<bool, String>>, default: bool| {
        switch.map_or(default, |it| it.unwrap_or(false))
    };
    Clients {
        include_client_certificate: is_on(include, sets),
        tell_client: is_on(tell, false),
        topology: topology.map(|it| it.as_ref().map_err(String::as_str)),
        is_of_mesh: own.is_none(),
        problems,
    }
}

/// What a Gateway says of a switch, else its class; or a sentence about what is wrong with it: it is off then, whatever the class says.
fn switch<'a>(
    found: Found<'a>,
    of: impl Fn(&'a ClientSwitches) -> Option<&'a Result<bool, String>>,
) -> Option<Result<bool, String>> {
    if let Some(own) = of(&found.gateway.clients) {
        return Some(own.clone().map_err(|why| format!("{why}; it is off")));
    }
    let class = found.class?;
    let said = of(&class.clients)?.clone();
    Some(said.map_err(|why| format!("GatewayClass {}: {why}; it is off", class.meta.name)))
}

impl Clients<'_> {
    /// The condition of the Gateway, where there is anything to be said of it.
    #[must_use]
    pub fn condition(&self, found: Found<'_>, addresses: Addresses) -> Option<Condition> {
        let meta = &found.gateway.meta;
        let mut texts = self.problems.clone();
        let mut is_unsupported = !texts.is_empty();
        let says_something = self.topology.is_some_and(|it| {
            it.is_ok_and(|it| it.proxy_protocol || it.trusted_proxies.is_some_and(|it| it > 0))
        });
        match addresses {
            Addresses::OfListed => {}
            Addresses::OfPeers if says_something => {
                // Of the mesh's, most gateways have no use, and it is none of their faults.
                is_unsupported |= !self.is_of_mesh;
                texts.push(format!(
                    "gatewayTopology{}: nobody is trusted: x-forwarded-for and PROXY headers count only from those whom spec.clientAddress.trustedPeers of a TrafficPolicy for Gateway {}/{} lists",
                    if self.is_of_mesh { " of the MeshConfig" } else { "" },
                    meta.namespace,
                    meta.name
                ));
            }
            Addresses::OfPeers => {}
            Addresses::Unknown => texts.push(format!(
                "a TrafficPolicy lists trustedPeers and leaves numTrustedProxies and proxyProtocol to it: every request to Gateway {}/{} is answered with 403 and every connection ended",
                meta.namespace, meta.name
            )),
        }
        if texts.is_empty() {
            return None;
        }
        let is_closed = addresses == Addresses::Unknown;
        Some(Condition {
            kind: ACCEPTED,
            status: !is_closed,
            reason: match (is_closed, is_unsupported) {
                (true, _) => INVALID,
                (false, true) => UNSUPPORTED_VALUE,
                (false, false) => ACCEPTED,
            },
            message: texts.join("; "),
        })
    }
}

#[cfg(test)]
mod tests;
