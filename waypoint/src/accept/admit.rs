//! Whether a CONNECT may go on, and everything that its session is made of.
//!
//! In: the head of a CONNECT, the tunnel that it came in. Out: [`Admitted`], or why not. Never: a decision of its own:
//! [`decision::waypoint`] makes it, here are the facts.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use decision::{
    inbound::Authority,
    waypoint::{self, Accepted, Facts, Serves, Target},
};
use mesh::{Endpoints, Snapshot, route::RouteKey, service::AppProtocol, workload::Health};
use wire::{authority, connect::ConnectHead};

use crate::{
    accept::{error::Error, proxied::Proxying, tunnel::Tunnel},
    detect::{Declared, Protocol},
    proxy::Own,
    session::{Ending, Flips, Proxied, Session},
};

/// How long a CONNECT is held that comes before the first configuration is whole.
const TIMEOUT_CONFIGURED: Duration = Duration::from_secs(5);
/// How long one is held that asks for what this waypoint does not stand before, yet: its ztunnel may have heard of a change first.
const TIMEOUT_NEWS: Duration = Duration::from_secs(1);

/// A CONNECT that may go on.
#[derive(Debug)]
pub(super) struct Admitted {
    accepted: Accepted,
    /// How its connection is looked at.
    pub(super) declared: Declared,
    /// How long, if nobody has declared what it speaks; `None`: for ever.
    pub(super) timeout: Option<Duration>,
    /// Whether there are rules of HTTP for what it asks for.
    pub(super) has_http_rules: bool,
    /// What is asked of its first bytes.
    pub(super) proxying: Proxying,
}

/// Who we are, as decisions see it.
pub(crate) fn own(own: &Own) -> waypoint::Own<'_> {
    waypoint::Own {
        ip: own.instance_ip,
        network: &own.network,
        trust_domain: &own.identity.trust_domain,
        service: &own.service,
    }
}

/// What we stand before: nothing, as long as nobody says what.
pub(crate) fn serves(own: &Own, snapshot: &Snapshot) -> Serves {
    let settings = snapshot.waypoint_settings(&own.namespace, &own.gateway);
    Serves {
        services: settings.is_some_and(|settings| settings.serves_services),
        workloads: settings.is_some_and(|settings| settings.serves_workloads),
    }
}

/// How many of these are there to be given connections.
pub(super) fn healthy(endpoints: &Endpoints) -> usize {
    let is_healthy = |health: Health| match health {
        Health::Healthy => true,
        Health::Unhealthy => false,
    };
    endpoints
        .iter()
        .filter(|workload| is_healthy(workload.health))
        .count()
}

/// Decides on a CONNECT.
pub(super) async fn admit(tunnel: &Tunnel, head: &ConnectHead) -> Result<Admitted, Error> {
    let proxy = tunnel.proxy();
    if tokio::time::timeout(TIMEOUT_CONFIGURED, proxy.configured.wait())
        .await
        .is_err()
    {
        return Err(Error::NotConfigured);
    }
    let first = decide(tunnel, head, &proxy.view.borrow());
    let may_pass = match &first {
        Err(Error::Refused(refusal)) => refusal.may_pass(),
        Err(Error::NoSettings { .. }) => true,
        Ok(_) | Err(_) => false,
    };
    if !may_pass {
        return first;
    }
    let deadline = net::clock::now() + TIMEOUT_NEWS;
    let news = proxy
        .view
        .wait_until(|snapshot| decide(tunnel, head, snapshot).ok(), deadline);
    match news.await {
        Ok(admitted) => Ok(admitted),
        Err(_elapsed) => first,
    }
}

fn decide(tunnel: &Tunnel, head: &ConnectHead, snapshot: &Snapshot) -> Result<Admitted, Error> {
    let proxy = tunnel.proxy();
    let settings = snapshot
        .waypoint_settings(&proxy.own.namespace, &proxy.own.gateway)
        .ok_or_else(|| Error::NoSettings {
            gateway: proxy.own.gateway.clone(),
        })?;
    // Behind another network's gateway the address is the gateway's.
    let is_remote = head
        .network
        .as_ref()
        .is_some_and(|network| !network.eq_ignore_ascii_case(&proxy.own.network));
    let facts = Facts {
        serves: serves(&proxy.own, snapshot),
        peer: (!is_remote).then(|| tunnel.addresses().peer.ip()),
        identity: &tunnel.certificate().id,
        authority: match &head.authority {
            authority::Authority::Address(address) => Authority::Address(*address),
            authority::Authority::Hostname { hostname, port } => Authority::Hostname {
                hostname: hostname.as_str(),
                port: *port,
            },
        },
    };
    let accepted = waypoint::accept(snapshot, &own(&proxy.own), &facts)?;
    Ok(Admitted {
        declared: protocol(snapshot, &accepted.target).into(),
        timeout: settings.protocol_detection_timeout,
        has_http_rules: has_http_rules(snapshot, &accepted.target),
        proxying: Proxying::of(snapshot, settings, &accepted.target, facts.identity),
        accepted,
    })
}

/// What the target's port speaks. A workload's is what a service says of the port that leads to it; the first by name, where several do.
fn protocol(snapshot: &Snapshot, target: &Target) -> AppProtocol {
    match target {
        Target::Service { service, port } => service.protocol(*port),
        Target::Workload { workload, port, .. } => {
            let mut found: Option<(&mesh::ServiceKey, u16)> = None;
            for (key, ports) in &workload.services {
                let leads_here = ports
                    .0
                    .keys()
                    .find(|service_port| ports.target(**service_port) == Some(*port));
                if let Some(service_port) = leads_here
                    && found.is_none_or(|(first, _)| key < first)
                {
                    found = Some((key, *service_port));
                }
            }
            found
                .and_then(|(key, port)| Some(snapshot.service(key)?.protocol(port)))
                .unwrap_or_default()
        }
    }
}

fn has_http_rules(snapshot: &Snapshot, target: &Target) -> bool {
    let Some(service) = target.service() else {
        return false;
    };
    snapshot
        .routes(&RouteKey::new(service.key(), target.port()))
        // Where nothing was told, nobody knows; it will be refused.
        .is_none_or(|table| {
            table.http.is_some() || !table.consumers.is_empty() || !table.unenforced.is_empty()
        })
}

impl Admitted {
    /// The session that it becomes.
    pub(super) fn session(
        &self,
        tunnel: &Tunnel,
        protocol: Protocol,
        sni: Option<Arc<str>>,
        proxied: Option<Proxied>,
    ) -> Arc<Session> {
        let Accepted {
            target,
            destination,
            source,
        } = &self.accepted;
        Arc::new(Session {
            proxy: Arc::clone(tunnel.proxy()),
            worker: Arc::clone(tunnel.upstream()),
            client: tunnel.addresses().peer,
            proxied,
            peer: Arc::clone(tunnel.certificate()),
            source: source.clone(),
            target: target.clone(),
            destination: *destination,
            protocol,
            sni,
            opened: net::clock::now(),
            ending: Ending::default(),
            flips: Flips::default(),
            certified: OnceLock::new(),
        })
    }
}
