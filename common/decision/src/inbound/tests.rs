//! Inbound admission: a small mesh to be admitted to, and the rules in files by what they are about.

use super::{
    Admitted, Arrival, Authority, Claim, Facts, Flag, Refusal, Speakers, Status, admit, may_speak,
};
use mesh::authorization::{Action, Clause, Match, Rule, Scope};
use mesh::service::{NetworkAddress, PortMap};
use mesh::workload::{ApplicationProtocol, ApplicationTunnel};
use mesh::{
    Authorization, Delta, PolicyKey, Resource, Service, ServiceKey, Snapshot, SpiffeId, Workload,
};
use std::{collections::HashMap, num::NonZeroU16, sync::Arc};

mod admission;
mod behind;
mod target;

const POD: &str = "10.0.1.7:15008";
const CLIENT: &str = "10.0.0.5:51234";

fn workload(uid: &str, namespace: &str, service_account: &str, ips: &[&str]) -> Workload {
    Workload {
        uid: uid.into(),
        namespace: namespace.into(),
        service_account: service_account.into(),
        ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        ..Workload::default()
    }
}

fn server() -> Workload {
    let services = HashMap::from([(
        ServiceKey::new("default", "reviews.default.svc.cluster.local"),
        PortMap([(80, NonZeroU16::new(9080))].into()),
    )]);
    Workload {
        services,
        ..workload("server", "default", "reviews", &["10.0.1.7", "fd00::7"])
    }
}

fn reviews() -> Service {
    Service {
        name: "reviews".into(),
        namespace: "default".into(),
        hostname: "reviews.default.svc.cluster.local".into(),
        vips: vec![vip("10.96.0.12")],
        ports: PortMap([(80, NonZeroU16::new(8080)), (81, None)].into()),
        ..Service::default()
    }
}

fn vip(ip: &str) -> NetworkAddress {
    NetworkAddress {
        network: "".into(),
        ip: ip.parse().unwrap(),
        prefix_length: None,
    }
}

fn other(hostname: &str, ip: &str) -> Service {
    Service {
        hostname: hostname.into(),
        vips: vec![vip(ip)],
        name: hostname.into(),
        ..reviews()
    }
}

fn policy(action: Action, one: Match) -> Authorization {
    let rules = vec![Rule {
        clauses: vec![Clause { matches: vec![one] }],
    }];
    Authorization {
        key: PolicyKey::new("default", "p"),
        scope: Scope::Namespace,
        action,
        dry_run: false,
        rules,
    }
}

fn put(snapshot: &Snapshot, upserts: Vec<Resource>) -> Snapshot {
    snapshot.apply(Delta {
        upserts,
        removals: Vec::new(),
    })
}

fn with_policy(snapshot: &Snapshot, policy: Authorization) -> Snapshot {
    put(snapshot, vec![Resource::Authorization(Arc::new(policy))])
}

fn with_workload(snapshot: &Snapshot, workload: Workload) -> Snapshot {
    put(snapshot, vec![Resource::Workload(Arc::new(workload))])
}

fn with_service(snapshot: &Snapshot, service: Service) -> Snapshot {
    put(snapshot, vec![Resource::Service(Arc::new(service))])
}

/// A client, a server, and the service that it is an endpoint of.
fn mesh() -> Snapshot {
    let client = workload("client", "client", "web", &["10.0.0.5", "fd00::5"]);
    let snapshot = with_workload(&Snapshot::default(), client);
    with_service(&with_workload(&snapshot, server()), reviews())
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn web() -> SpiffeId {
    id("spiffe://cluster.local/ns/client/sa/web")
}

fn tunnel_as(
    snapshot: &Snapshot,
    identity: &SpiffeId,
    authority: &str,
) -> Result<Admitted, Refusal> {
    tunnel_for(snapshot, identity, authority, Claim::None, None)
}

fn tunnel_for(
    snapshot: &Snapshot,
    identity: &SpiffeId,
    authority: &str,
    claim: Claim<'_>,
    network: Option<&str>,
) -> Result<Admitted, Refusal> {
    let authority = match authority.parse() {
        Ok(address) => Authority::Address(address),
        Err(_) => {
            let (hostname, port) = authority.rsplit_once(':').unwrap();
            Authority::Hostname {
                hostname,
                port: port.parse().unwrap(),
            }
        }
    };
    let facts = Facts {
        workload: &server(),
        peer: CLIENT.parse().unwrap(),
        destination: POD.parse().unwrap(),
        arrival: Arrival::Tunnel {
            identity,
            authority,
            claim,
            network,
        },
    };
    admit(snapshot, &facts)
}

fn tunnel(snapshot: &Snapshot, authority: &str) -> Result<Admitted, Refusal> {
    tunnel_as(snapshot, &web(), authority)
}

fn plaintext(snapshot: &Snapshot, destination: &str) -> Result<Admitted, Refusal> {
    let facts = Facts {
        workload: &server(),
        peer: CLIENT.parse().unwrap(),
        destination: destination.parse().unwrap(),
        arrival: Arrival::Plaintext,
    };
    admit(snapshot, &facts)
}

#[track_caller]
fn refused(result: Result<Admitted, Refusal>, text: &str, status: Status, flag: Option<Flag>) {
    let refusal = result.unwrap_err();
    assert_eq!(
        (
            refusal.to_string().as_str(),
            refusal.status(),
            refusal.flag()
        ),
        (text, status, flag)
    );
}

fn tunnelled(protocol: ApplicationProtocol, port: Option<u16>) -> Workload {
    let application_tunnel = Some(ApplicationTunnel {
        protocol,
        port: port.and_then(NonZeroU16::new),
    });
    Workload {
        application_tunnel,
        ..server()
    }
}
