//! The packets byte by byte, every refusal, and round trips.

use proptest::prelude::*;

use super::*;

fn add() -> Request {
    let pod = PodInfo {
        name: "web-1".into(),
        namespace: "shop".into(),
        service_account: "web".into(),
    };
    Request::Add {
        uid: "u-1".into(),
        pod,
    }
}

/// A length-delimited field whose body is shorter than 128 bytes.
fn field(number: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(body.len()).unwrap()];
    out.extend_from_slice(body);
    out
}

fn refusal(packet: &[u8]) -> String {
    Request::decode(packet).unwrap_err().to_string()
}

#[test]
fn every_message_has_the_field_numbers_of_the_contract() {
    let info = [field(1, b"web-1"), field(2, b"shop"), field(3, b"web")].concat();
    let body = [field(1, b"u-1"), field(2, &info)].concat();
    assert_eq!(add().encode().unwrap(), field(1, &body));
    assert_eq!(
        Request::Del { uid: "u-1".into() }.encode().unwrap(),
        field(2, &field(2, b"u-1"))
    );
    assert_eq!(Request::SnapshotSent.encode().unwrap(), field(3, b""));
    assert_eq!(
        Request::Keep { uid: "u-1".into() }.encode().unwrap(),
        field(5, &field(1, b"u-1"))
    );
    assert_eq!(Ack::ok().encode(), field(1, b""));
    assert_eq!(Ack::failed("no").encode(), field(1, &field(1, b"no")));
    assert_eq!(Hello.encode(), [0x08, 0x01]);
}

#[test]
fn every_refusal_names_the_field_and_what_was_expected() {
    let info = [field(1, b"web-1"), field(2, b"shop"), field(3, b"web")].concat();
    assert_eq!(
        refusal(&field(1, &field(2, &info))),
        "AddWorkload.uid: empty, expected the pod's metadata.uid"
    );
    assert_eq!(
        refusal(&field(1, &field(1, b"u-1"))),
        "AddWorkload.workload_info: absent, expected the pod's name, namespace and service account"
    );
    for (missing, name) in [(0, "name"), (1, "namespace"), (2, "service_account")] {
        let mut parts = [field(1, b"web-1"), field(2, b"shop"), field(3, b"web")];
        parts[missing].clear();
        let body = [field(1, b"u-1"), field(2, &parts.concat())].concat();
        assert!(
            refusal(&field(1, &body))
                .starts_with(&format!("WorkloadInfo.{name}: empty, expected "))
        );
    }
    assert!(refusal(&field(5, b"")).starts_with("KeepWorkload.uid: empty"));
    // Field 1 of a delete is not its uid.
    assert!(refusal(&field(2, &field(1, b"u-1"))).starts_with("DelWorkload.uid: empty"));
    let none =
        "WorkloadRequest.payload: none is set, expected one of add, del, snapshot_sent, keep";
    assert_eq!(refusal(b""), none);
    assert_eq!(refusal(&field(4, &field(1, b"u-1"))), none);
    assert_eq!(
        refusal(&[0x0a, 0x05, 0x01]),
        "WorkloadRequest: expected a protobuf message"
    );
    assert_eq!(
        refusal(&field(5, &field(1, &[0xff, 0xfe]))),
        "WorkloadRequest: expected a protobuf message"
    );
}

#[test]
fn hello_of_another_version_is_refused_by_number() {
    assert_eq!(Hello::decode(&[0x08, 0x01]), Ok(Hello));
    assert_eq!(
        Hello::decode(&[0x08, 0x07]),
        Err(Error::Version { version: 7 })
    );
    assert_eq!(
        Hello::decode(b"").unwrap_err().to_string(),
        "ZdsHello.version: 0, expected V1 (1)"
    );
}

#[test]
fn an_answer_without_an_ack_is_refused() {
    assert_eq!(
        Ack::decode(b"").unwrap_err().to_string(),
        "WorkloadResponse.payload: none is set, expected one of ack"
    );
}

#[test]
fn a_packet_is_at_most_1024_bytes_in_both_directions() {
    let uid = |len: usize| Request::Del {
        uid: "u".repeat(len),
    };
    // Two nested headers of three bytes each.
    let longest = uid(MAX_PACKET_BYTES - 6).encode().unwrap();
    assert_eq!(longest.len(), MAX_PACKET_BYTES);
    assert!(Request::decode(&longest).is_ok());
    assert_eq!(
        uid(MAX_PACKET_BYTES - 5).encode(),
        Err(Error::TooLong {
            bytes: MAX_PACKET_BYTES + 1
        })
    );
    assert_eq!(
        Request::decode(&[0; 1025]),
        Err(Error::TooLong { bytes: 1025 })
    );
}

#[test]
fn an_error_text_is_cut_at_a_character_and_never_reads_as_success() {
    let ack = Ack::failed(&"é".repeat(2000));
    let packet = ack.encode();
    assert!(packet.len() <= MAX_PACKET_BYTES, "{}", packet.len());
    assert_eq!(Ack::decode(&packet).unwrap(), ack);
    assert_eq!(
        Ack {
            error: Some("x".repeat(5000))
        }
        .encode()
        .len(),
        MAX_ACK_ERROR_BYTES + 6
    );
    assert!(
        Ack::decode(&Ack::failed("").encode())
            .unwrap()
            .error
            .is_some()
    );
}

#[test]
fn an_unknown_field_beside_a_known_request_is_ignored() {
    let packet = [field(5, &field(1, b"u-1")), field(9, b"later")].concat();
    assert_eq!(
        Request::decode(&packet),
        Ok(Request::Keep { uid: "u-1".into() })
    );
}

proptest! {
    #[test]
    fn requests_round_trip(uid in "\\PC{1,40}", name in "\\PC{1,40}", namespace in "\\PC{1,40}", service_account in "\\PC{1,40}") {
        let pod = PodInfo { name, namespace, service_account };
        for request in [
            Request::Add { uid: uid.clone(), pod },
            Request::Keep { uid: uid.clone() },
            Request::Del { uid },
            Request::SnapshotSent,
        ] {
            prop_assert_eq!(Request::decode(&request.encode().unwrap()), Ok(request));
        }
    }

    #[test]
    fn no_packet_panics(packet in prop::collection::vec(any::<u8>(), 0..1100)) {
        let _ = Request::decode(&packet);
        let _ = Ack::decode(&packet);
        let _ = Hello::decode(&packet);
    }
}
