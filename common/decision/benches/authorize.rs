//! What one admission costs with many policies, and what one change of them costs.
//!
//! `cargo bench -p decision --bench authorize`. Goal: 5 microseconds with 10,000 policies, whatever their mix.

use std::{hint::black_box, net::IpAddr, sync::Arc, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use decision::authorize::{Connection, evaluate, oracle};
use ipnet::IpNet;
use mesh::{
    Authorization, PolicyKey, SpiffeId, Workload,
    authorization::{Action, Clause, Match, Rule, Scope, StringMatch},
    policy::PolicyIndex,
};

type Mix = (&'static str, fn(u32) -> Vec<Rule>);

fn rule(one: Match) -> Vec<Rule> {
    vec![Rule {
        clauses: vec![Clause { matches: vec![one] }],
    }]
}

fn principal(number: u32) -> String {
    format!("cluster.local/ns/team-{}/sa/service-{number}", number % 100)
}

fn range(number: u32, length: u8) -> IpNet {
    IpNet::new_assert(
        IpAddr::from((0x1400_0000 + (number << 8)).to_be_bytes()),
        length,
    )
    .trunc()
}

const MIXES: [Mix; 15] = [
    ("exact principals", |n| {
        rule(Match {
            principals: vec![StringMatch::Exact(principal(n))],
            ..Match::default()
        })
    }),
    ("prefixes", |n| {
        let text = principal(n);
        let prefix = text[..text.len() - n as usize % 4].to_owned() + "-";
        rule(Match {
            principals: vec![StringMatch::Prefix(prefix)],
            ..Match::default()
        })
    }),
    ("suffixes", |n| {
        rule(Match {
            principals: vec![StringMatch::Suffix(format!("/sa/service-{n}"))],
            ..Match::default()
        })
    }),
    ("ranges", |n| {
        let length = [16, 20, 24, 25, 28, 32][n as usize % 6];
        rule(Match {
            source_ips: vec![range(n, length)],
            ..Match::default()
        })
    }),
    ("namespaces", |n| {
        rule(Match {
            namespaces: vec![StringMatch::Exact(format!("team-{n}"))],
            ..Match::default()
        })
    }),
    ("ports", |n| {
        let port = u16::try_from(10_000 + n).unwrap_or(0);
        rule(Match {
            destination_ports: vec![port],
            ..Match::default()
        })
    }),
    // Few values that combine: every policy shares each of its conditions with a hundred others and more.
    ("shared conditions", |n| {
        let ports = vec![[8080, 443, 9090][n as usize % 3]];
        let namespaces = vec![StringMatch::Exact(format!("team-{}", n % 50))];
        let not_source_ips = vec![range(n, 32)];
        rule(Match {
            namespaces,
            destination_ports: ports,
            not_source_ips,
            ..Match::default()
        })
    }),
    ("port and namespace", |n| {
        let namespaces = vec![StringMatch::Exact("team-7".into())];
        rule(Match {
            namespaces,
            destination_ports: vec![u16::try_from(n % 60_000).unwrap_or(0)],
            ..Match::default()
        })
    }),
    ("presence and range", |n| {
        rule(Match {
            principals: vec![StringMatch::Presence],
            source_ips: vec![range(n, 24)],
            ..Match::default()
        })
    }),
    // Nothing to be found by: all deny everyone but the client and somebody of their own.
    ("negations", |n| {
        let except = vec![
            StringMatch::Exact(principal(n)),
            StringMatch::Exact(principal(7) + "-client"),
        ];
        rule(Match {
            not_principals: except,
            ..Match::default()
        })
    }),
    ("negated namespaces and ports", |n| {
        let except = vec![
            StringMatch::Exact(format!("team-{}", 100 + n)),
            StringMatch::Exact("team-7".into()),
        ];
        let ports = vec![u16::try_from(n % 60_000).unwrap_or(0)];
        rule(Match {
            not_namespaces: except,
            not_destination_ports: ports,
            ..Match::default()
        })
    }),
    ("ten rules each", |n| {
        (0..10)
            .flat_map(|i| {
                rule(Match {
                    principals: vec![StringMatch::Exact(principal(n * 10 + i))],
                    source_ips: vec!["10.0.0.0/8".parse().expect("a range")],
                    destination_ports: vec![8080],
                    ..Match::default()
                })
            })
            .collect()
    }),
    // One condition or another: each must be found by either.
    ("either", |n| {
        let one = Match {
            principals: vec![StringMatch::Exact(principal(n))],
            ..Match::default()
        };
        let other = Match {
            source_ips: vec![range(n, 24)],
            ..Match::default()
        };
        vec![Rule {
            clauses: vec![Clause {
                matches: vec![one, other],
            }],
        }]
    }),
    // The same everywhere, and the client meets all of it but the last.
    ("identical", |_| {
        rule(Match {
            namespaces: vec![StringMatch::Exact("team-7".into())],
            source_ips: vec!["10.0.0.0/8".parse().expect("a range")],
            destination_ports: vec![8081],
            not_principals: vec![StringMatch::Suffix("-client".into())],
            ..Match::default()
        })
    }),
    ("everything", |n| MIXES[n as usize % 14].1(n / 14)),
];

fn policies(count: u32, mix: Mix, action: Action) -> Vec<Authorization> {
    let policy = |n: u32| {
        // Both scopes at once: half of them global.
        let scope = if n.is_multiple_of(2) {
            Scope::Global
        } else {
            Scope::Namespace
        };
        Authorization {
            key: PolicyKey::new("default", format!("{n:05}")),
            scope,
            action,
            dry_run: false,
            rules: mix.1(n),
        }
    };
    (0..count).map(policy).collect()
}

fn index(policies: &[Authorization]) -> PolicyIndex {
    let mut index = PolicyIndex::default();
    for policy in policies {
        index.insert(Arc::new(policy.clone()));
    }
    index
}

fn destination() -> Workload {
    Workload {
        namespace: "default".into(),
        ..Workload::default()
    }
}

/// A client that nothing but the shared conditions matches, so that all that is relevant must be looked at.
fn client() -> SpiffeId {
    SpiffeId::new(
        "cluster.local".into(),
        "team-7".into(),
        "service-7-client".into(),
    )
}

fn connection<'a>(destination: &'a Workload, identity: &'a SpiffeId) -> Connection<'a> {
    Connection {
        destination,
        identity: Some(identity),
        behind: None,
        source_ip: [10, 0, 0, 5].into(),
        destination_addr: ([10, 0, 1, 7], 8081).into(),
    }
}

fn admission(c: &mut Criterion) {
    let (destination, identity) = (destination(), client());
    let connection = connection(&destination, &identity);
    let mut group = c.benchmark_group("admission");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(400));
    group.bench_function("no policies", |b| {
        let index = PolicyIndex::default();
        b.iter(|| evaluate(black_box(&index), black_box(&connection)));
    });
    for mix in MIXES {
        for count in [100, 1_000, 10_000] {
            let policies = policies(count, mix, Action::Deny);
            let index = index(&policies);
            if count == 100 {
                assert_eq!(
                    evaluate(&index, &connection),
                    oracle::authorize(&policies, &connection)
                );
            }
            group.bench_function(BenchmarkId::new(mix.0, count), |b| {
                b.iter(|| evaluate(black_box(&index), black_box(&connection)));
            });
        }
    }
    group.finish();
}

fn oracle_for_comparison(c: &mut Criterion) {
    let (destination, identity) = (destination(), client());
    let connection = connection(&destination, &identity);
    let policies = policies(10_000, MIXES[0], Action::Deny);
    let mut group = c.benchmark_group("oracle");
    group
        .sample_size(10)
        .measurement_time(Duration::from_millis(400));
    group.bench_function("exact principals/10000", |b| {
        b.iter(|| oracle::authorize(black_box(&policies), black_box(&connection)));
    });
    group.finish();
}

/// One policy replaced among ten thousand, in an index that a snapshot still holds.
fn change(c: &mut Criterion) {
    let mut group = c.benchmark_group("change of one");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(400));
    for mix in MIXES {
        let policies = policies(10_000, mix, Action::Deny);
        let index = index(&policies);
        let changed = Arc::new(Authorization {
            rules: mix.1(12_345),
            ..policies[5_000].clone()
        });
        group.bench_function(BenchmarkId::new(mix.0, 10_000), |b| {
            b.iter_batched_ref(
                || index.clone(),
                |next| next.insert(Arc::clone(&changed)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, admission, oracle_for_comparison, change);
criterion_main!(benches);
