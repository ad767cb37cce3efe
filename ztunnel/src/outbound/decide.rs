//! The decision, and the questions that it may need answered first.
//!
//! In: facts. Out: what the pure decision says of them. Never: lets a connection pass as it is because nobody has
//! answered what its destination is.
//!
//! With everything subscribed the snapshot holds all there is, and the decision is made at once. With discovery on
//! demand (`XDS_ON_DEMAND`) a destination, its waypoint or its endpoints may have to be asked for.

use control::xds::Outcome;
use decision::outbound::{Facts, Planned, Refusal, plan};
use wire::xds::name;

use super::Error;
use crate::proxy::Proxy;

/// The destination's waypoint, and then that waypoint's endpoints, or those of the service itself.
const MAX_QUESTIONS: usize = 3;

/// Decides.
pub(super) async fn decide(proxy: &Proxy, facts: &Facts<'_>) -> Result<Planned, Error> {
    let now = || plan(&proxy.view.borrow(), facts, &mut || fastrand::u64(..));
    if !proxy.demand.is_enabled() {
        return Ok(now()?);
    }
    let (network, ip) = (&facts.source.network, facts.destination.ip());
    let known = proxy.view.borrow().knows(network, ip);
    if !known {
        let name = name::address(network.as_str(), ip);
        match proxy.ask(&name).await {
            Outcome::Present | Outcome::Absent => {}
            Outcome::Unreadable | Outcome::Full | Outcome::Disabled => {
                return Err(Error::Unanswered(name));
            }
        }
    }
    for _ in 0..MAX_QUESTIONS {
        let decided = now();
        let lacking = match &decided {
            Err(Refusal::UnknownWaypoint { waypoint }) => name::gateway(waypoint),
            Err(Refusal::NoHealthyUpstream { service }) => {
                name::service(service.namespace.as_str(), service.hostname.as_str())
            }
            Ok(_)
            | Err(
                Refusal::SelfCall
                | Refusal::UnknownPort { .. }
                | Refusal::NoValidAddress { .. }
                | Refusal::NoGatewayAddress { .. }
                | Refusal::OtherNetwork { .. },
            ) => return Ok(decided?),
        };
        // Whatever it is, the refusal is no way past anything.
        if proxy.ask(&lacking).await != Outcome::Present {
            return Ok(decided?);
        }
    }
    Ok(now()?)
}
