//! What authorizers said, in a scrape.

use super::MAX_PROVIDERS;
use crate::{
    logging::Format,
    metrics::Exposition,
    testkit::{read_open_metrics, read_prometheus, telemetry},
};

#[test]
fn each_provider_shows_with_all_results_once_it_was_asked() {
    let (telemetry, _, now) = telemetry(Format::Text, "off");
    let said = telemetry.http().external();
    let name = "ambit_external_authorization";
    assert!(
        !telemetry
            .expose(Exposition::Text, now)
            .contains("{provider=")
    );
    said.of("login").http.ok.increment();
    said.of("login").http.ok.increment();
    said.of("login").http.failure_mode_allowed.increment();
    said.of("opa\"\n").tcp.denied.increment();
    let text = telemetry.expose(Exposition::Text, now);
    read_prometheus(&text);
    read_open_metrics(&telemetry.expose(Exposition::OpenMetrics, now));
    for line in [
        "{provider=\"login\",protocol=\"http\",result=\"ok\"} 2",
        "{provider=\"login\",protocol=\"http\",result=\"denied\"} 0",
        "{provider=\"login\",protocol=\"http\",result=\"error\"} 0",
        "{provider=\"login\",protocol=\"http\",result=\"failure_mode_allowed\"} 1",
        "{provider=\"opa\\\"\\n\",protocol=\"tcp\",result=\"denied\"} 1",
    ] {
        let line = format!("{name}_total{line}");
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("provider=\"login\",protocol=\"tcp\""));
}

#[test]
fn providers_that_come_and_go_without_end_share_one_line() {
    let (telemetry, _, now) = telemetry(Format::Text, "off");
    let said = telemetry.http().external();
    for number in 0..MAX_PROVIDERS + 100 {
        said.of(&format!("provider-{number}")).http.ok.increment();
    }
    // Who was there before keeps its own.
    said.of("provider-0").http.ok.increment();
    let text = telemetry.expose(Exposition::Text, now);
    let lines = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines("result=\"ok\""), MAX_PROVIDERS + 1);
    assert_eq!(
        lines("provider=\"unknown\",protocol=\"http\",result=\"ok\"} 100"),
        1
    );
    assert_eq!(
        lines("provider=\"provider-0\",protocol=\"http\",result=\"ok\"} 2"),
        1
    );
}
