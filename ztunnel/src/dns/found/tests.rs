//! What answers say.

use hickory_proto::rr::{
    RecordType,
    rdata::{A, AAAA, CNAME, SOA},
};

use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn record(owner: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name(owner), ttl, data)
}

fn a(owner: &str, ttl: u32, ip: &str) -> Record {
    record(owner, ttl, RData::A(A(ip.parse().unwrap())))
}

fn aaaa(owner: &str, ttl: u32, ip: &str) -> Record {
    record(owner, ttl, RData::AAAA(AAAA(ip.parse().unwrap())))
}

fn cname(owner: &str, ttl: u32, to: &str) -> Record {
    record(owner, ttl, RData::CNAME(CNAME(name(to))))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    let soa = SOA::new(
        name("ns.example.com."),
        name("admin.example.com."),
        1,
        2,
        3,
        4,
        minimum,
    );
    record("example.com.", ttl, RData::SOA(soa))
}

/// An answer about `db.example.com`.
fn message(answers: Vec<Record>, authorities: Vec<Record>) -> Message {
    let mut message = Message::response(7, hickory_proto::op::OpCode::Query);
    message.add_query(question(RecordType::A));
    message.answers = answers;
    message.authorities = authorities;
    message
}

fn question(kind: RecordType) -> Query {
    Query::query(name("db.example.com."), kind)
}

fn read(message: &Message) -> Result<Found, Useless> {
    found(
        &message.to_vec().unwrap(),
        &question(RecordType::A),
        Family::Ipv4,
    )
}

fn check(answers: Vec<Record>, addresses: &[&str], ttl: u64) {
    let expected = Found {
        addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        ttl: Duration::from_secs(ttl),
    };
    assert_eq!(
        read(&message(answers.clone(), vec![])),
        Ok(expected),
        "{answers:?}"
    );
}

#[test]
fn all_addresses_of_the_name_hold_as_long_as_the_shortest() {
    check(
        vec![
            a("db.example.com.", 300, "192.0.2.1"),
            a("DB.Example.com.", 60, "192.0.2.2"),
            aaaa("db.example.com.", 1, "2001:db8::1"),
        ],
        &["192.0.2.1", "192.0.2.2"],
        60,
    );
    let six = found(
        &message(vec![aaaa("db.example.com.", 9, "2001:db8::1")], vec![])
            .to_vec()
            .unwrap(),
        &question(RecordType::AAAA),
        Family::Ipv6,
    );
    assert_eq!(
        six.unwrap().addresses,
        ["2001:db8::1".parse::<IpAddr>().unwrap()]
    );
}

#[test]
fn aliases_are_followed_whatever_their_order() {
    check(
        vec![
            a("c.example.net.", 300, "192.0.2.1"),
            cname("b.example.net.", 20, "c.example.net."),
            cname("db.example.com.", 40, "b.example.net."),
        ],
        &["192.0.2.1"],
        20,
    );
}

#[test]
fn an_address_that_the_question_does_not_lead_to_is_not_believed() {
    check(
        vec![
            a("other.example.com.", 300, "192.0.2.66"),
            cname("other.example.com.", 300, "db.example.com."),
        ],
        &[],
        0,
    );
}

#[test]
fn a_circle_of_aliases_ends() {
    check(
        vec![
            cname("db.example.com.", 30, "a.example.com."),
            cname("a.example.com.", 30, "db.example.com."),
        ],
        &[],
        0,
    );
    let mut chain: Vec<_> = (0..MAX_ALIASES)
        .map(|number| cname(&format!("n{number}."), 30, &format!("n{}.", number + 1)))
        .collect();
    chain.push(cname("db.example.com.", 30, "n1."));
    chain.push(a(&format!("n{MAX_ALIASES}."), 30, "192.0.2.1"));
    check(chain.clone(), &["192.0.2.1"], 30);
    chain.pop();
    chain.pop();
    chain.push(cname("db.example.com.", 30, "n0."));
    chain.push(cname(&format!("n{MAX_ALIASES}."), 30, "end."));
    chain.push(a("end.", 30, "192.0.2.1"));
    check(chain, &[], 0);
}

#[test]
fn a_long_life_is_cut_and_a_negative_one_is_none() {
    check(
        vec![a("db.example.com.", 7 * 86_400, "192.0.2.1")],
        &["192.0.2.1"],
        3600,
    );
    check(
        vec![a("db.example.com.", 0, "192.0.2.1")],
        &["192.0.2.1"],
        0,
    );
    check(
        vec![a("db.example.com.", 0x8000_0001, "192.0.2.1")],
        &["192.0.2.1"],
        0,
    );
}

#[test]
fn a_long_list_is_cut() {
    let list: Vec<_> = (0..300)
        .map(|number: u32| {
            let ip = std::net::Ipv4Addr::from_bits(0xc612_0000 + number);
            a("db.example.com.", 30, &ip.to_string())
        })
        .collect();
    assert_eq!(
        read(&message(list, vec![])).unwrap().addresses.len(),
        MAX_ADDRESSES
    );
}

#[test]
fn that_there_is_nothing_holds_as_long_as_the_zone_says() {
    for (authorities, seconds) in [
        (vec![], 0),
        (vec![soa(20, 900)], 20),
        (vec![soa(900, 10)], 10),
        (vec![soa(86_400, 86_400)], 30),
    ] {
        for code in [ResponseCode::NoError, ResponseCode::NXDomain] {
            let mut message = message(vec![], authorities.clone());
            message.metadata.response_code = code;
            let nothing = Found {
                addresses: vec![],
                ttl: Duration::from_secs(seconds),
            };
            assert_eq!(read(&message), Ok(nothing), "{code} {authorities:?}");
        }
    }
}

#[test]
fn what_is_no_answer_is_told_apart() {
    let good = || message(vec![a("db.example.com.", 30, "192.0.2.1")], vec![]);
    let mut cut = good();
    cut.metadata.truncation = true;
    assert_eq!(read(&cut), Err(Useless::Truncated));
    for code in [
        ResponseCode::ServFail,
        ResponseCode::Refused,
        ResponseCode::NotImp,
    ] {
        let mut failed = good();
        failed.metadata.response_code = code;
        assert_eq!(read(&failed), Err(Useless::Failed(code)));
    }
    let bytes = good().to_vec().unwrap();
    for length in 0..bytes.len() {
        let short = found(&bytes[..length], &question(RecordType::A), Family::Ipv4);
        assert_eq!(short, Err(Useless::Malformed), "{length} bytes");
    }
}
