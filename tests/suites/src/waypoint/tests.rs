//! Tests of how answers and access logs are taken apart.

use super::junit;
use super::load::{h2load_sum, wrk_sum};
use super::{Access, virtual_service};

#[test]
fn a_line_is_taken_apart() {
    let line = "[2026-01-31T12:34:56.123Z] \"GET /a?b=c HTTP/1.1\" 503 UH no_healthy_upstream - \"-\" 0 19 1 - \"-\" \
                \"curl/7.88.1\" \"0f5c\" \"web\" \"-\" inbound-vip|80|http|web.shop.svc.cluster.local - 10.96.1.10:80 10.10.1.10:4000 - default";
    let access = Access::parse(line).unwrap();
    assert_eq!((access.status, access.flags.as_str()), (503, "UH"));
    assert_eq!(access.request, "GET /a?b=c HTTP/1.1");
    assert_eq!(access.remote, "10.10.1.10:4000");
    assert_eq!(access.route, "default");
}

#[test]
fn a_line_with_a_field_more_or_less_is_refused() {
    for line in ["", "[x] \"GET / HTTP/1.1\" 200 - - - \"-\" 0 0 0"] {
        Access::parse(line).unwrap_err();
    }
}

#[test]
fn a_report_of_h2spec_is_read() {
    let report = junit::parse(
        "<testsuites><testsuite name=\"x\"><testcase package=\"http2/3.5\" classname=\"Sends a preface\" time=\"0.1\"></testcase>\
         <testcase package=\"http2/4.2\" classname=\"Sends a large frame\" time=\"0\"><failure>Timeout</failure></testcase>\
         </testsuite></testsuites>",
    );
    assert_eq!(report.cases, 2);
    let failed: Vec<_> = report.failed.keys().collect();
    assert_eq!(failed, ["http2/4.2 Sends a large frame"]);
}

#[test]
fn the_indentation_of_a_test_does_not_matter() {
    let yaml = virtual_service(
        "web",
        "
            http:
            - name: one
        ",
    );
    assert!(
        yaml.ends_with("spec:\n  hosts: [web]\n  http:\n  - name: one\n"),
        "{yaml}"
    );
}

#[test]
fn what_wrk_and_h2load_say_is_added_up() {
    let wrk = "Running 5m test @ http://10.96.1.10:80/\n  1 threads and 4 connections\n  1203 requests in 2.02s, 1.1MB read\n  \
               Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx or 3xx responses: 40\nRequests/sec: 1\n";
    let sum = wrk_sum(wrk).unwrap();
    assert_eq!((sum.answered, sum.failed), (1203, 46));
    let h2load = "finished in 1s\nrequests: 500 total, 500 started, 498 done, 490 succeeded, 8 failed, 2 errored, 0 timeout\n\
                  status codes: 490 2xx, 0 3xx, 0 4xx, 8 5xx\n";
    let sum = h2load_sum(h2load).unwrap();
    assert_eq!((sum.answered, sum.failed), (498, 10));
    wrk_sum("unable to connect").unwrap_err();
}
