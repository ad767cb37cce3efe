//! Compiled policies say what the oracle says, whatever the policies and whoever asks.

use proptest::{
    prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest},
    sample::select,
};

use super::*;

// Alphabets are small, so that conditions often hold and often nearly do.

const NAMES: [&str; 3] = ["a", "ab", "b"];
const HOSTS: [&str; 12] = [
    "a", "a.b", "A.b", "a.b:80", "a.b:8", "a.b.", "a.b.:80", "b", "[::1]", "[::1]:80", "a:b", "",
];
const PATHS: [&str; 10] = [
    "/", "/a", "/a/", "/a/b", "/a/b/", "/ab", "/a%2Fb", "//a", "/b/a/b", "*",
];
const TEMPLATES: [&str; 10] = [
    "/{*}",
    "/{**}",
    "/a/{*}",
    "/{*}/b",
    "/a/{**}",
    "/{**}/b",
    "/{*}/{*}",
    "/a/{**}/",
    "/{*}/{**}",
    "/a",
];
const ADDRESSES: [&str; 6] = [
    "10.0.0.1",
    "10.0.1.1",
    "::ffff:10.0.0.1",
    "fd00::1",
    "fd00::1:0:0:1",
    "11.0.0.1",
];
const RANGES: [&str; 12] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.0.0.0/24",
    "10.0.0.0/31",
    "10.0.0.1/32",
    "10.0.1.9/24",
    "::/0",
    "fd00::/64",
    "fd00::1/128",
    "::ffff:10.0.0.0/120",
    "::ffff:0:0/96",
    "::ffff:10.0.0.1/128",
];
const PORTS: [u16; 3] = [80, 81, 443];
const PRINCIPALS: [(&str, &str); 5] =
    [("i", "a"), ("i/a", "b"), ("i", "a/b"), ("", "a"), ("i", "")];
const TEXTS: [&str; 14] = [
    "",
    "a",
    "b",
    "ab",
    "/",
    "/b",
    "i/",
    "i/a",
    "i/a/b",
    "t/ns/a/sa/a",
    "t/ns/",
    "/sa/a",
    "a/a",
    "ns",
];

fn attribute() -> impl Strategy<Value = TextAttribute> {
    use TextAttribute as A;
    select(vec![
        A::SourcePrincipal,
        A::SourceNamespace,
        A::SourceServiceAccount,
        A::SourceTrustDomain,
        A::RequestPrincipal,
        A::Audiences,
        A::Presenter,
        A::Claim(vec!["a".into()]),
        A::Claim(vec!["a".into(), "b".into()]),
        A::Host,
        A::Method,
        A::Path,
        A::Header("a".into()),
        A::Header("b".into()),
        A::Sni,
        A::Metadata("f".into(), vec!["a".into()]),
    ])
}

/// A value that an attribute may have.
fn value(attribute: &TextAttribute) -> impl Strategy<Value = TextMatch> + use<> {
    let is_path = *attribute == TextAttribute::Path;
    let texts: &'static [&'static str] = if is_path {
        &PATHS
    } else if *attribute == TextAttribute::Host {
        &HOSTS
    } else {
        &TEXTS
    };
    (0..10_u8, select(texts), select(&TEMPLATES[..])).prop_map(move |(kind, text, template)| {
        match kind {
            0..=3 => TextMatch::Exact(text.into()),
            4..=5 => TextMatch::Prefix(text.into()),
            6..=7 => TextMatch::Suffix(text.into()),
            8 if is_path => TextMatch::Template(template.into()),
            _ => TextMatch::Present,
        }
    })
}

fn test() -> impl Strategy<Value = Test> {
    let text = attribute().prop_flat_map(|attribute| {
        let values = prop::collection::vec(value(&attribute), 1..4);
        (Just(attribute), values).prop_map(|(attribute, values)| Test::Text(attribute, values))
    });
    // So many that they are looked up.
    let long = attribute().prop_flat_map(|attribute| {
        let values = prop::collection::vec(value(&attribute), 17..24);
        (Just(attribute), values).prop_map(|(attribute, values)| Test::Text(attribute, values))
    });
    let addresses = select(vec![
        IpAttribute::Source,
        IpAttribute::Remote,
        IpAttribute::Destination,
    ]);
    let ranges = |length: std::ops::Range<usize>| {
        prop::collection::vec(
            select(&RANGES[..]).prop_map(|range| range.parse().unwrap()),
            length,
        )
    };
    let ports = prop::collection::vec(select(&PORTS[..]), 1..3);
    prop_oneof![
        12 => text,
        1 => long,
        3 => (addresses.clone(), ranges(1..3)).prop_map(|(attribute, ranges)| Test::Ip(attribute, ranges)),
        1 => (addresses, ranges(17..20)).prop_map(|(attribute, ranges)| Test::Ip(attribute, ranges)),
        2 => ports.prop_map(Test::DestinationPort),
    ]
}

fn field() -> impl Strategy<Value = Field> {
    (test(), prop::bool::weighted(0.3)).prop_map(|(test, negate)| Field { test, negate })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let one = || {
        let fields = prop_oneof![
            1 => Just(Vec::new()),
            20 => prop::collection::vec(field(), 1..3),
        ];
        fields.prop_map(|fields| Match { fields })
    };
    let clause = prop_oneof![
        1 => Just(Vec::new()),
        6 => prop::collection::vec(one(), 1),
        4 => prop::collection::vec(one(), 2..4),
    ];
    let clause = clause.prop_map(|matches| Clause { matches });
    // A rule without clauses matches everything, so it is rare.
    let rule = prop_oneof![
        1 => Just(Rule::default()),
        20 => prop::collection::vec(clause, 1..3).prop_map(|clauses| Rule { clauses }),
    ];
    prop::collection::vec(rule, 0..3)
}

fn a_policy(names: u8) -> impl Strategy<Value = Policy> {
    let action = select(vec![
        Action::Allow,
        Action::Allow,
        Action::Deny,
        Action::Deny,
        Action::Audit,
        asks("one"),
        asks("two"),
    ]);
    let key = (select(&["a", "b"][..]), 0..names);
    (key, action, 0..4_u8, rules()).prop_map(|((namespace, name), action, dry, rules)| Policy {
        key: PolicyKey::new(namespace, name.to_string()),
        dry_run: dry == 0 && !matches!(action, Action::Custom(_)),
        action,
        rules,
    })
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(0.8, select(&TEXTS[..]).prop_map(str::to_owned))
}

fn an_asker() -> impl Strategy<Value = Asker> {
    let client = (select(&NAMES[..]), select(&NAMES[..])).prop_map(|(namespace, name)| {
        let id = mesh::SpiffeId::new("t".into(), namespace.into(), name.into());
        Certified::new(id)
    });
    let address = || {
        let address = select(&ADDRESSES[..]).prop_map(|address| address.parse().unwrap());
        prop::option::weighted(0.9, address)
    };
    let from = |texts: &'static [&'static str]| {
        prop::option::weighted(0.9, select(texts).prop_map(str::to_owned))
    };
    let list = || prop::collection::vec(select(&TEXTS[..]).prop_map(str::to_owned), 0..3);
    let principal = select(&PRINCIPALS[..])
        .prop_map(|(issuer, subject)| RequestPrincipal::new(issuer, subject));
    let head = (
        prop::bool::weighted(0.8),
        prop::option::weighted(0.8, client),
        (address(), address(), address()),
        select(&PORTS[..]),
        some_text(),
    );
    let request = (
        from(&HOSTS),
        some_text(),
        from(&PATHS),
        prop::collection::btree_map(select(&NAMES[..]), select(&TEXTS[..]), 0..3),
    );
    let token = (
        prop::option::weighted(0.7, principal),
        some_text(),
        list(),
        (list(), list()),
        list(),
    );
    (head, request, token).prop_map(|(head, request, token)| {
        let (is_http, client, (source, remote, destination), port, sni) = head;
        let (authority, method, path, headers) = request;
        let (principal, presenter, audiences, claims, metadata) = token;
        Asker {
            is_http,
            client,
            source,
            remote,
            destination,
            port,
            sni,
            authority,
            method,
            path,
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
                .collect(),
            principal,
            presenter,
            audiences,
            claims: BTreeMap::from([
                (vec!["a".into()], claims.0),
                (vec!["a".into(), "b".into()], claims.1),
            ]),
            metadata: BTreeMap::from([(("f".into(), vec!["a".into()]), metadata)]),
        }
    })
}

proptest! {
    // 2,500 sets of policies, 50 requests each: 125,000 cases.
    #![proptest_config(ProptestConfig { cases: 2_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn compiled_policies_decide_as_the_oracle_does(
        policies in prop::collection::vec(a_policy(8), 0..10),
        askers in prop::collection::vec(an_asker(), 50),
        cut in any::<prop::sample::Index>(),
    ) {
        let (one, other) = policies.split_at(cut.index(policies.len() + 1));
        let books = [Rulebook::new(one.to_vec()), Rulebook::new(other.to_vec())];
        for asker in &askers {
            let expected = oracle::authorize(&policies, asker);
            prop_assert_eq!(compiled(&[&books[0], &books[1]], asker), expected, "{:?}", asker);
        }
    }
}

/// Fields of few values, each of which nearly holds.
fn crowded_field() -> impl Strategy<Value = Field> {
    let namespaces = prop::collection::vec(select(&NAMES[..]), 1..3).prop_map(|names| {
        let values = names.into_iter().map(exact).collect();
        Test::Text(TextAttribute::SourceNamespace, values)
    });
    let paths = prop::collection::vec(value(&TextAttribute::Path), 1..3)
        .prop_map(|values| Test::Text(TextAttribute::Path, values));
    let ports = prop::collection::vec(select(&PORTS[..]), 1..3).prop_map(Test::DestinationPort);
    let ranges = prop::collection::vec(select(&RANGES[..]), 1..3).prop_map(|ranges| {
        let ranges = ranges.into_iter().map(|range| range.parse().unwrap());
        Test::Ip(IpAttribute::Remote, ranges.collect())
    });
    // More headers than are asked for by name.
    let headers = (0..30_u8).prop_map(|name| {
        let name = if name < 3 {
            NAMES[usize::from(name)].to_owned()
        } else {
            name.to_string()
        };
        Test::Text(
            TextAttribute::Header(name.as_str().into()),
            vec![TextMatch::Present],
        )
    });
    let test = prop_oneof![3 => namespaces, 3 => paths, 2 => ports, 2 => ranges, 2 => headers];
    (test, prop::bool::weighted(0.5)).prop_map(|(test, negate)| Field { test, negate })
}

fn crowded_rule() -> impl Strategy<Value = Rule> {
    let one = || prop::collection::vec(crowded_field(), 2..5).prop_map(|fields| Match { fields });
    let clause = prop_oneof![
        5 => prop::collection::vec(one(), 1),
        1 => prop::collection::vec(one(), 2),
    ];
    let clause = clause.prop_map(|matches| Clause { matches });
    prop::collection::vec(clause, 1..3).prop_map(|clauses| Rule { clauses })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Many rules that share nearly everything, so that they stand behind guards.
    #[test]
    fn crowded_places_decide_as_the_oracle_does(
        rules in prop::collection::vec((0..4_u8, crowded_rule()), 300),
        askers in prop::collection::vec(an_asker(), 40),
    ) {
        let policies: Vec<Policy> = rules
            .into_iter()
            .enumerate()
            .map(|(number, (kind, rule))| {
                let action = if kind == 0 { Action::Allow } else { Action::Deny };
                policy(&number.to_string(), action, vec![rule])
            })
            .collect();
        let book = Rulebook::new(policies.clone());
        for asker in &askers {
            prop_assert_eq!(compiled(&[&book], asker), oracle::authorize(&policies, asker), "{:?}", asker);
        }
    }
}
