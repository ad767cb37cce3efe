//! Verdicts in a scrape.

use crate::{
    logging::Format,
    metrics::Exposition,
    testkit::{read_open_metrics, read_prometheus, telemetry},
};

#[test]
fn verdicts_show_under_the_names_of_istios_dashboards() {
    let (telemetry, _, now) = telemetry(Format::Text, "off");
    let said = telemetry.http().authorization();
    said.http.allowed.increment();
    said.http.allowed.increment();
    said.http.dry_run_deny.denied.increment();
    said.tcp.denied.increment();
    said.tcp.audited.increment();
    let text = telemetry.expose(Exposition::Text, now);
    read_prometheus(&text);
    read_open_metrics(&telemetry.expose(Exposition::OpenMetrics, now));
    for line in [
        "envoy_http_inbound_rbac{authz_enforce_result=\"allowed\"} 2",
        "envoy_http_inbound_rbac{authz_enforce_result=\"denied\"} 0",
        "envoy_http_inbound_rbac{authz_dry_run_action=\"allow\",authz_dry_run_result=\"denied\"} 0",
        "envoy_http_inbound_rbac{authz_dry_run_action=\"deny\",authz_dry_run_result=\"denied\"} 1",
        "envoy_tcp_rbac{authz_enforce_result=\"allowed\"} 0",
        "envoy_tcp_rbac{authz_enforce_result=\"denied\"} 1",
        "ambit_authorization_audited_total{protocol=\"http\"} 0",
        "ambit_authorization_audited_total{protocol=\"tcp\"} 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
}
