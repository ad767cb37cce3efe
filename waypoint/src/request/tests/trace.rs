//! What the log says of verdicts.

use std::{
    fmt::{Debug, Write as _},
    sync::Arc,
};

use http::Version;
use mesh::{
    access::authorization::{Action, Policy, Rule, Test, TextAttribute, TextMatch},
    route::RouteTable,
};
use parking_lot::Mutex;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::kit::*;
use crate::access::testkit::*;

/// Keeps the events of two targets, up to a level.
#[derive(Clone)]
struct Lines(Level, Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.0 && ["rbac", "audit"].contains(&metadata.target())
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        self.1.lock().push(line.0);
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

/// What is logged of one request.
async fn logged(level: Level, policies: Vec<Policy>) -> Vec<String> {
    let address = backend(Version::HTTP_11, |_| async { Ok(text("ok")) }).await;
    let table = RouteTable {
        policies: self::policies(policies),
        ..table(vec![forward()])
    };
    let plan = Plan {
        table: Some(table),
        ..Plan::default()
    };
    let kit = Kit::new(&[address], plan);
    let lines = Lines(level, Arc::default());
    let guard = tracing::subscriber::set_default(lines.clone());
    let mut request = get("/admin?token=secret");
    let headers = request.headers_mut();
    headers.insert("x-who", "somebody-secret".parse().unwrap());
    kit.ask(request).await;
    drop(guard);
    std::mem::take(&mut *lines.1.lock())
}

/// A path, without a header that says who it is.
fn nobody_on(path: &str) -> Rule {
    let header = TextAttribute::Header("x-who".into());
    rule(vec![
        is(TextAttribute::Path, path),
        mesh::access::authorization::Field {
            test: Test::Text(header, vec![TextMatch::Present]),
            negate: true,
        },
    ])
}

fn all() -> Vec<Policy> {
    vec![
        policy("audit", Action::Audit, vec![path("/admin")]),
        // Found by its path, and then it fails.
        policy("deny", Action::Deny, vec![nobody_on("/admin")]),
        Policy {
            dry_run: true,
            ..policy("trial", Action::Deny, vec![path("/admin")])
        },
    ]
}

#[tokio::test]
async fn an_audited_request_is_a_line_at_once_and_the_rest_only_for_who_asks() {
    let lines = logged(Level::INFO, all()).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    for part in [
        "audit ",
        "message=audited",
        "client=10.0.0.9",
        "identity=spiffe://cluster.local/ns/default/sa/client",
        "method=\"GET\"",
        "path=\"/admin\"",
        "ns[shop]-policy[audit]-rule[0]",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
}

#[tokio::test]
async fn the_trace_says_of_each_rule_what_failed_and_nothing_that_is_secret() {
    let lines = logged(Level::DEBUG, all()).await;
    let traced = lines.iter().find(|line| line.contains("message=judged"));
    let traced = traced.unwrap();
    for part in [
        "allowed: there is no ALLOW policy",
        "shop/trial rule 0: matches",
        "shop/deny rule 0: clause 0: request.headers[x-who]",
    ] {
        assert!(traced.contains(part), "{part} is not in {traced}");
    }
    let dry_run = lines
        .iter()
        .find(|line| line.contains("message=\"dry run\""));
    let dry_run = dry_run.or_else(|| lines.iter().find(|line| line.contains("message=dry run")));
    assert!(
        dry_run.is_some_and(|line| line.contains("denied by ns[shop]-policy[trial]-rule[0]")),
        "{lines:?}"
    );
    assert!(
        !lines.iter().any(|line| line.contains("secret")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn nothing_is_logged_where_no_policy_holds() {
    assert_eq!(logged(Level::TRACE, Vec::new()).await, Vec::<String>::new());
}
