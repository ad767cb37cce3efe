//! What holds for a request: looked up anew for each, so that a change of configuration is one for the next request.
//!
//! In: what the session asks for. Out: settings and routes as they are now. Never: lets a request by for which a policy
//! holds that nobody here enforces, or for a port of a service of which nothing was told: the table is where such policies stand.

use std::sync::Arc;

use mesh::{
    access::Policies,
    route::{HttpRules, RouteTable},
    settings::WaypointSettings,
};

use crate::{
    request::{call::Call, reply::Reply},
    session::{Session, Standing},
};

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
    /// How often policies had changed before it was read.
    pub(crate) epoch: u64,
}

/// Looks up what holds. What is told of the request is told as these settings say, to its end.
///
/// # Errors
/// The answer while the waypoint has no settings.
pub fn rules(call: &mut Call) -> Result<Rules, Reply> {
    let rules = read(&call.session)?;
    call.account.configure(&rules.settings);
    Ok(rules)
}

fn read(session: &Session) -> Result<Rules, Reply> {
    // Before the snapshot: see [`crate::session::Flips`].
    let epoch = session.flips.epoch();
    let mesh = session.proxy.view.borrow();
    let standing = session.flips.at(mesh.version).unwrap_or_else(|| {
        // It is not told of it yet.
        Standing::new(&mesh, session.settings(&mesh), session.table(&mesh))
    });
    Ok(Rules {
        settings: standing.settings.ok_or_else(Reply::unconfigured)?,
        table: standing.table,
        is_service: session.target.service().is_some(),
        version: mesh.version,
        epoch,
    })
}

/// Says no where it is not known what holds, or where a policy holds that nobody here can enforce.
///
/// # Errors
/// 503, 403.
pub fn judge(rules: &Rules) -> Result<(), Reply> {
    let table = rules.table.as_ref();
    let of_port = table.and_then(|table| table.unenforced.first());
    match rules.settings.unenforced.first().or(of_port) {
        Some(policy) => Err(Reply::unenforced(policy)),
        None if rules.is_service && table.is_none() => Err(Reply::route_table_missing()),
        None => Ok(()),
    }
}

/// A request is let in: from now on a policy that cannot be enforced cuts the connection. One that has come meanwhile is looked for here.
///
/// # Errors
/// As [`judge`].
pub fn enter(call: &Call, rules: &Rules) -> Result<(), Reply> {
    if call.session.ending.let_in() && call.session.proxy.view.version() != rules.version {
        judge(&read(&call.session)?)?;
    }
    Ok(())
}

impl Rules {
    /// Policies of the waypoint and of the port, which count as one set.
    #[must_use]
    pub fn policies(&self) -> [Option<&Policies>; 2] {
        let table = self.table.as_ref();
        [
            Some(&self.settings.policies),
            table.map(|table| &table.policies),
        ]
    }

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
