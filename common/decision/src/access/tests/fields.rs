//! What each field means.

use super::*;

#[test]
fn the_source_is_the_certified_client() {
    use TextAttribute as A;
    let principal = "cluster.local/ns/client/sa/web";
    for (attribute, value) in [
        (A::SourcePrincipal, exact(principal)),
        (A::SourcePrincipal, prefix("cluster.local/ns/client/")),
        (A::SourcePrincipal, suffix("/sa/web")),
        (A::SourcePrincipal, TextMatch::Present),
        (A::SourceNamespace, exact("client")),
        (A::SourceNamespace, prefix("cl")),
        (A::SourceServiceAccount, exact("client/web")),
        (A::SourceTrustDomain, exact("cluster.local")),
        (A::SourceTrustDomain, suffix(".local")),
    ] {
        let field = text(attribute, vec![exact("none"), value]);
        assert!(holds(field.clone(), &asker()), "{field:?}");
        let plaintext = Asker {
            client: None,
            ..asker()
        };
        assert!(!holds(field.clone(), &plaintext), "{field:?}");
    }
}

#[test]
fn the_two_source_addresses_are_told_apart() {
    assert!(holds(ip(IpAttribute::Source, &["10.0.0.0/24"]), &asker()));
    assert!(!holds(
        ip(IpAttribute::Source, &["203.0.113.0/24"]),
        &asker()
    ));
    assert!(holds(
        ip(IpAttribute::Remote, &["203.0.113.9/32"]),
        &asker()
    ));
    assert!(!holds(ip(IpAttribute::Remote, &["10.0.0.0/8"]), &asker()));
    assert!(holds(
        ip(IpAttribute::Destination, &["10.0.1.7/32"]),
        &asker()
    ));
    let nobody = Asker {
        remote: None,
        ..asker()
    };
    assert!(!holds(ip(IpAttribute::Remote, &["0.0.0.0/0"]), &nobody));
}

#[test]
fn the_operation_is_host_port_method_and_path() {
    use TextAttribute as A;
    assert!(holds(text(A::Host, vec![exact("shop.example")]), &asker()));
    assert!(holds(text(A::Host, vec![suffix(".example")]), &asker()));
    assert!(holds(text(A::Method, vec![exact("GET")]), &asker()));
    assert!(!holds(text(A::Method, vec![exact("get")]), &asker()));
    assert!(holds(text(A::Path, vec![exact("/shop/cart")]), &asker()));
    assert!(holds(text(A::Path, vec![prefix("/shop")]), &asker()));
    assert!(holds(text(A::Path, vec![suffix("/cart")]), &asker()));
    assert!(holds(text(A::Path, vec![template("/{*}/cart")]), &asker()));
    assert!(!holds(text(A::Path, vec![template("/{*}")]), &asker()));
    assert!(holds(port(&[80, 8080]), &asker()));
    assert!(!holds(port(&[80, 0]), &asker()));
}

#[test]
fn a_header_is_compared_with_its_case_and_is_there_even_if_empty() {
    let field = |value| text(TextAttribute::Header("x-team".into()), vec![value]);
    let mut asker = asker();
    assert!(!holds(field(TextMatch::Present), &asker));
    asker.headers.insert("x-team".to_owned(), b"Red".to_vec());
    assert!(holds(field(exact("Red")), &asker));
    assert!(!holds(field(exact("red")), &asker));
    assert!(holds(field(prefix("Re")), &asker));
    assert!(holds(field(suffix("ed")), &asker));
    assert!(holds(field(TextMatch::Present), &asker));
    asker.headers.insert("x-team".to_owned(), Vec::new());
    assert!(holds(field(TextMatch::Present), &asker));
    assert!(!holds(field(exact("Red")), &asker));
}

#[test]
fn what_is_no_header_may_not_be_there_and_empty() {
    let field = text(TextAttribute::Presenter, vec![TextMatch::Present]);
    let empty = Asker {
        presenter: Some(String::new()),
        ..asker()
    };
    assert!(!holds(field, &empty));
}

#[test]
fn a_list_of_claims_holds_if_one_of_them_does() {
    let path: Vec<Name> = vec!["realm".into(), "groups".into()];
    let field = |value: &str| {
        text(
            TextAttribute::Claim(vec!["realm".into(), "groups".into()]),
            vec![exact(value)],
        )
    };
    let mut asker = asker();
    assert!(!holds(field("admins"), &asker));
    let groups = ["users", "admins"].map(str::to_owned).to_vec();
    asker.claims.insert(path, groups);
    assert!(holds(field("admins"), &asker));
    assert!(holds(field("users"), &asker));
    assert!(!holds(field("users,admins"), &asker));
}

#[test]
fn an_audience_holds_if_one_of_several_does() {
    let field = |value: &str| text(TextAttribute::Audiences, vec![exact(value)]);
    let asker = Asker {
        audiences: ["a", "b"].map(str::to_owned).to_vec(),
        ..asker()
    };
    assert!(holds(field("b"), &asker));
    assert!(!holds(field("c"), &asker));
}

#[test]
fn an_authorizers_word_is_found_by_its_name_and_the_way_into_it() {
    let way: Vec<Name> = vec!["tier".into()];
    let field = |filter: &str| {
        let way = vec!["tier".into()];
        text(
            TextAttribute::Metadata(filter.into(), way),
            vec![exact("gold")],
        )
    };
    let mut asker = asker();
    asker.metadata.insert(
        ("envoy.filters.http.ext_authz".into(), way),
        vec!["gold".to_owned()],
    );
    assert!(holds(field("envoy.filters.http.ext_authz"), &asker));
    assert!(!holds(field("envoy.filters.http.lua"), &asker));
}

#[test]
fn a_rule_is_the_and_of_clauses_and_a_clause_the_or_of_matches() {
    let namespace = |name: &str| text(TextAttribute::SourceNamespace, vec![exact(name)]);
    let path = |value: &str| text(TextAttribute::Path, vec![exact(value)]);
    let rule = |from: &[&str], to: &[&str]| Rule {
        clauses: vec![
            Clause {
                matches: from
                    .iter()
                    .map(|name| Match {
                        fields: vec![namespace(name)],
                    })
                    .collect(),
            },
            Clause {
                matches: to
                    .iter()
                    .map(|value| Match {
                        fields: vec![path(value)],
                    })
                    .collect(),
            },
        ],
    };
    assert!(matches(
        rule(&["other", "client"], &["/x", "/shop/cart"]),
        &asker()
    ));
    assert!(!matches(rule(&["other"], &["/shop/cart"]), &asker()));
    assert!(!matches(rule(&["other", "client"], &["/x"]), &asker()));
    // Of no matches none holds.
    assert!(!matches(rule(&[], &["/shop/cart"]), &asker()));
    assert!(matches(Rule::default(), &asker()));
    assert!(matches(all(Vec::new()), &asker()));
}

#[test]
fn a_long_list_means_what_a_short_one_does() {
    let hosts = |last: &str| {
        let others = (0..100).map(|n| exact(&format!("host-{n}.example")));
        text(TextAttribute::Host, others.chain([exact(last)]).collect())
    };
    assert!(holds(hosts("shop.example"), &asker()));
    assert!(!holds(hosts("shop.example.org"), &asker()));
    let mut ranges: Vec<String> = (0..100).map(|n| format!("172.16.{n}.0/24")).collect();
    ranges.push("203.0.113.0/24".to_owned());
    let ranges: Vec<&str> = ranges.iter().map(String::as_str).collect();
    assert!(holds(ip(IpAttribute::Remote, &ranges), &asker()));
    assert!(!holds(ip(IpAttribute::Remote, &ranges[..100]), &asker()));
    let paths = |last| {
        let others = (0..100).map(|n| template(&format!("/{{*}}/{n}")));
        text(TextAttribute::Path, others.chain([last]).collect())
    };
    assert!(holds(paths(template("/{*}/cart")), &asker()));
    assert!(!holds(paths(template("/{*}/car")), &asker()));
    let ports: Vec<u16> = (8000..8100).rev().collect();
    assert!(holds(port(&ports), &asker()));
}
