//! Whole scenes: `golden/<name>.yaml` in, `golden/<name>.txt` out.

use std::{fmt::Write as _, fs, path::PathBuf};

use wire::xds::Decoder;

use super::{paper::paper, world::World};

/// All that waypoints are told of a manifest, and all conditions.
///
/// With `BLESS` in the environment, writes the file instead: read the difference before you commit it.
fn check(name: &str) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/render/routing/tests/golden");
    let text = fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
    let world = World::read(&text);
    let actual = told(&world);
    let path = folder.join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{} differs; actual:\n{actual}",
        path.display()
    );
}

/// Everything, of which a waypoint must understand all.
fn told(world: &World) -> String {
    let mut out = String::new();
    let mut decoder = Decoder::new();
    for service in world.facts() {
        for port in &service.ports {
            if let Some(table) = world.table(&service.hostname, port.number) {
                decoder.route_table(&table).unwrap();
                out.push_str(&paper(&table));
            }
        }
        for policy in world.backend_policies(&service) {
            decoder.backend_policy(&policy).unwrap();
            out.push_str(&paper(&policy));
        }
    }
    for (pod, subsets) in world.subsets() {
        write!(out, "{pod} {}", paper(&subsets)).unwrap();
    }
    for settings in world.settings() {
        decoder.settings(&settings).unwrap();
        out.push_str(&paper(&settings));
    }
    for (object, conditions) in world.conditions() {
        writeln!(out, "{object}").unwrap();
        for it in conditions {
            let (kind, status, reason, message) = (it.kind, it.status, it.reason, it.message);
            writeln!(out, "  {kind}: {status} {reason}: {message}").unwrap();
        }
    }
    out
}

#[test]
fn a_canary_has_weights_a_header_and_subsets() {
    check("canary");
}

#[test]
fn a_virtual_service_says_all_that_it_can() {
    check("virtual-service");
}

#[test]
fn a_destination_rule_says_all_that_it_can() {
    check("destination-rule");
}

#[test]
fn an_http_route_says_all_that_it_can() {
    check("http-route");
}

#[test]
fn a_grpc_route_is_paths() {
    check("grpc-route");
}

#[test]
fn routes_of_another_namespace_are_for_its_own_clients() {
    check("consumer");
}

#[test]
fn what_a_route_names_is_found_or_told_missing() {
    check("references");
}

#[test]
fn connections_are_routed_by_name_and_address() {
    check("stream");
}

#[test]
fn an_entry_for_many_hosts_has_routes_for_each() {
    check("wildcard");
}

#[test]
fn a_waypoint_is_told_the_settings_of_the_mesh() {
    check("settings");
}
