//! Lines of the access log, as ztunnel writes them.

use super::Record;

const LINE: &str = "2026-01-02T03:04:05.678901Z\tinfo\taccess\tconnection complete\tsrc.addr=10.10.1.10:40000 \
    src.workload=\"shop\" src.identity=\"spiffe://cluster.local/ns/default/sa/shop\" dst.addr=10.10.2.11:15008 \
    dst.hbone_addr=10.10.2.11:8080 direction=\"outbound\" bytes_sent=15 bytes_recv=81 duration=\"3ms\"";

#[test]
fn a_line_is_read_back() {
    let record = Record::parse(LINE).unwrap();
    assert_eq!(record.get("src.workload"), "shop");
    assert_eq!(record.get("dst.hbone_addr"), "10.10.2.11:8080");
    assert_eq!(record.get("duration"), "3ms");
    assert_eq!(record.get("error"), "");
    assert_eq!(record.bytes(), 96);
}

#[test]
fn an_error_with_spaces_and_quotes_is_one_value() {
    let line = format!("{LINE} error=\"refused: \\\"a = b\\\"\"");
    assert_eq!(
        Record::parse(&line).unwrap().get("error"),
        "refused: \"a = b\""
    );
}

#[test]
fn other_lines_are_none() {
    assert_eq!(
        Record::parse(
            "2026-01-02T03:04:05.678901Z\tinfo\tztunnel::app\tztunnel started\tnode=node1"
        ),
        None
    );
    assert_eq!(Record::parse("thread panicked"), None);
    assert_eq!(Record::parse(&LINE[..LINE.len() - 1]), None);
}
