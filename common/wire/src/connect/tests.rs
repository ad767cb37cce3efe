//! The head that we send, every head that is refused, and headers that never refuse one.

use http::Uri;
use proptest::prelude::*;

use super::*;
use crate::baggage::{WorkloadKind, WorkloadName};

fn head(method: Method, uri: &str, headers: &[(HeaderName, &[u8])]) -> request::Parts {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().unwrap();
    for (name, value) in headers {
        request
            .headers_mut()
            .append(name, HeaderValue::from_bytes(value).unwrap());
    }
    request.into_parts().0
}

fn refusal(method: Method, uri: &str) -> String {
    ConnectHead::parse(&head(method, uri, &[]))
        .unwrap_err()
        .to_string()
}

#[test]
fn the_head_we_send_is_the_head_a_peer_reads() {
    let baggage = Baggage {
        namespace: "default".into(),
        workload: Some(WorkloadName {
            kind: WorkloadKind::Pod,
            name: "client".into(),
        }),
        ..Baggage::default()
    };
    let forwarded = Forwarded {
        source: "10.0.0.5:51234".parse().unwrap(),
        host: Some("reviews".parse().unwrap()),
    };
    let traceparent = Traceparent::root(7, 9, 1);
    let authority = "[fd00::7]:8080".parse::<Authority>().unwrap();
    let sent = request(
        &authority,
        baggage.header_value().as_ref(),
        Some(&forwarded),
        Some(traceparent),
    );

    assert_eq!(sent.method(), Method::CONNECT);
    assert_eq!(sent.uri().authority().unwrap(), "[fd00::7]:8080");
    assert_eq!(
        (sent.uri().scheme(), sent.uri().path_and_query()),
        (None, None)
    );
    assert_eq!(
        sent.headers()["baggage"],
        "k8s.namespace.name=default,k8s.pod.name=client"
    );
    assert_eq!(
        sent.headers()["forwarded"],
        "for=\"10.0.0.5:51234\";host=reviews"
    );
    assert_eq!(
        sent.headers()["traceparent"],
        "00-00000000000000000000000000000007-0000000000000009-01"
    );
    assert_eq!(sent.headers().len(), 3);

    let read = ConnectHead::parse(&sent.into_parts().0).unwrap();
    let forwarded = Some(forwarded);
    assert_eq!(
        read,
        ConnectHead {
            authority,
            baggage,
            forwarded,
            traceparent: Some(traceparent),
            client: Claim::Absent,
            network: None
        }
    );
}

#[test]
fn a_bare_connect_is_enough() {
    let authority = "reviews.default.svc.cluster.local:9080"
        .parse::<Authority>()
        .unwrap();
    let sent = request(&authority, None, None, None);
    assert!(sent.headers().is_empty());
    let read = ConnectHead::parse(&sent.into_parts().0).unwrap();
    let baggage = Baggage::default();
    assert_eq!(
        read,
        ConnectHead {
            authority,
            baggage,
            forwarded: None,
            traceparent: None,
            client: Claim::Absent,
            network: None
        }
    );
}

#[test]
fn another_method_is_refused_by_name() {
    assert_eq!(
        refusal(Method::GET, "10.0.0.1:80"),
        "expected method CONNECT, got GET"
    );
    assert_eq!(
        refusal(Method::POST, "http://10.0.0.1:80/"),
        "expected method CONNECT, got POST"
    );
}

#[test]
fn a_method_without_end_is_cut_for_the_log() {
    let method = Method::from_bytes(&[b'X'; 5000]).unwrap();
    let expected = format!(
        "expected method CONNECT, got {}",
        "X".repeat(MAX_METHOD_CHARS)
    );
    assert_eq!(refusal(method, "10.0.0.1:80"), expected);
}

#[test]
fn a_scheme_or_path_is_refused() {
    let expected = "expected CONNECT with an authority only, got a scheme and a path";
    assert_eq!(
        refusal(Method::CONNECT, "https://10.0.0.1:80/chat"),
        expected
    );
    assert_eq!(refusal(Method::CONNECT, "http://10.0.0.1:80"), expected);
    // A path alone leaves no authority.
    assert_eq!(
        refusal(Method::CONNECT, "/chat"),
        "invalid CONNECT address \"\": expected ip:port, [ipv6]:port or hostname:port"
    );
}

#[test]
fn a_bad_authority_is_refused_with_the_text_that_came() {
    assert_eq!(
        refusal(Method::CONNECT, "10.0.0.1:0"),
        "invalid CONNECT address \"10.0.0.1:0\": expected a port from 1 to 65535"
    );
    assert!(
        refusal(Method::CONNECT, "user@10.0.0.1:80")
            .starts_with("invalid CONNECT address \"user@10.0.0.1:80\": ")
    );
    assert!(
        refusal(Method::CONNECT, "reviews").starts_with("invalid CONNECT address \"reviews\": ")
    );
    let mut empty = Request::new(()).into_parts().0;
    empty.method = Method::CONNECT;
    empty.uri = Uri::default();
    assert!(matches!(ConnectHead::parse(&empty), Err(Error::Address(_))));
}

#[test]
fn bad_headers_never_refuse_a_request() {
    let parts = head(
        Method::CONNECT,
        "10.0.0.1:80",
        &[
            (baggage::NAME, b"\xff\xfe,,;;==,service.name=%0a"),
            (forwarded::NAME, b"for=\"unclosed"),
            (traceparent::NAME, b"00-0-0-0"),
            (NETWORK, b"bad network"),
        ],
    );
    let read = ConnectHead::parse(&parts).unwrap();
    let authority = "10.0.0.1:80".parse().unwrap();
    let baggage = Baggage::default();
    assert_eq!(
        read,
        ConnectHead {
            authority,
            baggage,
            forwarded: None,
            traceparent: None,
            client: Claim::Absent,
            network: None
        }
    );
}

#[test]
fn the_network_is_read_if_it_is_a_short_visible_word() {
    let long = "n".repeat(MAX_NETWORK_BYTES + 1);
    for (value, expected) in [
        ("network-1", Some("network-1")),
        (" Net ", Some("Net")),
        ("", None),
        ("a b", None),
        (long.as_str(), None),
    ] {
        let parts = head(
            Method::CONNECT,
            "10.0.0.1:80",
            &[(NETWORK, value.as_bytes())],
        );
        assert_eq!(
            ConnectHead::parse(&parts).unwrap().network.as_deref(),
            expected,
            "{value}"
        );
    }
}

#[test]
fn the_answer_carries_our_baggage() {
    let value = HeaderValue::from_static("service.name=web");
    let answer = response(StatusCode::OK, Some(&value));
    assert_eq!(
        (
            answer.status(),
            Baggage::from_headers(answer.headers()).service.as_str()
        ),
        (StatusCode::OK, "web")
    );
    assert!(
        response(StatusCode::UNAUTHORIZED, None)
            .headers()
            .is_empty()
    );
}

proptest! {
    #[test]
    fn no_head_panics(
        authority in "[-a-z0-9.:@_\\[\\]]{1,40}",
        values in prop::array::uniform4(prop::collection::vec(any::<u8>(), 0..100)),
    ) {
        let Ok(uri) = authority.parse::<Uri>() else { return Ok(()) };
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = uri;
        for (name, value) in [baggage::NAME, forwarded::NAME, traceparent::NAME, NETWORK].into_iter().zip(values) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().append(name, value);
            }
        }
        let _ = ConnectHead::parse(&request.into_parts().0);
    }
}
