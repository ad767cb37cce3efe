//! Policies of backends: what they become, and what refuses them.

use bytes::Bytes;
use mesh::{
    Resource, ResourceKey, ServiceKey,
    backend::{
        ConsistentHash, Distribute, Failover, HashCookie, HashKey, HashTable, LoadBalancer,
        LocalityPattern, LocalityPolicy, PriorityKey, PriorityLabel, Simple, Warmup,
    },
    service::Scope,
};
use prost::Message as _;

use super::*;
use crate::{
    proto::{
        Any, BACKEND_POLICY_TYPE, discovery,
        waypoint::{consistent_hash, load_balancer},
    },
    xds::{Decoder, Error, name},
};

mod health;

fn backend(policy: proto::TrafficPolicy) -> proto::BackendPolicy {
    proto::BackendPolicy {
        service: "default/Web.example".to_owned(),
        policy: Some(policy),
        ..proto::BackendPolicy::default()
    }
}

fn decoded(policy: proto::TrafficPolicy) -> TrafficPolicy {
    let read = Decoder::new().backend_policy(&backend(policy));
    (*read.expect("a policy").policy).clone()
}

/// The field, what was found and what was expected.
fn fault(policy: proto::TrafficPolicy) -> (String, String, &'static str) {
    match Decoder::new().backend_policy(&backend(policy)) {
        Err(Error::Field {
            resource,
            field,
            found,
            expected,
        }) => {
            assert_eq!(resource, "backend policy \"default/Web.example\"");
            (field, found, expected)
        }
        other => panic!("{other:?}: expected a fault of a field"),
    }
}

fn hashed(
    key: consistent_hash::Key,
    table: Option<consistent_hash::Table>,
) -> proto::TrafficPolicy {
    balanced(load_balancer::Kind::Hash(proto::ConsistentHash {
        key: Some(key),
        table,
    }))
}

fn balanced(kind: load_balancer::Kind) -> proto::TrafficPolicy {
    proto::TrafficPolicy {
        load_balancer: Some(proto::LoadBalancer {
            kind: Some(kind),
            warmup: None,
        }),
        ..proto::TrafficPolicy::default()
    }
}

#[test]
fn a_resource_is_read_by_its_type_and_has_its_own_name() {
    let message = proto::BackendPolicy {
        subset: "v2".to_owned(),
        ..backend(proto::TrafficPolicy::default())
    };
    let resource = discovery::Resource {
        version: "1".to_owned(),
        name: "default/web.example/v2".to_owned(),
        resource: Some(Any {
            type_url: BACKEND_POLICY_TYPE.to_owned(),
            value: Bytes::from(message.encode_to_vec()),
        }),
        aliases: Vec::new(),
    };
    let read = Decoder::new().resource(BACKEND_POLICY_TYPE, &resource);
    let read = read.expect("a policy");
    let key = BackendKey::new(ServiceKey::new("default", "web.example"), "v2");
    assert_eq!(name::of(&read.key()), resource.name);
    let removed = name::removed(BACKEND_POLICY_TYPE, &resource.name);
    assert_eq!(removed, [ResourceKey::BackendPolicy(key.clone())]);
    let expected = BackendPolicy {
        key,
        policy: Arc::default(),
        ports: BTreeMap::new(),
    };
    assert_eq!(read, Resource::BackendPolicy(expected.into()));
}

#[test]
fn what_is_absent_is_the_default() {
    let empty = proto::TrafficPolicy {
        load_balancer: Some(proto::LoadBalancer::default()),
        pool: Some(proto::ConnectionPool::default()),
        ..proto::TrafficPolicy::default()
    };
    assert_eq!(decoded(empty), TrafficPolicy::default());
    let pool = TrafficPolicy::default().pool;
    assert_eq!(pool.connect_timeout, Duration::from_secs(10));
    assert_eq!(pool.idle_timeout, Some(Duration::from_secs(3600)));
}

#[test]
fn ports_have_policies_of_their_own() {
    let limited = proto::TrafficPolicy {
        pool: Some(proto::ConnectionPool {
            max_requests: Some(0),
            ..proto::ConnectionPool::default()
        }),
        ..proto::TrafficPolicy::default()
    };
    let mut message = backend(proto::TrafficPolicy::default());
    message.ports.insert(8080, limited.clone());
    let read = Decoder::new().backend_policy(&message).expect("a policy");
    assert_eq!(read.of_port(8080).pool.max_requests, Some(0));
    assert_eq!(read.of_port(80).pool.max_requests, None);

    message.ports.insert(70_000, limited);
    let error = Decoder::new().backend_policy(&message).unwrap_err();
    assert_eq!(
        error.to_string(),
        "backend policy \"default/Web.example\": ports[70000]: 70000, expected a port from 1 to 65535"
    );
}

#[test]
fn a_pool_is_read_whole() {
    let second = 1_000_000;
    let pool = decoded(proto::TrafficPolicy {
        pool: Some(proto::ConnectionPool {
            max_connections: Some(1),
            max_pending_requests: Some(2),
            max_requests: Some(3),
            max_retries: Some(4),
            max_requests_per_connection: 5,
            max_concurrent_streams: Some(6),
            connect_timeout_us: 7 * second,
            idle_timeout_us: Some(0),
            max_connection_duration_us: 9 * second,
            keepalive: Some(proto::TcpKeepalive {
                probes: 10,
                time_us: 11 * second,
                interval_us: 0,
            }),
            http2_ping_interval_us: 12 * second,
            http2_ping_timeout_us: 13 * second,
            http2: proto::Upgrade::Client.into(),
        }),
        ..proto::TrafficPolicy::default()
    });
    let expected = ConnectionPool {
        max_connections: Some(1),
        max_pending_requests: Some(2),
        max_requests: Some(3),
        max_retries: Some(4),
        max_requests_per_connection: Some(5),
        max_concurrent_streams: Some(6),
        connect_timeout: Duration::from_secs(7),
        idle_timeout: None,
        max_connection_duration: Some(Duration::from_secs(9)),
        keepalive: Some(TcpKeepalive {
            probes: Some(10),
            time: Some(Duration::from_secs(11)),
            interval: None,
        }),
        http2_ping_interval: Some(Duration::from_secs(12)),
        http2_ping_timeout: Some(Duration::from_secs(13)),
        http2: Upgrade::Client,
    };
    assert_eq!(pool.pool, expected);
}

#[test]
fn algorithms_are_read_and_a_later_one_is_the_default() {
    let table = [
        (0, Simple::LeastRequest),
        (1, Simple::RoundRobin),
        (2, Simple::Random),
        (3, Simple::Passthrough),
        (99, Simple::LeastRequest),
    ];
    for (number, expected) in table {
        let read = decoded(balanced(load_balancer::Kind::Simple(number)));
        assert_eq!(read.load_balancer.simple, expected, "{number}");
        assert_eq!(read.load_balancer.hash, None);
    }
}

#[test]
fn keys_and_tables_of_hashing_are_read() {
    use consistent_hash::{Key, Table};
    let header = decoded(hashed(Key::Header("X-User".to_owned()), None));
    let expected = ConsistentHash {
        key: HashKey::Header("x-user".into()),
        table: HashTable::Ring { minimum_size: 1024 },
    };
    assert_eq!(header.load_balancer.hash, Some(expected));

    let cookie = Key::Cookie(proto::HashCookie {
        name: "user".to_owned(),
        path: "/a".to_owned(),
        ttl_us: Some(0),
        attributes: vec![proto::Header {
            name: "SameSite".to_owned(),
            value: "Strict".to_owned(),
        }],
    });
    let ring = Table::Ring(proto::RingHash { minimum_size: 7 });
    let expected = ConsistentHash {
        key: HashKey::Cookie(HashCookie {
            name: "user".into(),
            path: "/a".into(),
            ttl: Some(Duration::ZERO),
            attributes: vec![("SameSite".into(), "Strict".into())],
        }),
        table: HashTable::Ring { minimum_size: 7 },
    };
    let read = decoded(hashed(cookie, Some(ring)));
    assert_eq!(read.load_balancer.hash, Some(expected));

    let maglev = |table_size| Table::Maglev(proto::Maglev { table_size });
    let sizes = [(0, 65_537), (101, 101), (5_000_011, 5_000_011)];
    for (written, table_size) in sizes {
        let read = decoded(hashed(Key::SourceIp(true), Some(maglev(written))));
        let expected = ConsistentHash {
            key: HashKey::SourceIp,
            table: HashTable::Maglev { table_size },
        };
        assert_eq!(read.load_balancer.hash, Some(expected));
    }
    let read = decoded(hashed(Key::QueryParameter("k".to_owned()), None));
    let key = read.load_balancer.hash.map(|hash| hash.key);
    assert_eq!(key, Some(HashKey::QueryParameter("k".into())));
}

#[test]
fn hashing_that_cannot_be_is_refused() {
    use consistent_hash::{Key, Table};
    let (field, found, _) = fault(hashed(Key::SourceIp(false), None));
    assert_eq!(
        (&*field, &*found),
        ("policy.load_balancer.hash.key", "absent")
    );
    let (field, ..) = fault(hashed(Key::Header(String::new()), None));
    assert_eq!(field, "policy.load_balancer.hash.header");

    let even = Table::Maglev(proto::Maglev { table_size: 100 });
    let (field, found, expected) = fault(hashed(Key::SourceIp(true), Some(even)));
    assert_eq!(field, "policy.load_balancer.hash.maglev.table_size");
    assert_eq!((&*found, expected), ("100", "a prime of at most 5000011"));
    let large = Table::Ring(proto::RingHash {
        minimum_size: 8_388_609,
    });
    let (field, ..) = fault(hashed(Key::SourceIp(true), Some(large)));
    assert_eq!(field, "policy.load_balancer.hash.ring.minimum_size");

    let cookie = |name: &str, path: &str| {
        Key::Cookie(proto::HashCookie {
            name: name.to_owned(),
            path: path.to_owned(),
            ..proto::HashCookie::default()
        })
    };
    let (field, ..) = fault(hashed(cookie("a=b", "/"), None));
    assert_eq!(field, "policy.load_balancer.hash.cookie.name");
    let (field, ..) = fault(hashed(cookie("a", "/; Domain=x"), None));
    assert_eq!(field, "policy.load_balancer.hash.cookie.path");
}

#[test]
fn a_warm_up_has_defaults_and_needs_a_time() {
    let warmup = |warmup| {
        let policy = proto::TrafficPolicy {
            load_balancer: Some(proto::LoadBalancer {
                kind: None,
                warmup: Some(warmup),
            }),
            ..proto::TrafficPolicy::default()
        };
        decoded(policy).load_balancer
    };
    let read = warmup(proto::Warmup {
        duration_us: 5_000_000,
        ..proto::Warmup::default()
    });
    let expected = LoadBalancer {
        warmup: Some(Warmup {
            duration: Duration::from_secs(5),
            minimum_ppm: 100_000,
            aggression_milli: 1000,
        }),
        ..LoadBalancer::default()
    };
    assert_eq!(read, expected);
    assert_eq!(warmup(proto::Warmup::default()).warmup, None);
}

#[test]
fn a_budget_is_a_share_of_a_whole() {
    let budget = |share_ppm| proto::TrafficPolicy {
        retry_budget: Some(proto::RetryBudget {
            share_ppm,
            min_concurrency: 3,
            interval_us: 10_000_000,
        }),
        ..proto::TrafficPolicy::default()
    };
    let expected = RetryBudget {
        share_ppm: 200_000,
        min_concurrency: 3,
        interval: Some(Duration::from_secs(10)),
    };
    assert_eq!(decoded(budget(200_000)).retry_budget, Some(expected));
    assert_eq!(fault(budget(1_000_001)).0, "policy.retry_budget.share_ppm");
}

#[test]
fn localities_are_read() {
    let read = decoded(proto::TrafficPolicy {
        locality: Some(proto::LocalityPolicy {
            distribute: vec![proto::Distribute {
                from: "eu/*/1".to_owned(),
                to: [("eu".to_owned(), 70), ("us/a/*".to_owned(), 30)].into(),
            }],
            failover: vec![proto::Failover {
                from: "eu".to_owned(),
                to: "us".to_owned(),
            }],
            failover_priority: vec![
                "topology.kubernetes.io/region".to_owned(),
                "version=v2".to_owned(),
            ],
        }),
        ..proto::TrafficPolicy::default()
    });
    let pattern = |parts: [Option<&str>; 3]| {
        let [region, zone, subzone] = parts.map(|part| part.map(Into::into));
        LocalityPattern {
            region,
            zone,
            subzone,
        }
    };
    let expected = LocalityPolicy {
        distribute: vec![Distribute {
            from: pattern([Some("eu"), None, Some("1")]),
            to: vec![
                (pattern([Some("eu"), None, None]), 70),
                (pattern([Some("us"), Some("a"), None]), 30),
            ],
        }],
        failover: vec![Failover {
            from: "eu".into(),
            to: "us".into(),
        }],
        failover_priority: vec![
            PriorityKey {
                label: PriorityLabel::Topology(Scope::Region),
                value: None,
            },
            PriorityKey {
                label: PriorityLabel::Other("version".into()),
                value: Some("v2".into()),
            },
        ],
    };
    assert_eq!(read.locality, Some(expected));
}

#[test]
fn a_locality_of_four_parts_is_refused() {
    let (field, found, _) = fault(proto::TrafficPolicy {
        locality: Some(proto::LocalityPolicy {
            distribute: vec![proto::Distribute {
                from: "a/b/c/d".to_owned(),
                ..proto::Distribute::default()
            }],
            ..proto::LocalityPolicy::default()
        }),
        ..proto::TrafficPolicy::default()
    });
    assert_eq!(field, "policy.locality.distribute[0].from");
    assert_eq!(found, "\"a/b/c/d\"");
}

#[test]
fn a_service_must_be_named() {
    let nameless = proto::BackendPolicy::default();
    let error = Decoder::new().backend_policy(&nameless).unwrap_err();
    assert_eq!(
        error.to_string(),
        "backend policy \"\": service: \"\", expected <namespace>/<hostname>"
    );
}
