//! Endpoints that have a name in the place of addresses.

use std::collections::BTreeSet;

use super::{
    Arc, Health, IpFamilies, LoadBalancing, LoadBalancingMode, Mesh, Plan, Planned, Refusal,
    Service, Tunnel, Via, Workload, address, client, ip, no_upstream, plan_in, planned_in,
    reviewer, reviews, sans, seeded,
};
use crate::outbound::{Family, Lookup};

/// An endpoint of `reviews` outside of the mesh.
fn named() -> Workload {
    Workload {
        hostname: "db.example.com".into(),
        tunnel: Tunnel::None,
        ..reviewer("v1", &[])
    }
}

fn lookup(service: Service, endpoint: Workload, destination: &str) -> Lookup {
    let snapshot = Mesh::default().with(endpoint).serving(service).build();
    match planned_in(&snapshot, &client(), destination, &mut seeded(1)) {
        Ok(Planned::Lookup(lookup)) => lookup,
        other => panic!("{other:?}"),
    }
}

fn resolved(lookup: Lookup, addresses: &[&str]) -> Result<Plan, Refusal> {
    let addresses: Vec<_> = addresses.iter().map(|text| ip(text)).collect();
    lookup.resolved(&addresses, &mut seeded(1))
}

fn nothing_valid() -> Refusal {
    Refusal::NoValidAddress {
        workload: named().uid,
        hostname: "db.example.com".into(),
    }
}

#[test]
fn a_name_is_resolved_before_the_connection_is_made() {
    let lookup = lookup(reviews(), named(), "10.96.0.1:80");
    assert_eq!(lookup.hostname().as_str(), "db.example.com");
    assert_eq!(**lookup.workload(), named());
    assert_eq!(lookup.service(), Some(&Arc::new(reviews())));
    assert_eq!(
        resolved(lookup, &["192.0.2.7"]),
        Ok(Plan::Plain {
            destination: address("192.0.2.7:9080"),
            workload: Arc::new(named()),
            service: Some(Arc::new(reviews())),
        })
    );
}

#[test]
fn a_name_may_lead_to_a_tunnel() {
    let endpoint = Workload {
        tunnel: Tunnel::Hbone,
        ..named()
    };
    let lookup = lookup(reviews(), endpoint.clone(), "10.96.0.1:80");
    assert_eq!(
        resolved(lookup, &["192.0.2.7"]),
        Ok(Plan::Hbone {
            peer: address("192.0.2.7:15008"),
            authority: address("192.0.2.7:9080"),
            expected: sans(&["spiffe://cluster.local/ns/default/sa/v1"]),
            via: Via::Endpoint,
            workload: Arc::new(endpoint),
            service: Some(Arc::new(reviews())),
        })
    );
}

#[test]
fn the_family_that_was_dialled_is_asked_for_first_and_taken_first() {
    let both = ["192.0.2.7", "2001:db8::7"];
    let (v4, v6) = ("10.96.0.1:80", "[fd00:96::1]:80");
    let (four, six) = ("192.0.2.7:9080", "[2001:db8::7]:9080");
    for (families, dialled, asked, taken) in [
        (
            IpFamilies::Automatic,
            v4,
            vec![Family::Ipv4, Family::Ipv6],
            four,
        ),
        (IpFamilies::Dual, v6, vec![Family::Ipv6, Family::Ipv4], six),
        (IpFamilies::Ipv4Only, v6, vec![Family::Ipv4], four),
        (IpFamilies::Ipv6Only, v4, vec![Family::Ipv6], six),
    ] {
        let service = Service {
            ip_families: families,
            ..reviews()
        };
        let lookup = lookup(service, named(), dialled);
        assert_eq!(lookup.families().collect::<Vec<_>>(), asked);
        let Ok(Plan::Plain { destination, .. }) = resolved(lookup, &both) else {
            panic!("{families:?}")
        };
        assert_eq!(destination, address(taken), "{families:?}");
    }
    let other = lookup(reviews(), named(), v6);
    let Ok(Plan::Plain { destination, .. }) = resolved(other, &both[..1]) else {
        panic!("the other family will do")
    };
    assert_eq!(destination, address(four));
}

#[test]
fn every_address_of_the_name_is_used() {
    let lookup = lookup(reviews(), named(), "10.96.0.1:80");
    let addresses = [
        ip("192.0.2.1"),
        ip("192.0.2.2"),
        ip("192.0.2.3"),
        ip("2001:db8::1"),
    ];
    let mut random = seeded(1);
    let taken: BTreeSet<_> = (0..100)
        .map(|_| match lookup.clone().resolved(&addresses, &mut random) {
            Ok(Plan::Plain { destination, .. }) => destination.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(
        taken
            .iter()
            .eq(["192.0.2.1:9080", "192.0.2.2:9080", "192.0.2.3:9080"]),
        "{taken:?}"
    );
}

#[test]
fn a_name_without_a_usable_address_is_refused() {
    for addresses in [&[][..], &["0.0.0.0", "::", "224.0.0.1", "ff02::1"]] {
        let lookup = lookup(reviews(), named(), "10.96.0.1:80");
        assert_eq!(resolved(lookup, addresses), Err(nothing_valid()));
    }
    let four_only = Service {
        ip_families: IpFamilies::Ipv4Only,
        ..reviews()
    };
    let lookup = lookup(four_only, named(), "10.96.0.1:80");
    assert_eq!(resolved(lookup, &["2001:db8::7"]), Err(nothing_valid()));
    assert!(
        nothing_valid()
            .to_string()
            .starts_with("dns response had no valid IP addresses")
    );
}

#[test]
fn a_name_cannot_lead_to_our_own_ports() {
    let endpoint = || Workload {
        services: [(super::reviews_key(), super::ports(&[(80, 15001)]))].into(),
        ..named()
    };
    for own in ["127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1", "::1"] {
        let lookup = lookup(reviews(), endpoint(), "10.96.0.1:80");
        assert_eq!(resolved(lookup, &[own]), Err(Refusal::SelfCall), "{own}");
    }
    let lookup = lookup(reviews(), endpoint(), "10.96.0.1:80");
    assert!(resolved(lookup, &["192.0.2.7"]).is_ok());
}

#[test]
fn an_address_goes_before_a_name() {
    let snapshot = Mesh::default()
        .with(Workload {
            hostname: "v1.example.com".into(),
            ..reviewer("v1", &["10.0.0.2"])
        })
        .serving(reviews())
        .build();
    let plan = plan_in(&snapshot, &client(), "10.96.0.1:80", &mut seeded(1));
    assert_eq!(super::target(&plan), "10.0.0.2:9080");
}

#[test]
fn a_name_is_chosen_by_health_and_weight_like_an_address() {
    let ill = Workload {
        health: Health::Unhealthy,
        ..named()
    };
    let plan = Mesh::default()
        .with(ill)
        .serving(reviews())
        .plan(&client(), "10.96.0.1:80");
    assert_eq!(plan, Err(no_upstream()));
    let snapshot = Mesh::default()
        .with(named())
        .with(reviewer("v2", &["10.0.0.3"]))
        .serving(reviews())
        .build();
    let mut random = seeded(9);
    let mut named = 0_u32;
    for _ in 0..10_000 {
        match planned_in(&snapshot, &client(), "10.96.0.1:80", &mut random) {
            Ok(Planned::Lookup(_)) => named += 1,
            Ok(Planned::Ready(_)) => {}
            Err(refusal) => panic!("{refusal}"),
        }
    }
    assert!(
        named.abs_diff(5_000) < 250,
        "five standard deviations: {named}"
    );
}

#[test]
fn a_name_in_another_network_takes_what_an_address_there_takes() {
    let far = Workload {
        network: "west".into(),
        ..named()
    };
    let plan = Mesh::default()
        .with(far)
        .serving(Service {
            load_balancing: LoadBalancing {
                mode: LoadBalancingMode::Failover,
                ..LoadBalancing::default()
            },
            ..reviews()
        })
        .plan(&client(), "10.96.0.1:80");
    assert!(
        matches!(plan, Err(Refusal::NoGatewayAddress { .. })),
        "{plan:?}"
    );
}
