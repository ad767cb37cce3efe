//! What Envoy is told.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use serde_json::json;

use super::{EnvoyService, config};

#[test]
fn a_service_has_a_chain_with_its_routes_in_order_and_a_cluster_with_its_pods() {
    let service = EnvoyService {
        name: "web".to_owned(),
        vip: Ipv4Addr::new(10, 96, 1, 10),
        port: 80,
        http2: true,
        endpoints: vec![SocketAddrV4::new(Ipv4Addr::new(10, 10, 2, 10), 8080)],
        matches: vec![json!({"path": "/first"}), json!({"prefix": "/"})],
    };
    let config = config(Path::new("/folder"), &[service]);
    let resources = &config["static_resources"];
    let chain = &resources["listeners"][1]["filter_chains"][0];
    assert_eq!(chain["filter_chain_match"]["destination_port"], 80);
    let routes = &chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"];
    assert_eq!(routes[0]["match"], json!({"path": "/first"}));
    assert_eq!(routes[1]["match"], json!({"prefix": "/"}));
    let cluster = &resources["clusters"][2];
    assert_eq!(cluster["name"], "web");
    let pod = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0];
    assert_eq!(
        pod["metadata"]["filter_metadata"]["envoy.filters.listener.original_dst"]["local"],
        "10.10.2.10:8080"
    );
}
