//! What `/config_dump` shows: what this waypoint serves, by which rules, with which certificates.
//!
//! In: the current snapshot, the certificate store, the backends in use. Out: JSON. Never: private keys, or what else is secret in policies ([`crate::access::dump`]).

use std::sync::Arc;

use control::xds::XdsStatus;
use mesh::{
    Service,
    route::{Action, HttpRules, RouteTable, Target, WeightedBackend},
};
use serde_json::{Value, json};

use crate::{access, proxy::Proxy};

/// Where the dump takes its parts from.
#[derive(Debug)]
pub struct Dump {
    /// The mesh, the certificates, the backends.
    pub proxy: Arc<Proxy>,
    /// How the conversation with the controller goes.
    pub xds: XdsStatus,
    /// The process's own configuration, as text.
    pub config: String,
}

impl Dump {
    /// The whole dump.
    #[must_use]
    pub fn json(&self) -> Value {
        let snapshot = self.proxy.view.load();
        let own = &self.proxy.own;
        let mut tables: Vec<_> = snapshot.iter_routes().collect();
        tables.sort_by(|one, other| one.key.cmp(&other.key));
        let mut policies: Vec<_> = snapshot.iter_backend_policies().collect();
        policies.sort_by_key(|policy| policy.key.to_string());
        let serves = |service: &&Arc<Service>| own.stands_before(service, &snapshot);
        let mut services: Vec<_> = snapshot.iter_services().filter(serves).collect();
        services.sort_by_key(|service| service.key());
        let settings = snapshot.waypoint_settings(&own.namespace, &own.gateway);
        json!({
            "gateway": format!("{}/{}", own.namespace, own.gateway),
            "identity": own.identity.to_string(),
            "services": services.into_iter().map(|service| self::service(service)).collect::<Vec<_>>(),
            "routes": tables.into_iter().map(|table| self::table(table)).collect::<Vec<_>>(),
            "backendPolicies": policies.into_iter().map(|policy| json!({
                "backend": policy.key.to_string(),
                "policy": format!("{policy:?}"),
            })).collect::<Vec<_>>(),
            "settings": settings.map(|settings| access::dump::settings(settings)),
            "access": settings.map(|settings| access::dump::json(
                &settings.policies,
                settings.client_address.as_ref(),
                &settings.unenforced,
            )),
            "clusters": clusters(&self.proxy),
            "certificates": self.proxy.store.dump(),
            "xds": self.xds.state(net::clock::now()),
            "snapshotVersion": snapshot.version,
            "version": {"version": env!("CARGO_PKG_VERSION")},
            "config": self.config,
        })
    }
}

/// The backends in use, and their endpoints.
fn clusters(proxy: &Proxy) -> Value {
    let mut clusters = proxy.clusters.all();
    clusters.sort_by(|one, other| one.name().cmp(other.name()));
    let clusters = clusters.iter().map(|cluster| {
        let hosts = cluster.hosts();
        json!({
            "name": &**cluster.name(),
            "policy": format!("{:?}", cluster.policy()),
            "hosts": hosts.iter().map(|host| format!("{host:?}")).collect::<Vec<_>>(),
        })
    });
    clusters.collect()
}

fn service(service: &Service) -> Value {
    let vips = service.vips.iter().map(|vip| vip.ip.to_string());
    let ports = service.ports.0.keys().map(|port| {
        let protocol = service.protocol(*port);
        json!({"port": port, "protocol": format!("{protocol:?}")})
    });
    json!({
        "service": service.key().to_string(),
        "vips": vips.collect::<Vec<_>>(),
        "ports": ports.collect::<Vec<_>>(),
    })
}

fn table(table: &RouteTable) -> Value {
    let consumers = table.consumers.iter();
    let consumers: serde_json::Map<_, _> = consumers
        .map(|(namespace, rules)| (namespace.to_string(), self::rules(rules)))
        .collect();
    json!({
        "routes": table.key.to_string(),
        "access": access::dump::json(
            &table.policies,
            table.client_address.as_ref(),
            &table.unenforced,
        ),
        "http": table.http.as_ref().map(rules),
        "consumers": consumers,
        "tls": table.tls.iter().map(|route| json!({
            "name": route.name.to_string(),
            "backends": backends(&route.backends),
        })).collect::<Vec<_>>(),
        "tcp": table.tcp.iter().map(|route| json!({
            "name": route.name.to_string(),
            "backends": backends(&route.backends),
        })).collect::<Vec<_>>(),
    })
}

fn rules(rules: &HttpRules) -> Value {
    let rules = rules.all().iter().map(|rule| {
        let action = match &rule.action {
            Action::Forward(forward) => backends(&forward.backends),
            Action::Redirect(redirect) => format!("{redirect:?}").into(),
            Action::Respond(response) => json!({"status": response.status}),
        };
        json!({
            "name": rule.name.to_string(),
            "matches": rule.matches.iter().map(|it| format!("{it:?}")).collect::<Vec<_>>(),
            "action": action,
        })
    });
    rules.collect()
}

fn backends(backends: &[WeightedBackend]) -> Value {
    let backends = backends.iter().map(|backend| {
        let target = match &backend.target {
            Target::Backend(to) if to.subset.is_empty() => format!("{}:{}", to.service, to.port),
            Target::Backend(to) => format!("{}:{}/{}", to.service, to.port, to.subset),
            Target::Missing(missing) => format!("{missing:?}"),
        };
        json!({"to": target, "weight": backend.weight})
    });
    backends.collect()
}
