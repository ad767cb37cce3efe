//! Who tries to get round a field, or through it.

use super::*;

fn host(value: TextMatch) -> Field {
    text(TextAttribute::Host, vec![value])
}

fn path(value: TextMatch) -> Field {
    text(TextAttribute::Path, vec![value])
}

fn asking(authority: &str) -> Asker {
    Asker {
        authority: Some(authority.to_owned()),
        ..asker()
    }
}

fn at(path: &str) -> Asker {
    Asker {
        path: Some(path.to_owned()),
        ..asker()
    }
}

#[test]
fn the_case_of_a_host_hides_nothing() {
    for authority in ["SHOP.example", "Shop.Example", "sHoP.eXaMpLe:8080"] {
        assert!(holds(host(exact("shop.example")), &asking(authority)));
        assert!(holds(host(exact("Shop.EXAMPLE")), &asking(authority)));
        assert!(holds(host(suffix(".Example")), &asking(authority)));
        assert!(holds(host(prefix("SHOP.")), &asking(authority)));
    }
}

#[test]
fn a_value_without_port_holds_for_any_port() {
    for authority in ["shop.example", "shop.example:80", "shop.example:65535"] {
        assert!(holds(host(exact("shop.example")), &asking(authority)));
        assert!(holds(host(suffix(".example")), &asking(authority)));
        assert!(holds(host(prefix("shop.example")), &asking(authority)));
    }
    // A colon without a port is no other host.
    assert!(holds(host(exact("shop.example")), &asking("shop.example:")));
}

#[test]
fn a_value_with_a_port_holds_for_that_port_alone() {
    let field = host(exact("shop.example:8080"));
    assert!(holds(field.clone(), &asking("shop.example:8080")));
    assert!(!holds(field.clone(), &asking("shop.example")));
    assert!(!holds(field.clone(), &asking("shop.example:80")));
    assert!(!holds(field, &asking("shop.example:80800")));
    assert!(holds(
        host(prefix("shop.example:")),
        &asking("shop.example:1")
    ));
}

#[test]
fn the_dot_of_the_root_hides_no_host() {
    for authority in ["shop.example.", "shop.example.:8080", "SHOP.example."] {
        assert!(holds(host(exact("shop.example")), &asking(authority)));
        assert!(holds(host(suffix(".example")), &asking(authority)));
    }
    assert!(holds(
        host(exact("shop.example:8080")),
        &asking("shop.example.:8080")
    ));
}

#[test]
fn what_is_no_port_does_not_become_a_host() {
    for authority in [
        "shop.example:80x",
        "shop.example:80:80",
        "user@shop.example",
        "shop.example:80.evil.example",
        "evil.example:shop.example",
    ] {
        assert!(
            !holds(host(exact("shop.example")), &asking(authority)),
            "{authority}"
        );
    }
}

#[test]
fn an_ipv6_address_keeps_its_colons() {
    assert!(holds(host(exact("[fd00::1]")), &asking("[fd00::1]:8080")));
    assert!(holds(host(exact("[fd00::1]")), &asking("[FD00::1]")));
    assert!(!holds(host(exact("[fd00:")), &asking("[fd00::1]")));
    assert!(!holds(host(exact("fd00:")), &asking("fd00::1")));
}

#[test]
fn a_suffix_is_no_part_of_a_longer_name() {
    let field = host(suffix(".shop.example"));
    assert!(holds(field.clone(), &asking("a.shop.example")));
    assert!(!holds(field.clone(), &asking("shop.example")));
    assert!(!holds(field.clone(), &asking("ashop.example")));
    assert!(!holds(field, &asking("a.shop.example.evil")));
}

#[test]
fn a_missing_authority_holds_for_nothing_but_a_negation() {
    for nobody in [
        Asker {
            authority: None,
            ..asker()
        },
        asking(""),
    ] {
        assert!(!holds(host(TextMatch::Present), &nobody));
        assert!(!holds(host(exact("")), &nobody));
        assert!(!holds(host(prefix("")), &nobody));
    }
}

#[test]
fn prefixes_and_suffixes_of_paths_end_where_they_end() {
    assert!(holds(path(prefix("/admin")), &at("/admin")));
    assert!(holds(path(prefix("/admin")), &at("/administrator")));
    assert!(!holds(path(prefix("/admin/")), &at("/admin")));
    assert!(!holds(path(prefix("/admin")), &at("/Admin")));
    assert!(!holds(path(prefix("/admin")), &at("/adm")));
    assert!(holds(path(suffix("/info")), &at("/info")));
    assert!(!holds(path(suffix("/info")), &at("/info/")));
    assert!(!holds(path(exact("/admin")), &at("/admin/")));
}

#[test]
fn a_template_takes_an_encoded_slash_for_a_letter() {
    let field = path(template("/files/{*}"));
    assert!(holds(field.clone(), &at("/files/a%2F..%2Fadmin")));
    assert!(!holds(field.clone(), &at("/files/a/admin")));
    assert!(!holds(field.clone(), &at("/files/")));
    assert!(!holds(field, &at("/files%2Fa")));
    assert!(holds(path(template("/{**}/admin")), &at("/a%2Fb/c/admin")));
    assert!(!holds(path(template("/{**}/admin")), &at("/admin")));
}

#[test]
fn a_mapped_address_is_the_address_that_it_maps() {
    let mapped = Asker {
        source: Some("::ffff:10.0.0.5".parse().unwrap()),
        remote: Some("::ffff:203.0.113.9".parse().unwrap()),
        ..asker()
    };
    for asker in [asker(), mapped] {
        assert!(holds(ip(IpAttribute::Source, &["10.0.0.0/8"]), &asker));
        assert!(holds(
            ip(IpAttribute::Source, &["::ffff:10.0.0.0/104"]),
            &asker
        ));
        assert!(holds(ip(IpAttribute::Remote, &["203.0.113.9/32"]), &asker));
        // A range of IPv6 is none of IPv4.
        assert!(!holds(ip(IpAttribute::Source, &["::/0"]), &asker));
        assert!(!holds(ip(IpAttribute::Source, &["::a00:5/128"]), &asker));
    }
    let v6 = Asker {
        source: Some("fd00::1".parse().unwrap()),
        ..asker()
    };
    assert!(!holds(ip(IpAttribute::Source, &["0.0.0.0/0"]), &v6));
    assert!(holds(ip(IpAttribute::Source, &["fd00::/64"]), &v6));
}

#[test]
fn the_bits_behind_a_prefix_do_not_count() {
    assert!(holds(ip(IpAttribute::Source, &["10.0.0.200/24"]), &asker()));
    assert!(!holds(ip(IpAttribute::Source, &["10.0.0.4/32"]), &asker()));
    assert!(holds(ip(IpAttribute::Source, &["10.0.0.4/31"]), &asker()));
    assert!(!holds(ip(IpAttribute::Source, &["10.0.0.6/31"]), &asker()));
}

/// S0: everybody but the office is kept from a path. Who hides their address is kept from it as well.
#[test]
fn a_denial_of_all_but_some_addresses_holds_for_who_has_none() {
    let rule = || {
        all(vec![
            path(prefix("/admin")),
            not(ip(IpAttribute::Remote, &["203.0.113.0/24"])),
        ])
    };
    assert!(!matches(rule(), &at("/admin")));
    assert!(!matches(rule(), &at("/shop")));
    let outside = Asker {
        remote: Some([198, 51, 100, 1].into()),
        ..at("/admin")
    };
    assert!(matches(rule(), &outside));
    let nobody = Asker {
        remote: None,
        ..at("/admin")
    };
    assert!(matches(rule(), &nobody));
}

#[test]
fn a_principal_does_not_match_across_its_parts() {
    let field = |value| text(TextAttribute::SourcePrincipal, vec![value]);
    assert!(!holds(field(exact("cluster.local/ns/client")), &asker()));
    assert!(!holds(field(suffix("/sa/we")), &asker()));
    assert!(!holds(field(prefix("spiffe://cluster.local")), &asker()));
    let account = |value| text(TextAttribute::SourceServiceAccount, vec![exact(value)]);
    assert!(!holds(account("web"), &asker()));
    assert!(!holds(account("client/we"), &asker()));
}

#[test]
fn a_claim_is_not_found_by_the_way_of_another() {
    let field = |way: &[&str]| {
        let way = way.iter().map(|name| Name::from(*name)).collect();
        text(TextAttribute::Claim(way), vec![exact("x")])
    };
    let mut asker = asker();
    asker
        .claims
        .insert(vec!["a".into(), "b".into()], vec!["x".to_owned()]);
    assert!(holds(field(&["a", "b"]), &asker));
    assert!(!holds(field(&["a"]), &asker));
    assert!(!holds(field(&["a.b"]), &asker));
    assert!(!holds(field(&["b", "a"]), &asker));
}

#[test]
fn many_headers_are_found_by_the_names_that_a_request_has() {
    let policies: Vec<Policy> = (0..40)
        .map(|n| {
            let field = text(
                TextAttribute::Header(format!("x-{n}").into()),
                vec![exact("1")],
            );
            policy(&format!("{n:02}"), Action::Deny, vec![all(vec![field])])
        })
        .chain([policy(
            "host",
            Action::Deny,
            vec![all(vec![text(
                TextAttribute::Header(":path".into()),
                vec![exact("/x?y")],
            )])],
        )])
        .collect();
    let mut asker = asker();
    assert!(verdict(&policies, &asker).allowed);
    asker.headers.insert("x-7".to_owned(), b"1".to_vec());
    assert_eq!(
        verdict(&policies, &asker).by.as_deref(),
        Some("ns[default]-policy[07]-rule[0]")
    );
    asker.headers.clear();
    // It is none of the names that are gone through.
    let pseudo = Pseudo(asker);
    let book = Rulebook::new(policies);
    assert!(!authorize(&[&book], &pseudo).enforced.is_allowed());
}

/// A request whose `:path` is `/x?y`.
struct Pseudo(Asker);

impl Facts for Pseudo {
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match name {
            ":path" => Some(Cow::Borrowed(b"/x?y")),
            name => self.0.header(name),
        }
    }

    fn is_http(&self) -> bool {
        true
    }

    fn client(&self) -> Option<&Certified> {
        self.0.client()
    }

    fn ip(&self, attribute: IpAttribute) -> Option<IpAddr> {
        self.0.ip(attribute)
    }

    fn destination_port(&self) -> u16 {
        self.0.destination_port()
    }

    fn sni(&self) -> Option<&str> {
        self.0.sni()
    }

    fn authority(&self) -> Option<&str> {
        self.0.authority()
    }

    fn method(&self) -> Option<&str> {
        self.0.method()
    }

    fn path(&self) -> Option<&str> {
        self.0.path()
    }

    fn header_names(&self, visit: &mut dyn FnMut(&str)) {
        self.0.header_names(visit);
    }

    fn request_principal(&self) -> Option<&RequestPrincipal> {
        self.0.request_principal()
    }

    fn presenter(&self) -> Option<&str> {
        self.0.presenter()
    }

    fn any_audience(&self, test: TextTest<'_>) -> bool {
        self.0.any_audience(test)
    }

    fn any_claim(&self, path: &[Name], test: TextTest<'_>) -> bool {
        self.0.any_claim(path, test)
    }

    fn any_metadata(&self, filter: &str, path: &[Name], test: TextTest<'_>) -> bool {
        self.0.any_metadata(filter, path, test)
    }
}
