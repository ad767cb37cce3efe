//! `services[]` of the file.

use mesh::{
    Service,
    service::{
        GatewayAddress, HealthPolicy, IpFamilies, LoadBalancing, LoadBalancingMode, Scope,
        Visibility,
    },
};

use yaml::{
    Cursor, Error,
    scalar::{boolean, choice},
};

use super::{
    scalar::{capacity, hostname, label, name, namespace, ports, vip},
    workload::gateway,
};

const FIELDS: &[&str] = &[
    "name",
    "namespace",
    "hostname",
    "vips",
    "ports",
    "subjectAltNames",
    "waypoint",
    "weightedWaypoints",
    "loadBalancer",
    "ipFamilies",
    "canonical",
    "visibility",
];

const VIPS: &str = "a list of \"network/ip\", [] for a headless service";

/// Reads one service.
pub(super) fn service(at: &Cursor<'_>) -> Result<Service, Error> {
    let object = at.object(
        "a service: a mapping with name, namespace, hostname, vips and ports",
        FIELDS,
    )?;
    Ok(Service {
        name: object.required("name", "the service's name", name)?,
        namespace: object.required("namespace", "the service's namespace", namespace)?,
        hostname: object.required(
            "hostname",
            "the service's fully qualified hostname",
            hostname,
        )?,
        vips: object.required("vips", VIPS, |at| at.list(VIPS, vip))?,
        ports: object.required("ports", "a mapping of service ports to target ports", ports)?,
        // A ztunnel, which alone reads this file, needs no protocols.
        protocols: Vec::new(),
        subject_alt_names: object
            .optional("subjectAltNames", |at| {
                at.list("a list of spiffe:// names", subject_alt_name)
            })?
            .unwrap_or_default(),
        waypoint: object.nullable("waypoint", gateway)?,
        weighted_waypoints: object
            .optional("weightedWaypoints", |at| {
                at.list("a list of waypoints and their weights", weighted)
            })?
            .unwrap_or_default(),
        load_balancing: object
            .nullable("loadBalancer", load_balancing)?
            .unwrap_or_default(),
        ip_families: object
            .nullable("ipFamilies", ip_families)?
            .unwrap_or_default(),
        canonical: object.optional("canonical", boolean)?.unwrap_or_default(),
        visibility: object
            .optional("visibility", |at| {
                choice(
                    at,
                    &[
                        ("Public", Visibility::Public),
                        ("Namespace", Visibility::Namespace),
                    ],
                )
            })?
            .unwrap_or_default(),
    })
}

fn weighted(at: &Cursor<'_>) -> Result<(GatewayAddress, u32), Error> {
    let object = at.object(
        "a mapping with destination and weight",
        &["destination", "weight"],
    )?;
    let destination = object.required(
        "destination",
        "a waypoint: a mapping with destination and hboneMtlsPort",
        gateway,
    )?;
    let weight = object.required("weight", "the waypoint's share of connections", capacity)?;
    Ok((destination, weight))
}

fn subject_alt_name(at: &Cursor<'_>) -> Result<mesh::Name, Error> {
    let text: mesh::Name = label(at)?;
    if text.is_empty() {
        return Err(at.unexpected("a name such as spiffe://cluster.local/ns/default/sa/server"));
    }
    if text.parse::<mesh::SpiffeId>().is_err() {
        at.warn("no workload can have this name: it is not spiffe://<trust domain>/ns/<namespace>/sa/<service account>");
    }
    Ok(text)
}

fn load_balancing(at: &Cursor<'_>) -> Result<LoadBalancing, Error> {
    // Istio's own file says routingPreferences, its protocol routing_preference.
    const PREFERENCES: [&str; 3] = ["routingPreferences", "routingPreference", "scopes"];
    let known = &[
        "routingPreferences",
        "routingPreference",
        "scopes",
        "mode",
        "healthPolicy",
    ];
    let object = at.object(
        "a mapping with routingPreferences, mode and healthPolicy",
        known,
    )?;
    let mut routing_preference = None;
    for spelling in PREFERENCES {
        let given = object.optional(spelling, |at| {
            if routing_preference.is_some() {
                return Err(
                    at.unexpected("only one of routingPreferences, routingPreference and scopes")
                );
            }
            at.list(
                "a list of Region, Zone, Subzone, Node, Cluster and Network",
                scope,
            )
        })?;
        routing_preference = routing_preference.or(given);
    }
    Ok(LoadBalancing {
        routing_preference: routing_preference.unwrap_or_default(),
        mode: object.optional("mode", mode)?.unwrap_or_default(),
        health_policy: object
            .optional("healthPolicy", |at| {
                choice(
                    at,
                    &[
                        ("OnlyHealthy", HealthPolicy::OnlyHealthy),
                        ("AllowAll", HealthPolicy::AllowAll),
                    ],
                )
            })?
            .unwrap_or_default(),
    })
}

fn scope(at: &Cursor<'_>) -> Result<Scope, Error> {
    choice(
        at,
        &[
            ("Region", Scope::Region),
            ("Zone", Scope::Zone),
            ("Subzone", Scope::Subzone),
            ("Node", Scope::Node),
            ("Cluster", Scope::Cluster),
            ("Network", Scope::Network),
        ],
    )
}

fn mode(at: &Cursor<'_>) -> Result<LoadBalancingMode, Error> {
    choice(
        at,
        &[
            ("Standard", LoadBalancingMode::Unspecified),
            ("Strict", LoadBalancingMode::Strict),
            ("Failover", LoadBalancingMode::Failover),
            ("Passthrough", LoadBalancingMode::Passthrough),
        ],
    )
}

fn ip_families(at: &Cursor<'_>) -> Result<IpFamilies, Error> {
    choice(
        at,
        &[
            ("Automatic", IpFamilies::Automatic),
            ("IPv4", IpFamilies::Ipv4Only),
            ("IPv4Only", IpFamilies::Ipv4Only),
            ("IPv6", IpFamilies::Ipv6Only),
            ("IPv6Only", IpFamilies::Ipv6Only),
            ("Dual", IpFamilies::Dual),
        ],
    )
}
