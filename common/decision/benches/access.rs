//! What one admission at a waypoint costs with many policies of layer 7, and what it costs to compile them.
//!
//! `cargo bench -p decision --bench access`. Goal: 5 microseconds with 10,000 policies, whatever their mix.

use std::{borrow::Cow, hint::black_box, net::IpAddr, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use decision::access::{authorize, oracle};
use mesh::{
    Name, PolicyKey, SpiffeId,
    access::{
        Certified, Facts, Policy, RequestPrincipal, Rulebook,
        authorization::{
            Action, Clause, Field, IpAttribute, Match, Rule, Test, TextAttribute, TextMatch,
        },
        facts::TextTest,
    },
};

type Mix = (&'static str, fn(u32) -> Vec<Field>);

fn text(attribute: TextAttribute, value: TextMatch) -> Field {
    Field {
        test: Test::Text(attribute, vec![value]),
        negate: false,
    }
}

fn exact(text: String) -> TextMatch {
    TextMatch::Exact(text.into())
}

fn not(field: Field) -> Field {
    Field {
        negate: true,
        ..field
    }
}

fn remote(number: u32, length: u8) -> Field {
    let address = IpAddr::from((0x1400_0000 + (number << 8)).to_be_bytes());
    let range = ipnet::IpNet::new_assert(address, length).trunc();
    Field {
        test: Test::Ip(IpAttribute::Remote, vec![range]),
        negate: false,
    }
}

fn namespace(number: u32) -> Field {
    text(
        TextAttribute::SourceNamespace,
        exact(format!("team-{number}")),
    )
}

fn host(number: u32) -> Field {
    text(
        TextAttribute::Host,
        exact(format!("service-{number}.shop.example")),
    )
}

fn path(number: u32) -> Field {
    let prefix = format!("/api/v1/resource-{number}/");
    text(TextAttribute::Path, TextMatch::Prefix(prefix.into()))
}

const MIXES: [Mix; 15] = [
    ("principals", |n| {
        let principal = format!("cluster.local/ns/team-{}/sa/service-{n}", n % 100);
        vec![text(TextAttribute::SourcePrincipal, exact(principal))]
    }),
    ("suffixes of principals", |n| {
        let suffix = TextMatch::Suffix(format!("/sa/service-{n}").into());
        vec![text(TextAttribute::SourcePrincipal, suffix)]
    }),
    ("namespaces", |n| vec![namespace(n + 100)]),
    ("paths", |n| vec![path(n)]),
    ("templates", |n| {
        let template = TextMatch::Template(format!("/api/{{*}}/resource-{n}/{{**}}").into());
        vec![text(TextAttribute::Path, template), host(n % 500)]
    }),
    ("templates alone", |n| {
        let template = TextMatch::Template(format!("/api/{{*}}/resource-{n}/{{**}}").into());
        vec![text(TextAttribute::Path, template)]
    }),
    ("hosts", |n| vec![host(n + 100)]),
    ("suffixes of hosts", |n| {
        let suffix = TextMatch::Suffix(format!(".zone-{n}.example").into());
        vec![text(TextAttribute::Host, suffix)]
    }),
    ("values of a header", |n| {
        let value = exact(format!("tenant-{n}"));
        vec![text(TextAttribute::Header("x-tenant".into()), value)]
    }),
    ("names of headers", |n| {
        let header = TextAttribute::Header(format!("x-feature-{n}").into());
        vec![text(header, exact("on".to_owned()))]
    }),
    ("blocks", |n| {
        vec![remote(n, [16, 20, 24, 25, 28, 32][n as usize % 6])]
    }),
    // Few values that combine: every policy shares each of its conditions with a hundred others and more.
    ("shared conditions", |n| {
        vec![
            namespace(n % 50),
            text(
                TextAttribute::Method,
                exact(["POST", "PUT", "GET"][n as usize % 3].to_owned()),
            ),
            not(remote(n, 32)),
        ]
    }),
    // S0: a path, but not for some addresses.
    ("path and other addresses", |n| {
        vec![path(n), not(remote(n, 24))]
    }),
    // Nothing to be found by: all deny everyone but the client and somebody of their own.
    ("negations", |n| {
        let principal = |name: String| exact(format!("cluster.local/ns/team-7/sa/{name}"));
        let values = vec![principal(format!("other-{n}")), principal("client".into())];
        vec![Field {
            test: Test::Text(TextAttribute::SourcePrincipal, values),
            negate: true,
        }]
    }),
    ("everything", |n| MIXES[n as usize % 14].1(n / 14)),
];

fn policies(count: u32, mix: Mix) -> Vec<Policy> {
    let policy = |n: u32| Policy {
        key: PolicyKey::new("default", format!("{n:05}")),
        action: Action::Deny,
        dry_run: false,
        rules: vec![Rule {
            clauses: vec![Clause {
                matches: vec![Match { fields: mix.1(n) }],
            }],
        }],
    };
    (0..count).map(policy).collect()
}

/// A request that nothing but the shared conditions matches, so that all that is relevant must be looked at.
struct Request {
    client: Certified,
    headers: Vec<(&'static str, &'static [u8])>,
}

fn request() -> Request {
    let id = SpiffeId::new("cluster.local".into(), "team-7".into(), "client".into());
    Request {
        client: Certified::new(id),
        headers: vec![
            ("accept", b"application/json"),
            ("accept-encoding", b"gzip"),
            ("authorization", b"Bearer token"),
            ("content-type", b"application/json"),
            ("traceparent", b"00-0-0-00"),
            ("user-agent", b"bench"),
            ("x-forwarded-for", b"203.0.113.9"),
            ("x-forwarded-proto", b"https"),
            ("x-request-id", b"0"),
            ("x-tenant", b"tenant-none"),
        ],
    }
}

impl Facts for Request {
    fn is_http(&self) -> bool {
        true
    }

    fn client(&self) -> Option<&Certified> {
        Some(&self.client)
    }

    fn ip(&self, attribute: IpAttribute) -> Option<IpAddr> {
        Some(match attribute {
            IpAttribute::Source => [10, 0, 0, 5].into(),
            IpAttribute::Remote => [20, 200, 0, 1].into(),
            IpAttribute::Destination => [10, 0, 1, 7].into(),
        })
    }

    fn destination_port(&self) -> u16 {
        8080
    }

    fn sni(&self) -> Option<&str> {
        None
    }

    fn authority(&self) -> Option<&str> {
        Some("service-7.shop.example:8080")
    }

    fn method(&self) -> Option<&str> {
        Some("GET")
    }

    fn path(&self) -> Option<&str> {
        Some("/api/v1/resource-none/items/17")
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut headers = self.headers.iter();
        let (_, value) = headers.find(|(other, _)| *other == name)?;
        Some(Cow::Borrowed(value))
    }

    fn header_names(&self, visit: &mut dyn FnMut(&str)) {
        self.headers.iter().for_each(|(name, _)| visit(name));
    }

    fn request_principal(&self) -> Option<&RequestPrincipal> {
        None
    }

    fn presenter(&self) -> Option<&str> {
        None
    }

    fn any_audience(&self, _test: TextTest<'_>) -> bool {
        false
    }

    fn any_claim(&self, _path: &[Name], _test: TextTest<'_>) -> bool {
        false
    }

    fn any_metadata(&self, _filter: &str, _path: &[Name], _test: TextTest<'_>) -> bool {
        false
    }
}

fn admission(c: &mut Criterion) {
    let request = request();
    let mut group = c.benchmark_group("admission at a waypoint");
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(400));
    group.bench_function("no policies", |b| {
        let book = Rulebook::default();
        b.iter(|| authorize(black_box(&[&book, &book]), black_box(&request)));
    });
    for mix in MIXES {
        for count in [1, 100, 10_000] {
            let policies = policies(count, mix);
            let book = Rulebook::new(policies.clone());
            let (settings, verdict) = (Rulebook::default(), authorize(&[&book], &request));
            let expected = oracle::authorize(&policies, &request);
            assert_eq!(verdict.enforced.is_allowed(), expected.allowed, "{}", mix.0);
            group.bench_function(BenchmarkId::new(mix.0, count), |b| {
                b.iter(|| authorize(black_box(&[&settings, &book]), black_box(&request)));
            });
        }
    }
    group.finish();
}

fn compilation(c: &mut Criterion) {
    let mut group = c.benchmark_group("compilation");
    group
        .sample_size(10)
        .measurement_time(Duration::from_millis(500));
    for count in [10, 10_000] {
        let policies = policies(count, MIXES[14]);
        group.bench_function(BenchmarkId::new("everything", count), |b| {
            b.iter_batched(|| policies.clone(), Rulebook::new, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, admission, compilation);
criterion_main!(benches);
