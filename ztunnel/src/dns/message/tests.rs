//! Messages to questions and back.

use std::{net::Ipv4Addr, str::FromStr as _};

use hickory_proto::rr::{DNSClass, Name, RData, RecordType, rdata::A};
use proptest::prelude::*;

use super::*;

fn query(edns: Option<u16>) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(
        Name::from_ascii("Web.Example.org.").unwrap(),
        RecordType::A,
    ));
    if let Some(size) = edns {
        let mut edns = Edns::new();
        edns.set_max_payload(size);
        message.set_edns(edns);
    }
    message
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

fn refusal(bytes: &[u8]) -> ResponseCode {
    match parse(bytes) {
        Err(Refusal::Reply(reply)) => {
            let reply = Message::from_vec(&reply).unwrap();
            assert_eq!(reply.metadata.id.to_be_bytes(), bytes[..2]);
            assert_eq!(reply.metadata.message_type, MessageType::Response);
            reply.metadata.response_code
        }
        other => panic!("{other:?}"),
    }
}

fn records(count: u8) -> Vec<Record> {
    let name = Name::from_ascii("Web.Example.org.").unwrap();
    (0..count)
        .map(|last| {
            Record::from_rdata(name.clone(), 30, RData::A(A(Ipv4Addr::new(10, 0, 0, last))))
        })
        .collect()
}

#[test]
fn a_query_is_read() {
    let request = parse(&bytes(&query(None))).unwrap();
    assert_eq!(request.question().query_type, RecordType::A);
    assert_eq!(request.question().query_class, DNSClass::IN);
    assert_eq!(request.max_udp_bytes(), 512);
}

#[test]
fn the_client_says_how_much_it_takes() {
    for (offered, taken) in [
        (0, 512),
        (512, 512),
        (1232, 1232),
        (4096, 4096),
        (65_535, 4096),
    ] {
        assert_eq!(
            parse(&bytes(&query(Some(offered))))
                .unwrap()
                .max_udp_bytes(),
            taken
        );
    }
}

#[test]
fn what_is_no_query_gets_no_answer() {
    for silent in [&b""[..], b"\x01", b"\x01\x02\x00"] {
        assert_eq!(parse(silent).unwrap_err(), Refusal::Silent);
    }
    let mut response = query(None);
    response.metadata.message_type = MessageType::Response;
    assert_eq!(parse(&bytes(&response)).unwrap_err(), Refusal::Silent);
}

#[test]
fn malformed_queries_are_refused_under_their_id() {
    let whole = bytes(&query(None));
    for length in 4..whole.len() {
        assert_eq!(refusal(&whole[..length]), ResponseCode::FormErr, "{length}");
    }
    let mut two = query(None);
    two.add_query(Query::query(Name::from_str("b.").unwrap(), RecordType::A));
    assert_eq!(refusal(&bytes(&two)), ResponseCode::FormErr);
    let mut many = whole.clone();
    many[4..6].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(refusal(&many), ResponseCode::FormErr);
    // A name that points at itself.
    let mut endless = whole[..12].to_vec();
    endless.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
    assert_eq!(refusal(&endless), ResponseCode::FormErr);
}

#[test]
fn what_is_asked_beside_questions_is_not_implemented() {
    let mut message = query(None);
    message.metadata.op_code = OpCode::Update;
    assert_eq!(refusal(&bytes(&message)), ResponseCode::NotImp);
}

#[test]
fn an_unknown_version_of_edns_is_refused() {
    let mut message = query(Some(1232));
    message.edns.as_mut().unwrap().set_version(1);
    // 16 has two names.
    assert_eq!(
        u16::from(refusal(&bytes(&message))),
        u16::from(ResponseCode::BADVERS)
    );
}

#[test]
fn an_answer_repeats_the_question_and_is_authoritative() {
    let asked = query(Some(1232));
    let request = parse(&bytes(&asked)).unwrap();
    let answer = Message::from_vec(&request.answer(records(2), 1232).unwrap()).unwrap();
    assert_eq!(answer.metadata.id, asked.metadata.id);
    assert!(
        answer.metadata.authoritative
            && answer.metadata.recursion_available
            && answer.metadata.recursion_desired
    );
    assert!(!answer.metadata.truncation);
    assert_eq!(answer.queries, asked.queries);
    assert!(answer.queries[0].name.eq_case(&asked.queries[0].name));
    assert_eq!(answer.answers, records(2));
    assert!(answer.edns.is_some());
    let plain = parse(&bytes(&query(None))).unwrap();
    assert!(
        Message::from_vec(&plain.answer(records(1), 512).unwrap())
            .unwrap()
            .edns
            .is_none()
    );
}

#[test]
fn an_answer_that_does_not_fit_is_cut_and_says_so() {
    for limit in [512, 513, 600, 1232] {
        let request = parse(&bytes(&query(Some(limit)))).unwrap();
        let reply = request.answer(records(200), usize::from(limit)).unwrap();
        assert!(reply.len() <= usize::from(limit));
        let answer = Message::from_vec(&reply).unwrap();
        assert!(answer.metadata.truncation);
        // Nothing that would have fitted was left out: one more needs 16 bytes.
        assert!(
            reply.len() + 16 > usize::from(limit),
            "{} of {limit}",
            reply.len()
        );
        assert_eq!(answer.answers[..], records(200)[..answer.answers.len()]);
    }
    let request = parse(&bytes(&query(None))).unwrap();
    let whole = Message::from_vec(&request.answer(records(200), 65_535).unwrap()).unwrap();
    assert_eq!(
        (whole.answers.len(), whole.metadata.truncation),
        (200, false)
    );
}

#[test]
fn only_the_answer_to_this_question_under_this_id_is_taken() {
    let request = parse(&bytes(&query(None))).unwrap();
    let answer = |change: &dyn Fn(&mut Message)| {
        let mut message = Message::response(7, OpCode::Query);
        message.add_query(Query::query(
            Name::from_str("web.example.ORG.").unwrap(),
            RecordType::A,
        ));
        change(&mut message);
        request.verdict(&bytes(&message), 7)
    };
    assert_eq!(answer(&|_| {}), Some(Verdict::Answered));
    assert_eq!(
        answer(&|it| it.metadata.response_code = ResponseCode::NXDomain),
        Some(Verdict::Answered)
    );
    assert_eq!(
        answer(&|it| it.metadata.response_code = ResponseCode::ServFail),
        Some(Verdict::Failed)
    );
    assert_eq!(
        answer(&|it| it.metadata.response_code = ResponseCode::Refused),
        Some(Verdict::Failed)
    );
    assert_eq!(answer(&|it| it.metadata.id = 8), None);
    assert_eq!(
        answer(&|it| it.metadata.message_type = MessageType::Query),
        None
    );
    assert_eq!(
        answer(&|it| it.queries[0].query_type = RecordType::AAAA),
        None
    );
    assert_eq!(
        answer(&|it| it.queries[0].name = Name::from_str("x.example.org.").unwrap()),
        None
    );
    assert_eq!(answer(&|it| it.queries.clear()), None);
    assert_eq!(request.verdict(b"\x00\x07\x80", 7), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        drop(parse(&bytes));
    }

    #[test]
    fn no_damage_panics(at in 0_usize..60, value in any::<u8>(), cut in 0_usize..60) {
        let mut damaged = bytes(&query(Some(1232)));
        let length = damaged.len();
        damaged[at % length] = value;
        damaged.truncate(length - cut % length);
        if let Ok(request) = parse(&damaged) {
            prop_assert!(request.answer(records(100), 512).is_none_or(|reply| reply.len() <= 512));
            request.verdict(&damaged, request.id());
        }
    }
}
