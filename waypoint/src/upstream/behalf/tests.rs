//! Who shares a connection with whom, and how each begins.

use http::Uri;
use mesh::San;

use super::*;

fn plain() -> Way {
    Way::Plain
}

fn tunnel() -> Way {
    Way::Hbone {
        peer: "10.0.1.7:15008".parse().unwrap(),
        authority: Uri::from_static("10.0.1.7:8080"),
        expected: vec![San::from("spiffe://cluster.local/ns/shop/sa/cart")],
    }
}

fn id(account: &str) -> SpiffeId {
    SpiffeId::new("cluster.local".into(), "client".into(), account.into())
}

fn client<'a>(identity: &'a SpiffeId, source: &str) -> Client<'a> {
    Client {
        identity,
        source: source.parse().unwrap(),
        destination: Some("10.96.0.1:80".parse().unwrap()),
    }
}

const NAME: Telling = Telling {
    name: true,
    proxy: None,
};
const PROXY: Telling = Telling {
    name: false,
    proxy: Some(ProxyVersion::V2),
};
const BOTH: Telling = Telling {
    name: true,
    proxy: Some(ProxyVersion::V1),
};

#[test]
fn where_nobody_is_told_anything_connections_are_shared() {
    let web = id("web");
    let client = client(&web, "10.0.0.5:1000");
    for way in [plain(), tunnel()] {
        assert_eq!(Telling::default().lane(Some(&client), &way), None);
        assert_eq!(Telling::default().lane(None, &way), None);
        // The waypoint's own questions name nobody.
        assert_eq!(NAME.lane(None, &way), None);
    }
    // A name has no place without a tunnel.
    assert_eq!(NAME.lane(Some(&client), &plain()), None);
}

#[test]
fn no_two_clients_share_a_lane() {
    let (web, admin) = (id("web"), id("admin"));
    let clients = [
        client(&web, "10.0.0.5:1000"),
        client(&admin, "10.0.0.5:1000"),
        client(&web, "10.0.0.6:1000"),
        client(&admin, "[fd00::6]:1000"),
    ];
    for telling in [NAME, PROXY, BOTH] {
        let lane = |client| telling.lane(Some(client), &tunnel()).unwrap();
        for (index, one) in clients.iter().enumerate() {
            for other in clients.iter().skip(index + 1) {
                assert_ne!(lane(one), lane(other), "{telling:?}");
            }
        }
    }
}

#[test]
fn ports_and_destinations_tell_apart_where_they_are_told() {
    let web = id("web");
    let one = client(&web, "10.0.0.5:1000");
    let port = client(&web, "10.0.0.5:1001");
    let elsewhere = Client {
        destination: Some("10.96.0.2:80".parse().unwrap()),
        ..one
    };
    for other in [port, elsewhere] {
        let lanes = |telling: Telling| {
            [one, other].map(|client| telling.lane(Some(&client), &tunnel()).unwrap())
        };
        let [a, b] = lanes(NAME);
        assert_eq!(a, b);
        for telling in [PROXY, BOTH] {
            let [a, b] = lanes(telling);
            assert_ne!(a, b, "{telling:?}");
        }
    }
}

#[test]
fn lanes_of_other_rules_are_other_lanes() {
    let web = id("web");
    // As where only `x-forwarded-for` told of it.
    let bare = Client {
        destination: None,
        ..client(&web, "10.0.0.5:0")
    };
    let version1 = Telling {
        proxy: Some(ProxyVersion::V1),
        ..PROXY
    };
    let lanes = [NAME, PROXY, BOTH, version1].map(|it| it.lane(Some(&bare), &tunnel()).unwrap());
    for (index, one) in lanes.iter().enumerate() {
        assert!(lanes.iter().skip(index + 1).all(|other| other != one));
    }
    assert_ne!(
        PROXY.lane(None, &tunnel()),
        PROXY.lane(Some(&bare), &tunnel())
    );
}

#[test]
fn a_lane_begins_with_what_is_to_be_told() {
    let web = id("web");
    let client = client(&web, "10.0.0.5:1000");
    let endpoint = "10.0.1.7:8080".parse().unwrap();
    let named = NAME.lane(Some(&client), &tunnel()).unwrap();
    let name = named.name().unwrap();
    assert_eq!(name.unwrap(), "spiffe://cluster.local/ns/client/sa/web");
    assert_eq!(named.header(endpoint), None);

    let proxied = BOTH.lane(Some(&client), &tunnel()).unwrap();
    assert!(proxied.name().unwrap().is_some());
    let header = proxied.header(endpoint).unwrap();
    assert_eq!(header, "PROXY TCP4 10.0.0.5 10.96.0.1 1000 80\r\n");

    let plain = BOTH.lane(Some(&client), &plain()).unwrap();
    assert_eq!(plain.name().unwrap(), None);

    let nameless = Client {
        destination: None,
        ..client
    };
    let lane = BOTH.lane(Some(&nameless), &tunnel()).unwrap();
    let header = lane.header(endpoint).unwrap();
    assert_eq!(header, "PROXY TCP4 10.0.0.5 10.0.1.7 1000 8080\r\n");

    let own = BOTH.lane(None, &tunnel()).unwrap();
    assert_eq!(own.name().unwrap(), None);
    assert_eq!(own.header(endpoint).unwrap(), "PROXY UNKNOWN\r\n");
}
