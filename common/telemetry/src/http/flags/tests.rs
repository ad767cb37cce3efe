//! The words of Envoy.

use std::collections::HashSet;

use http::{HeaderValue, StatusCode};

use super::{Flags, ResponseFlag};
use crate::http::{Details, GrpcStatus};

#[test]
fn every_flag_of_envoy_is_there_once_and_all_fit() {
    let shown: Vec<&str> = ResponseFlag::ALL.iter().map(|flag| flag.as_str()).collect();
    let expected = "LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF DO DR";
    assert_eq!(shown.join(" "), expected);
    let long: HashSet<&str> = ResponseFlag::ALL.iter().map(|flag| flag.long()).collect();
    assert_eq!(long.len(), shown.len());
    let all: Flags = ResponseFlag::ALL.iter().copied().collect();
    assert_eq!(all.to_string(), shown.join(","));
    assert!(ResponseFlag::ALL.iter().all(|flag| all.contains(*flag)));
    assert_eq!(all.iter().count(), shown.len());
}

#[test]
fn a_set_holds_what_was_put_in() {
    let mut flags = Flags::NONE;
    assert!(flags.is_empty());
    assert_eq!(
        (flags.to_string(), flags.long().to_string()),
        ("-".into(), "-".into())
    );
    flags.insert(ResponseFlag::NoRouteFound);
    flags.insert(ResponseFlag::NoRouteFound);
    assert_eq!(flags, ResponseFlag::NoRouteFound.into());
    assert!(!flags.contains(ResponseFlag::NoClusterFound) && !flags.is_empty());
}

#[test]
fn statuses_of_http_have_one_of_grpc() {
    for (status, number) in [
        (400, 13),
        (401, 16),
        (403, 7),
        (404, 12),
        (429, 14),
        (502, 14),
        (503, 14),
        (504, 14),
        (500, 2),
        (418, 2),
        (200, 0),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(GrpcStatus::of(status).number(), number, "{status}");
    }
    let read = |text: &'static str| GrpcStatus::read(&HeaderValue::from_static(text));
    assert_eq!(read("5"), Some(GrpcStatus::new(5)));
    assert_eq!((read("-1"), read("x"), read("")), (None, None, None));
}

#[test]
fn details_compare_as_text() {
    let made = Details::from(String::from("via_upstream"));
    assert_eq!(made, Details::VIA_UPSTREAM);
    assert_eq!(&*made, "via_upstream");
}
