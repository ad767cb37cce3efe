//! The exact text that is written, everything that is skipped, and the limits.

use proptest::prelude::*;

use super::*;

fn client() -> Baggage {
    Baggage {
        cluster: "Kubernetes".into(),
        namespace: "default".into(),
        workload: Some(WorkloadName {
            kind: WorkloadKind::Deployment,
            name: "client".into(),
        }),
        service: "client".into(),
        version: "v1".into(),
        region: "r".into(),
        zone: "z".into(),
    }
}

fn parse(values: &[&str]) -> Baggage {
    Baggage::parse(values.iter().map(|value| value.as_bytes()))
}

fn text(baggage: &Baggage) -> String {
    baggage
        .header_value()
        .map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

#[test]
fn the_header_is_exactly_what_istio_peers_read() {
    let expected = "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,k8s.deployment.name=client,\
                    service.name=client,service.version=v1,cloud.region=r,cloud.availability_zone=z";
    assert_eq!(text(&client()), expected);
    assert_eq!(parse(&[expected]), client());
}

#[test]
fn every_workload_kind_has_its_key() {
    for (kind, key) in [
        (WorkloadKind::Deployment, "k8s.deployment.name"),
        (WorkloadKind::Pod, "k8s.pod.name"),
        (WorkloadKind::Job, "k8s.job.name"),
        (WorkloadKind::CronJob, "k8s.cronjob.name"),
    ] {
        let baggage = Baggage {
            workload: Some(WorkloadName {
                kind,
                name: "w".into(),
            }),
            ..Baggage::default()
        };
        assert_eq!(text(&baggage), format!("{key}=w"));
        assert_eq!(parse(&[&text(&baggage)]), baggage);
    }
}

#[test]
fn empty_parts_are_omitted_and_nothing_to_say_is_no_header() {
    assert_eq!(Baggage::default().header_value(), None);
    let baggage = Baggage {
        region: String::new(),
        zone: String::new(),
        workload: None,
        ..client()
    };
    assert_eq!(
        text(&baggage),
        "k8s.cluster.name=Kubernetes,k8s.namespace.name=default,service.name=client,service.version=v1"
    );
    let nameless = WorkloadName {
        kind: WorkloadKind::Pod,
        name: String::new(),
    };
    assert_eq!(
        Baggage {
            workload: Some(nameless),
            ..Baggage::default()
        }
        .header_value(),
        None
    );
}

#[test]
fn several_headers_unknown_keys_properties_and_space_are_read_through() {
    let baggage = parse(&[
        "user.id=7, k8s.cluster.name = c1 ;secret;ttl=5 ,,",
        "\tk8s.pod.name=p1,k8s.namespace.name=,nonsense,=x,service.name",
        "service.version=v%201;p=k8s.cluster.name=evil",
    ]);
    let expected = Baggage {
        cluster: "c1".into(),
        workload: Some(WorkloadName {
            kind: WorkloadKind::Pod,
            name: "p1".into(),
        }),
        version: "v 1".into(),
        ..Baggage::default()
    };
    assert_eq!(baggage, expected);
}

#[test]
fn an_empty_value_is_absent_and_the_last_other_one_counts() {
    assert_eq!(
        parse(&["service.name=a,service.name=b,service.name="]).service,
        "b"
    );
    let kinds = parse(&["k8s.job.name=j,k8s.cronjob.name=c"]).workload;
    assert_eq!(
        kinds,
        Some(WorkloadName {
            kind: WorkloadKind::CronJob,
            name: "c".into()
        })
    );
}

#[test]
fn values_are_percent_encoded_where_the_specification_demands() {
    let service = "a b,c;d\\e\"f%g=h/é".to_owned();
    let baggage = Baggage {
        service,
        ..Baggage::default()
    };
    assert_eq!(
        text(&baggage),
        "service.name=a%20b%2Cc%3Bd%5Ce%22f%25g=h/%C3%A9"
    );
    assert_eq!(parse(&[&text(&baggage)]), baggage);
}

#[test]
fn broken_escapes_stand_for_themselves_and_broken_utf8_is_replaced() {
    assert_eq!(parse(&["service.name=a%zz%4"]).service, "a%zz%4");
    assert_eq!(parse(&["service.name=a%FFb"]).service, "a\u{fffd}b");
    assert_eq!(parse(&["service.name=%c3%A9"]).service, "é");
}

#[test]
fn control_characters_and_bytes_beyond_ascii_make_a_value_absent() {
    assert_eq!(parse(&["service.name=a%0Ab"]), Baggage::default());
    assert_eq!(parse(&["service.name=a%00"]), Baggage::default());
    assert_eq!(
        Baggage::parse([&b"service.name=a\xff,cloud.region=r"[..]]).region,
        "r"
    );
    assert_eq!(Baggage::parse([&b"service.name=a\xff"[..]]).service, "");
    let baggage = Baggage {
        service: "a\nb".into(),
        ..Baggage::default()
    };
    assert_eq!(baggage.header_value(), None);
}

#[test]
fn members_and_bytes_beyond_the_limits_are_ignored() {
    let within = format!("{}service.name=a", "k=v,".repeat(MAX_MEMBERS - 1));
    assert_eq!(parse(&[&within]).service, "a");
    let beyond = format!("{}service.name=a", "k=v,".repeat(MAX_MEMBERS));
    assert_eq!(parse(&[&beyond]).service, "");
    assert_eq!(
        parse(&[&",".repeat(MAX_MEMBERS), "service.name=a"]).service,
        ""
    );

    let exact = "a".repeat(MAX_BYTES - "service.name=".len());
    assert_eq!(parse(&[&format!("service.name={exact}")]).service, exact);
    assert_eq!(parse(&[&format!("service.name={exact}a")]).service, "");
    assert_eq!(
        parse(&["cloud.zone=a", &format!("service.name={exact}")]).service,
        ""
    );
}

#[test]
fn what_does_not_fit_is_left_out_of_the_header() {
    let baggage = Baggage {
        service: "é".repeat(MAX_BYTES / 4),
        ..client()
    };
    let written = text(&baggage);
    assert!(written.len() <= MAX_BYTES);
    assert_eq!(
        parse(&[&written]),
        Baggage {
            service: String::new(),
            ..client()
        }
    );
    let exact = Baggage {
        service: "a".repeat(MAX_BYTES - "service.name=".len()),
        ..Baggage::default()
    };
    assert_eq!(text(&exact).len(), MAX_BYTES);
}

#[test]
fn plain_names_are_written_into_a_buffer_that_does_not_grow() {
    let text = client().text();
    assert_eq!(
        text.capacity(),
        text.len() + 1,
        "one comma fewer than members"
    );
}

proptest! {
    #[test]
    fn any_baggage_without_control_characters_round_trips(
        texts in prop::array::uniform6("\\PC{0,30}"),
        kind in prop::option::of((prop::sample::select(&WorkloadKind::ALL[..]), "\\PC{1,30}")),
    ) {
        let [cluster, namespace, service, version, region, zone] = texts;
        let workload = kind.map(|(kind, name)| WorkloadName { kind, name });
        let baggage = Baggage { cluster, namespace, workload, service, version, region, zone };
        prop_assert_eq!(parse(&[&text(&baggage)]), baggage);
    }

    #[test]
    fn no_header_panics(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4)) {
        let _ = Baggage::parse(values.iter().map(Vec::as_slice));
    }
}
