//! What is told of verdicts.
//!
//! In: a verdict and what it is about. Out: counters; one line for each AUDIT rule that matches; with `rbac` at `debug`, why every
//! verdict is what it is. Never: what headers, tokens or authorizers say.
//!
//! The **decision trace** is a line of the log, not a page: it is asked for where requests come, by
//! `POST /logging?level=rbac:debug` on the admin port or `RUST_LOG=info,rbac=debug`, and names the rules that were looked at and what failed
//! in each. Source: Envoy's `rbac:debug`.

use std::fmt::Display;

use decision::access::{self as decide, Outcome, Verdict};
use mesh::access::Rulebook;
use telemetry::http::{DryRun, Verdicts};

use super::facts::Seen;

/// Tells of a verdict.
pub(super) fn judged(books: &[&Rulebook], seen: &Seen<'_>, verdict: &Verdict<'_>) {
    if books.iter().all(|book| book.is_empty()) {
        return;
    }
    let all = seen.session.proxy.telemetry.http().authorization();
    count(
        match &seen.request {
            Some(_) => &all.http,
            None => &all.tcp,
        },
        verdict,
    );
    if let Some(by) = verdict.audited {
        audited(seen, &by);
    }
    if tracing::enabled!(target: "rbac", tracing::Level::DEBUG) {
        traced(books, seen);
    }
}

fn count(counters: &Verdicts, verdict: &Verdict<'_>) {
    match verdict.enforced {
        Outcome::Allow { .. } => counters.allowed.increment(),
        Outcome::Deny { .. } => counters.denied.increment(),
    }
    if let Some(shadow) = verdict.shadow {
        dry_run(&counters.dry_run_allow, shadow.allow);
        dry_run(&counters.dry_run_deny, shadow.deny);
    }
    if verdict.audited.is_some() {
        counters.audited.increment();
    }
}

fn dry_run(counters: &DryRun, outcome: Option<Outcome<'_>>) {
    match outcome {
        Some(Outcome::Allow { .. }) => counters.allowed.increment(),
        Some(Outcome::Deny { .. }) => counters.denied.increment(),
        None => {}
    }
}

fn audited(seen: &Seen<'_>, by: &dyn Display) {
    let (client, identity) = (seen.client, seen.session.identity());
    let (method, authority, path) = line(seen);
    tracing::info!(target: "audit", %client, %identity, method, authority, path, policy = %by, "audited");
}

fn traced(books: &[&Rulebook], seen: &Seen<'_>) {
    let (client, identity) = (seen.client, seen.session.identity());
    let (method, authority, path) = line(seen);
    let trace = decide::trace(books, seen);
    if let Some(shadow) = trace.verdict.shadow {
        let result = shadow.together;
        tracing::debug!(target: "rbac", %client, %identity, method, authority, path, %result, "dry run");
    }
    tracing::debug!(target: "rbac", %client, %identity, method, authority, path, %trace, "judged");
}

/// What a request asks for; nothing where none is read.
fn line<'a>(seen: &Seen<'a>) -> (Option<&'a str>, Option<&'a str>, Option<&'a str>) {
    let request = seen.request;
    (
        request.map(|request| request.method.as_str()),
        request.map(|request| request.authority),
        // Without its query, which may have secrets.
        request.map(|request| request.path.path()),
    )
}
