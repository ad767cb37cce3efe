//! What is read as a claim, what is not, and that nothing of several is chosen.

use proptest::prelude::*;

use super::*;

const WEB: &str = "spiffe://cluster.local/ns/client/sa/web";

fn read(values: &[&[u8]]) -> Claim {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(NAME, HeaderValue::from_bytes(value).unwrap());
    }
    Claim::from_headers(&headers)
}

fn named(claim: &Claim) -> Option<String> {
    match claim {
        Claim::Named(identity) => Some(identity.to_string()),
        Claim::Absent | Claim::Unreadable(_) => None,
    }
}

#[test]
fn what_is_written_is_read() {
    let identity = WEB.parse().unwrap();
    let written = value(&identity).unwrap();
    assert_eq!(read(&[written.as_bytes()]), Claim::Named(identity));
}

#[test]
fn nothing_is_said_by_no_header_alone() {
    assert_eq!(read(&[]), Claim::Absent);
    assert_ne!(read(&[b""]), Claim::Absent);
}

#[test]
fn of_several_none_counts_also_where_they_agree() {
    for values in [
        [WEB.as_bytes(), WEB.as_bytes()],
        [WEB.as_bytes(), b""],
        [b"", WEB.as_bytes()],
        [WEB.as_bytes(), b"spiffe://cluster.local/ns/client/sa/admin"],
    ] {
        assert_eq!(read(&values), Claim::Unreadable(Unreadable::Several));
    }
}

#[test]
fn what_is_not_one_identity_names_nobody() {
    let long = format!("spiffe://cluster.local/ns/client/sa/{}", "a".repeat(4096));
    let cases: [&[u8]; 14] = [
        b"",
        b" ",
        b"web",
        b"cluster.local/ns/client/sa/web",
        b"spiffe://cluster.local/ns/client/sa/",
        b"spiffe:///ns/client/sa/web",
        b"spiffe://cluster.local/ns//sa/web",
        b"spiffe://cluster.local/ns/client/sa/web ",
        b"\tspiffe://cluster.local/ns/client/sa/web",
        b"spiffe://cluster.local/ns/client/sa/web, spiffe://cluster.local/ns/client/sa/admin",
        b"spiffe://cluster.local/ns/client/sa/web%2fadmin",
        b"SPIFFE://cluster.local/ns/client/sa/web",
        b"spiffe://cluster.local/ns/client/sa/w\xc3\xa9b",
        long.as_bytes(),
    ];
    for case in cases {
        let read = read(&[case]);
        assert!(
            matches!(read, Claim::Unreadable(_)),
            "{}: {read:?}",
            String::from_utf8_lossy(case)
        );
    }
}

#[test]
fn an_error_names_the_header_and_shows_a_short_part_of_what_came() {
    let Claim::Unreadable(error) = read(&["x".repeat(4096).as_bytes()]) else {
        panic!("a name");
    };
    let text = error.to_string();
    assert!(
        text.starts_with("x-ambit-client-principal: ") && text.len() < 400,
        "{text}"
    );
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_as_it_came(value in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(header) = HeaderValue::from_bytes(&value) {
            let mut headers = HeaderMap::new();
            headers.insert(NAME, header);
            if let Some(text) = named(&Claim::from_headers(&headers)) {
                prop_assert_eq!(text.as_bytes(), &value[..]);
            }
        }
    }
}
