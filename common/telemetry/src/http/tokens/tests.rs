//! Tokens and keys in a scrape.

use crate::{
    logging::Format,
    metrics::Exposition,
    testkit::{read_open_metrics, read_prometheus, telemetry},
};

#[test]
fn tokens_and_fetches_of_keys_show_by_their_results() {
    let (telemetry, _, now) = telemetry(Format::Text, "off");
    let tokens = telemetry.http().tokens();
    tokens.allowed.increment();
    tokens.denied.increment();
    tokens.denied.increment();
    tokens.fetch_failed.increment();
    let text = telemetry.expose(Exposition::Text, now);
    read_prometheus(&text);
    read_open_metrics(&telemetry.expose(Exposition::OpenMetrics, now));
    for line in [
        "ambit_jwt_requests_total{result=\"allowed\"} 1",
        "ambit_jwt_requests_total{result=\"absent\"} 0",
        "ambit_jwt_requests_total{result=\"denied\"} 2",
        "ambit_jwks_fetches_total{result=\"success\"} 0",
        "ambit_jwks_fetches_total{result=\"failed\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}
