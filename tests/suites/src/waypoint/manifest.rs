//! Manifests: the head by name, the spec as a person would write it.
//!
//! In: YAML of a spec, indented as the test likes. Out: a document with `apiVersion`, `kind` and `metadata`.

use std::fmt::Write as _;

/// A manifest of any kind. `name` is `namespace/name`, or only a name in `shop`; `spec` is YAML, whose common indentation
/// does not matter.
///
/// ```
/// use suites::waypoint::manifest;
/// let yaml = manifest("networking.istio.io/v1", "VirtualService", "web", "
///     hosts: [web]
///     http:
///     - route: [{destination: {host: web}}]
/// ");
/// assert!(yaml.ends_with("  http:\n  - route: [{destination: {host: web}}]\n"));
/// ```
pub fn manifest(api_version: &str, kind: &str, name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("shop", name));
    let mut yaml = format!(
        "---\napiVersion: {api_version}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {namespace}\nspec:\n"
    );
    for line in unindented(spec) {
        // Writing to a text cannot fail.
        let _ = writeln!(yaml, "  {line}");
    }
    yaml
}

/// A VirtualService named like its host, for `hosts: [name]`; `spec` begins with `http:`, `tcp:` or `tls:`.
pub fn virtual_service(name: &str, spec: &str) -> String {
    let host = name.rsplit('/').next().unwrap_or(name);
    let spec = with_first(&format!("hosts: [{host}]"), spec);
    manifest("networking.istio.io/v1", "VirtualService", name, &spec)
}

/// A DestinationRule named like its host, for `host: name`.
pub fn destination_rule(name: &str, spec: &str) -> String {
    let host = name.rsplit('/').next().unwrap_or(name);
    let spec = with_first(&format!("host: {host}"), spec);
    manifest("networking.istio.io/v1", "DestinationRule", name, &spec)
}

/// An AuthorizationPolicy.
pub fn authorization_policy(name: &str, spec: &str) -> String {
    manifest("security.istio.io/v1", "AuthorizationPolicy", name, spec)
}

/// A RequestAuthentication.
pub fn request_authentication(name: &str, spec: &str) -> String {
    manifest("security.istio.io/v1", "RequestAuthentication", name, spec)
}

/// An HTTPRoute; `spec` has `parentRefs` (see [`parent`]) and `rules`.
pub fn http_route(name: &str, spec: &str) -> String {
    manifest("gateway.networking.k8s.io/v1", "HTTPRoute", name, spec)
}

/// A GRPCRoute.
pub fn grpc_route(name: &str, spec: &str) -> String {
    manifest("gateway.networking.k8s.io/v1", "GRPCRoute", name, spec)
}

/// A TCPRoute.
pub fn tcp_route(name: &str, spec: &str) -> String {
    manifest("gateway.networking.k8s.io/v1alpha2", "TCPRoute", name, spec)
}

/// A TLSRoute.
pub fn tls_route(name: &str, spec: &str) -> String {
    manifest("gateway.networking.k8s.io/v1alpha2", "TLSRoute", name, spec)
}

/// A ReferenceGrant.
pub fn reference_grant(name: &str, spec: &str) -> String {
    manifest(
        "gateway.networking.k8s.io/v1beta1",
        "ReferenceGrant",
        name,
        spec,
    )
}

/// `parentRefs` of a route for a service, as a line of its spec.
pub fn parent(service: &str) -> String {
    format!("parentRefs: [{{group: '', kind: Service, name: {service}}}]")
}

fn with_first(first: &str, spec: &str) -> String {
    let mut text = first.to_owned();
    for line in unindented(spec) {
        text.push('\n');
        text.push_str(line);
    }
    text
}

/// The lines without what all have in common at their beginning, and without empty ones.
fn unindented(text: &str) -> Vec<&str> {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    // A first line that follows the opening quote directly has no indentation.
    let least = lines().map(indent).min().unwrap_or(0);
    lines()
        .map(|line| line.get(least..).unwrap_or(line))
        .collect()
}
