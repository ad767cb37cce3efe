//! Cross-origin requests.

use mesh::route::{Cors, StringMatch};

use crate::route::cors::{Allowed, CrossOrigin, Preflight, Verdict, judge};

fn policy() -> Cors {
    Cors {
        allow_origins: vec![
            StringMatch::Exact("https://a.example".into()),
            StringMatch::Prefix("http://b.".into()),
        ],
        allow_methods: "GET,POST".into(),
        allow_headers: "x-a".into(),
        expose_headers: "x-b".into(),
        max_age: Some(600),
        allow_credentials: false,
        forward_unmatched: false,
    }
}

fn get(origin: &str) -> CrossOrigin<'_> {
    CrossOrigin {
        method: "GET",
        origin: Some(origin.as_bytes()),
        request_method: None,
        request_headers: None,
    }
}

fn preflight(origin: &str) -> CrossOrigin<'_> {
    CrossOrigin {
        method: "OPTIONS",
        request_method: Some(b"PUT"),
        request_headers: Some(b"x-c"),
        ..get(origin)
    }
}

#[test]
fn a_request_without_origin_is_none_of_its_business() {
    for origin in [None, Some(&b""[..])] {
        let request = CrossOrigin {
            origin,
            ..preflight("")
        };
        assert_eq!(judge(&policy(), &request), Verdict::Pass);
    }
}

#[test]
fn the_response_to_an_allowed_origin_says_so() {
    let allowed = Allowed {
        origin: b"http://b.example",
        credentials: false,
        expose_headers: Some(b"x-b"),
    };
    assert_eq!(
        judge(&policy(), &get("http://b.example")),
        Verdict::Allow(allowed)
    );
    assert_eq!(judge(&policy(), &get("http://c.example")), Verdict::Pass);
    // OPTIONS that asks for no method is no preflight.
    let options = CrossOrigin {
        method: "OPTIONS",
        ..get("http://b.example")
    };
    assert_eq!(judge(&policy(), &options), Verdict::Allow(allowed));
}

#[test]
fn a_preflight_is_answered() {
    let answer = Preflight {
        origin: b"https://a.example",
        credentials: false,
        methods: Some(b"GET,POST"),
        headers: Some(b"x-a"),
        max_age: Some(600),
    };
    let request = preflight("https://a.example");
    assert_eq!(judge(&policy(), &request), Verdict::Preflight(answer));
    let silent = Cors {
        allow_methods: "".into(),
        allow_headers: "".into(),
        max_age: None,
        ..policy()
    };
    let answer = Preflight {
        methods: None,
        headers: None,
        max_age: None,
        ..answer
    };
    assert_eq!(judge(&silent, &request), Verdict::Preflight(answer));
}

#[test]
fn a_preflight_of_another_origin_is_declined_or_forwarded() {
    let request = preflight("https://c.example");
    assert_eq!(judge(&policy(), &request), Verdict::Decline);
    let forwarding = Cors {
        forward_unmatched: true,
        ..policy()
    };
    assert_eq!(judge(&forwarding, &request), Verdict::Pass);
}

#[test]
fn with_credentials_a_star_becomes_what_was_asked_for() {
    let mut cors = Cors {
        allow_origins: vec![StringMatch::Exact("*".into())],
        allow_methods: "*".into(),
        allow_headers: "*".into(),
        ..policy()
    };
    let answer = |cors: &Cors| match judge(cors, &preflight("https://any.example")) {
        Verdict::Preflight(answer) => (
            answer.methods.unwrap().to_vec(),
            answer.headers.unwrap().to_vec(),
        ),
        other @ (Verdict::Pass | Verdict::Allow(_) | Verdict::Decline) => panic!("{other:?}"),
    };
    assert_eq!(answer(&cors), (b"*".to_vec(), b"*".to_vec()));
    cors.allow_credentials = true;
    assert_eq!(answer(&cors), (b"PUT".to_vec(), b"x-c".to_vec()));
}
