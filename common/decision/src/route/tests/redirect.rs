//! Locations.

use std::num::NonZeroU16;

use mesh::route::{PathRedirect, Redirect, RedirectPort};

use super::{Head, head, prefix, segments};
use crate::route::redirect::location;

fn same() -> Redirect {
    Redirect {
        scheme: None,
        authority: None,
        port: RedirectPort::Authority,
        path: None,
        status: 302,
    }
}

fn number(port: u16) -> RedirectPort {
    RedirectPort::Number(NonZeroU16::new(port).unwrap())
}

#[test]
fn what_is_not_said_is_as_in_the_request() {
    let asked = Head {
        authority: "Web.example:8080",
        path: "/a",
        query: Some("b=c"),
        ..head()
    };
    assert_eq!(
        location(&same(), None, &asked),
        "http://Web.example:8080/a?b=c"
    );
    let host = Redirect {
        authority: Some("other".into()),
        ..same()
    };
    assert_eq!(location(&host, None, &asked), "http://other/a?b=c");
}

/// The origin of the location, by scheme, authority and port of the redirect, for a request.
fn origin(
    scheme: Option<&str>,
    authority: Option<&str>,
    port: RedirectPort,
    asked: &Head<'_>,
) -> String {
    let redirect = Redirect {
        scheme: scheme.map(Into::into),
        authority: authority.map(Into::into),
        port,
        ..same()
    };
    let location = location(&redirect, None, asked);
    location.strip_suffix('/').unwrap().to_owned()
}

#[test]
fn the_default_port_of_a_scheme_is_left_out() {
    let bare = head();
    let with = |authority, port| Head {
        authority,
        port,
        ..head()
    };
    let https = Some("https");
    assert_eq!(
        origin(https, None, number(443), &bare),
        "https://web.example"
    );
    assert_eq!(
        origin(https, None, number(8443), &bare),
        "https://web.example:8443"
    );
    assert_eq!(
        origin(https, None, number(80), &bare),
        "https://web.example:80"
    );
    assert_eq!(origin(None, None, number(80), &bare), "http://web.example");
    assert_eq!(origin(None, Some("o:81"), number(82), &bare), "http://o:82");
    assert_eq!(
        origin(None, Some("o:81"), RedirectPort::Authority, &bare),
        "http://o:81"
    );

    let eighty = with("web.example:80", 80);
    assert_eq!(
        origin(None, None, RedirectPort::Authority, &eighty),
        "http://web.example"
    );
    assert_eq!(
        origin(https, None, RedirectPort::Authority, &eighty),
        "https://web.example"
    );
    let other = with("web.example:8080", 8080);
    assert_eq!(
        origin(https, None, RedirectPort::Authority, &other),
        "https://web.example:8080"
    );
    assert_eq!(
        origin(https, None, RedirectPort::Scheme, &other),
        "https://web.example"
    );
    assert_eq!(
        origin(None, None, RedirectPort::Request, &other),
        "http://web.example:8080"
    );
}

#[test]
fn the_port_of_the_request_is_the_one_that_was_called() {
    let asked = Head {
        port: 8080,
        ..head()
    };
    assert_eq!(
        origin(None, None, RedirectPort::Request, &asked),
        "http://web.example:8080"
    );
    let asked = Head {
        port: 443,
        ..head()
    };
    let https = Some("https");
    assert_eq!(
        origin(https, None, RedirectPort::Request, &asked),
        "https://web.example"
    );
}

#[test]
fn ipv6_keeps_its_brackets() {
    let asked = Head {
        authority: "[fd00::1]:80",
        ..head()
    };
    assert_eq!(
        origin(None, None, number(81), &asked),
        "http://[fd00::1]:81"
    );
    let asked = Head {
        authority: "[fd00::1]",
        ..head()
    };
    assert_eq!(
        origin(None, None, RedirectPort::Authority, &asked),
        "http://[fd00::1]"
    );
}

#[test]
fn paths_are_replaced_whole_or_by_prefix_and_keep_their_query() {
    let asked = Head {
        path: "/a/b",
        query: Some("q=1"),
        ..head()
    };
    let to = |path| Redirect {
        path: Some(path),
        ..same()
    };
    let full = to(PathRedirect::Full("/new".into()));
    assert_eq!(location(&full, None, &asked), "http://web.example/new?q=1");
    let full = to(PathRedirect::Full("/new?own=2".into()));
    assert_eq!(
        location(&full, None, &asked),
        "http://web.example/new?own=2"
    );
    let part = to(PathRedirect::Prefix("/x".into()));
    for matched in [prefix("/a"), segments("/a")] {
        let location = location(&part, Some(&matched), &asked);
        assert_eq!(location, "http://web.example/x/b?q=1");
    }
}

#[test]
fn without_an_authority_the_location_is_a_path() {
    let asked = Head {
        authority: "",
        path: "/a",
        ..head()
    };
    assert_eq!(location(&same(), None, &asked), "/a");
    let asked = Head {
        path: "*",
        ..head()
    };
    assert_eq!(location(&same(), None, &asked), "http://web.example/");
}
