//! Endpoints that have a name in the place of addresses.

use super::*;

/// An endpoint that has a name in the place of addresses.
fn named(uid: &str, service: &Service, hostname: &str) -> Workload {
    Workload {
        hostname: hostname.into(),
        ..endpoint(uid, service, &[])
    }
}

#[test]
fn a_headless_service_is_what_the_names_of_its_endpoints_lead_to_too() {
    let headless = service("shop", "db.shop.svc.cluster.local", &[]);
    let mesh = snapshot(
        vec![headless.clone()],
        vec![
            endpoint("one", &headless, &["10.1.0.1"]),
            named("two", &headless, "two.example.com"),
            named("three", &headless, "two.example.com"),
            // It has an address, if of the other family: its name is not asked for.
            Workload {
                hostname: "four.example.com".into(),
                ..endpoint("four", &headless, &["fd01::4"])
            },
            Workload {
                health: Health::Unhealthy,
                ..named("sick", &headless, "sick.example.com")
            },
            Workload {
                network: "west".into(),
                ..named("far", &headless, "far.example.com")
            },
            // Nobody could answer that but ourselves.
            named("itself", &headless, "db.shop.svc.cluster.local"),
        ],
    );
    let Answer::Lookup(pending) = ask_in(&mesh, &zone(), "db.", RecordType::A) else {
        panic!("there is a name to resolve")
    };
    assert_eq!(pending.family(), Family::Ipv4);
    assert_eq!(pending.names(), [Hostname::from("two.example.com")]);
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let records = pending.records([ip("192.0.2.7")], 300, &mut || 1);
    let said: BTreeSet<_> = records
        .iter()
        .map(|record| format!("{} {} {}", record.name, record.ttl, record.data))
        .collect();
    assert!(
        said.iter().eq(["db. 30 10.1.0.1", "db. 30 192.0.2.7"]),
        "{said:?}"
    );

    // By an alias, and for less time than usual.
    let full = "db.shop.svc.cluster.local.shop.svc.cluster.local.";
    let Answer::Lookup(pending) = ask_in(&mesh, &zone(), full, RecordType::AAAA) else {
        panic!("there is a name to resolve")
    };
    let records = pending.records([], 5, &mut || 0);
    let said: Vec<_> = records
        .iter()
        .map(|record| format!("{} {} {}", record.name, record.ttl, record.data))
        .collect();
    assert_eq!(
        said,
        [
            format!("{full} 5 db.shop.svc.cluster.local."),
            "db.shop.svc.cluster.local. 5 fd01::4".to_owned()
        ]
    );
}

#[test]
fn names_beyond_the_limit_are_left_out_of_an_answer() {
    let headless = service("shop", "db.shop.svc.cluster.local", &[]);
    let endpoints = (0..MAX_NAMES + 3).map(|number| {
        named(
            &format!("w{number}"),
            &headless,
            &format!("n{number}.example.com"),
        )
    });
    let mesh = snapshot(vec![headless.clone()], endpoints.collect());
    let Answer::Lookup(pending) = ask_in(&mesh, &zone(), "db.", RecordType::A) else {
        panic!("there are names to resolve")
    };
    assert_eq!(pending.names().len(), MAX_NAMES);
}
