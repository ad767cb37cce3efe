//! The text that a scrape reads.

use super::{Exposition, to_prometheus_text};
use crate::testkit::read_prometheus;

#[test]
fn open_metrics_is_given_to_those_who_ask_for_it() {
    let check =
        |accept: &str, expected| assert_eq!(Exposition::negotiate(accept), expected, "{accept:?}");
    check("", Exposition::Text);
    check("*/*", Exposition::Text);
    check("text/plain", Exposition::Text);
    check("application/openmetrics-text", Exposition::OpenMetrics);
    check(
        "Application/OpenMetrics-Text; version=1.0.0",
        Exposition::OpenMetrics,
    );
    check(
        "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        Exposition::OpenMetrics,
    );
    check(
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5",
        Exposition::OpenMetrics,
    );
    check(
        "text/plain;q=0.9, application/openmetrics-text;q=0.2",
        Exposition::Text,
    );
    check("application/openmetrics-text;q=0", Exposition::Text);
    check("application/openmetrics-text;q=zero", Exposition::Text);
    check(
        "application/openmetrics-text;version=7.0.0",
        Exposition::Text,
    );
}

#[test]
fn counters_keep_their_total_and_what_the_older_format_lacks_is_left_out() {
    let open_metrics = "\
# HELP calls Calls.
# TYPE calls counter
calls_total{a=\"x # y\"} 3 # {trace=\"1\"} 1.0
calls_created{a=\"x # y\"} 1.7e9
# HELP size_bytes Sizes.
# TYPE size_bytes gauge
# UNIT size_bytes bytes
size_bytes 7
# HELP took Durations.
# TYPE took histogram
took_sum 0.5
took_count 1
took_bucket{le=\"1.0\"} 1 # {trace=\"1\"} 0.5
took_bucket{le=\"+Inf\"} 1
# HELP odd Odd.
# TYPE odd unknown
odd 1
# EOF
";
    let expected = "\
# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{a=\"x # y\"} 3
# HELP size_bytes Sizes.
# TYPE size_bytes gauge
size_bytes 7
# HELP took Durations.
# TYPE took histogram
took_sum 0.5
took_count 1
took_bucket{le=\"1.0\"} 1
took_bucket{le=\"+Inf\"} 1
# HELP odd Odd.
# TYPE odd untyped
odd 1
";
    assert_eq!(to_prometheus_text(open_metrics), expected);
}

#[test]
#[should_panic(expected = "twice")]
fn the_reader_of_these_tests_sees_a_series_that_is_there_twice() {
    read_prometheus(
        "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1\"} 1\na_total{x=\"1\"} 2\n",
    );
}

#[test]
#[should_panic(expected = "is not of")]
fn the_reader_of_these_tests_sees_a_sample_of_another_family() {
    read_prometheus("# HELP a_total A.\n# TYPE a_total counter\nb_total 1\n");
}
