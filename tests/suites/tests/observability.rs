//! What operators see, on the whole path: metrics, the access log, the admin endpoints. Rows MT-01, MT-05, LG-01.

#[path = "observability/access_log.rs"]
mod access_log;
#[path = "observability/endpoints.rs"]
mod endpoints;
#[path = "observability/metrics.rs"]
mod metrics;
#[path = "observability/modes.rs"]
mod modes;
