//! What holds for a request: looked up anew for each, so that a change of configuration is one for the next request.
//!
//! In: what the session asks for. Out: settings and routes as they are now. Never: lets a request by for which a policy
//! holds that nobody here enforces, or for a port of a service of which nothing was told: the table is where such policies stand.

use std::sync::Arc;

use decision::waypoint::Target;
use mesh::{
    route::{HttpRules, RouteKey, RouteTable},
    settings::WaypointSettings,
};

use crate::request::{call::Call, reply::Reply};

/// What holds for one request.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What the waypoint is told of itself.
    pub settings: Arc<WaypointSettings>,
    /// The routes of the service's port; `None`: none were told, or it is a workload that was asked for, which has none.
    pub table: Option<Arc<RouteTable>>,
    /// Whether there ought to be a table.
    is_service: bool,
    /// Of the snapshot that says so.
    version: u64,
}

/// Looks up what holds.
///
/// # Errors
/// The answer while the waypoint has no settings.
pub fn rules(call: &mut Call) -> Result<Rules, Reply> {
    let session = &call.session;
    let own = &session.proxy.own;
    let mesh = session.proxy.view.borrow();
    let settings = mesh
        .waypoint_settings(&own.namespace, &own.gateway)
        .ok_or_else(Reply::unconfigured)?;
    let table = match &session.target {
        Target::Service { service, port } => mesh.routes(&RouteKey::new(service.key(), *port)),
        Target::Workload { .. } => None,
    };
    let rules = Rules {
        settings: Arc::clone(settings),
        table: table.cloned(),
        is_service: session.target.service().is_some(),
        version: mesh.version,
    };
    call.account.configure(&rules.settings);
    Ok(rules)
}

/// Lets a request in, or not. Policies of layer 7 are judged here once they are built: CUSTOM, JWT, DENY, ALLOW.
///
/// # Errors
/// 403 where a policy holds that cannot be enforced, 503 where it is not known which do.
pub fn admit(call: &mut Call, rules: &Rules) -> Result<(), Reply> {
    judge(rules)?;
    // From now on a policy that comes cuts the connection; one that has come meanwhile is looked for here.
    if call.session.ending.let_in() && call.session.proxy.view.version() != rules.version {
        judge(&self::rules(call)?)?;
    }
    Ok(())
}

fn judge(rules: &Rules) -> Result<(), Reply> {
    let table = rules.table.as_ref();
    let of_port = table.and_then(|table| table.unenforced.first());
    match rules.settings.unenforced.first().or(of_port) {
        Some(policy) => Err(Reply::unenforced(policy)),
        None if rules.is_service && table.is_none() => Err(Reply::route_table_missing()),
        None => Ok(()),
    }
}

impl Rules {
    /// The routes for clients of a namespace; `None`: requests go to what they ask for.
    #[must_use]
    pub fn http_for(&self, client_namespace: &str) -> Option<&HttpRules> {
        self.table.as_ref()?.http_for(client_namespace)
    }

    /// Whether gRPC-Web becomes gRPC.
    #[must_use]
    pub fn translates_grpc_web(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.grpc_web)
    }
}
