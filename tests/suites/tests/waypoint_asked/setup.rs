//! The ground of these suites: the waypoint's, with a pod `auth` that is asked, and policies that have it asked.
//!
//! In: providers and rules, as YAML. Out: a ground to be built; manifests.
//! Never: an answer; what is answered stands in the test.

use anyhow::{Context as _, Result, ensure};
use lab::{PodSpec, ServiceSpec};
use suites::asked::{Answerer, authorizer};
use suites::echo::Seen;
use suites::waypoint::{Access, Answer, Builder, Curl, Ground, authorization_policy, manifest};
use wire::proto::external_auth::CheckRequest;

/// Where `auth` is asked by HTTP.
pub(crate) const BY_HTTP: u16 = 9000;
/// Where it is asked by gRPC.
pub(crate) const BY_GRPC: u16 = 9001;
/// Where it counts.
pub(crate) const LIMITS: u16 = 9002;

/// How a server comes to give no answer.
pub(crate) type Fails = fn(&Answerer);

/// How often a client is asked again that has not read an early answer.
const MAX_TRIES: u32 = 20;

/// The ground with `auth` on node 2, in the mesh and without a waypoint of its own, and these providers.
pub(crate) fn ground(name: &str, providers: &[String]) -> Builder {
    with_auth(Ground::builder(name), providers)
}

/// Puts `auth` and providers into a ground.
pub(crate) fn with_auth(builder: Builder, providers: &[String]) -> Builder {
    let service = ServiceSpec::new("auth")
        .namespace("shop")
        .named_port("http-check", BY_HTTP, BY_HTTP)
        .named_port("grpc-check", BY_GRPC, BY_GRPC)
        .named_port("grpc-limit", LIMITS, LIMITS)
        .backend("auth");
    let builder = builder
        .pod(PodSpec::new("auth").node(1).namespace("shop"))
        .service(service);
    match providers {
        [] => builder,
        some => builder.mesh_config(format!("extensionProviders:\n{}", some.concat())),
    }
}

/// A provider that is asked by HTTP; `options` are its other fields, in flow style.
pub(crate) fn by_http(name: &str, options: &str) -> String {
    provider(name, "envoyExtAuthzHttp", BY_HTTP, options)
}

/// A provider that is asked by gRPC.
pub(crate) fn by_grpc(name: &str, options: &str) -> String {
    provider(name, "envoyExtAuthzGrpc", BY_GRPC, options)
}

fn provider(name: &str, kind: &str, port: u16, options: &str) -> String {
    format!(
        "- name: {name}\n  {kind}: {{service: auth.shop.svc.cluster.local, port: {port}, {options}}}\n"
    )
}

/// A policy `NAME` of `web` by which the provider `NAME` is asked about requests that the rule matches.
pub(crate) fn custom(provider: &str, rule: &str) -> String {
    let spec = format!(
        "targetRefs: [{{kind: Service, group: '', name: web}}]\naction: CUSTOM\nprovider: {{name: {provider}}}\nrules:\n- {rule}\n"
    );
    authorization_policy(provider, &spec)
}

/// Such policies, each for paths that begin with `/NAME`.
pub(crate) fn by_path(providers: &[&str]) -> String {
    let policy = |name: &&str| {
        let rule = format!("to: [{{operation: {{paths: ['/{name}*']}}}}]");
        custom(name, &rule)
    };
    providers.iter().map(policy).collect()
}

/// A TrafficPolicy of `web`, or of the waypoint, with these `rateLimits`.
pub(crate) fn limits(name: &str, target: &str, rate_limits: &str) -> String {
    let target = match target {
        "waypoint" => {
            "{group: gateway.networking.k8s.io, kind: Gateway, name: waypoint}".to_owned()
        }
        service => format!("{{kind: Service, name: {service}}}"),
    };
    let mut spec = format!("targetRefs: [{target}]\nrateLimits:\n");
    for line in rate_limits
        .lines()
        .map(str::trim)
        .filter(|it| !it.is_empty())
    {
        spec.push_str(line);
        spec.push('\n');
    }
    manifest("ambit.dev/v1alpha1", "TrafficPolicy", name, &spec)
}

/// What the backends of `web` have seen whose path contains `text`.
pub(crate) fn reached(ground: &Ground, text: &str) -> Vec<Seen> {
    let all = ground.echoes.values();
    all.flat_map(|echo| echo.seen(text)).collect()
}

/// The one request that a backend has seen whose path contains `text`.
pub(crate) fn reached_once(ground: &Ground, text: &str) -> Result<Seen> {
    let mut seen = reached(ground, text);
    ensure!(seen.len() == 1, "{text}: {seen:#?}");
    seen.pop().context("counted above")
}

/// Sends a request that may be answered before its body has gone. Debian's curl takes that for a broken stream of HTTP/2 now and then
/// (a newer one never does), so it is sent again then; `before` makes each try the first.
pub(crate) fn send_early(request: &Curl<'_>, before: impl Fn()) -> Result<Answer> {
    let mut tries = 0;
    loop {
        before();
        match request.send() {
            Err(error) if tries < MAX_TRIES && format!("{error:#}").contains("curl: (92)") => {
                tries += 1;
            }
            sent => return sent,
        }
    }
}

/// The one question of gRPC that was asked since the server was told to forget.
pub(crate) fn asked_once(server: &Answerer) -> Result<CheckRequest> {
    let asked = server.asked();
    ensure!(asked.len() == 1, "{asked:#?}");
    let first = asked.first().context("counted above")?;
    authorizer::question(first).with_context(|| format!("{first:?} is no question"))
}

/// That a line of the access log is of a request that an authorizer has stopped, or nobody has decided about.
pub(crate) fn ensure_line(line: &Access, status: u16, details: &str) -> Result<()> {
    let expected = (status, "UAEX", details);
    let found = (line.status, line.flags.as_str(), line.details.as_str());
    ensure!(found == expected, "{expected:?}: {line:#?}");
    Ok(())
}
