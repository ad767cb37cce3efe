//! What the waypoint tells of requests: metrics, access logs, ids; as Istio's and Envoy's users know them.

#[path = "waypoint_telemetry/access_log.rs"]
mod access_log;
#[path = "waypoint_telemetry/cardinality.rs"]
mod cardinality;
#[path = "waypoint_telemetry/ids.rs"]
mod ids;
#[path = "waypoint_telemetry/metrics.rs"]
mod metrics;
