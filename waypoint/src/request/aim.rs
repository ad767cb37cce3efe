//! What a request leads to: an answer of the rule, or a backend.
//!
//! In: a rule. Out: the backend and its cluster, or the answer. Never: chooses an endpoint; changes the request.

use std::{net::SocketAddr, sync::Arc};

use decision::waypoint::Target as Asked;
use http::{Request, Response};
use mesh::route::{Action, Backend, Redirect, Target, WeightedBackend};
use telemetry::http::Details;

use crate::{
    body::Body,
    request::{
        call::Call,
        compiled::CompiledBackend,
        reply::{self, Reply},
        route::{Ruled, facts},
    },
    upstream::Cluster,
};

/// What a request leads to.
#[derive(Debug)]
pub enum Aim<'r> {
    /// The rule answers it.
    Answer(Box<Response<Body>>),
    /// It is sent on.
    Send {
        /// To whom.
        cluster: Arc<Cluster>,
        /// What the rule says of that backend. `None`: there is no rule.
        choice: Option<Choice<'r>>,
    },
}

/// One of a rule's backends.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'r> {
    /// As the rule says it.
    pub backend: &'r WeightedBackend,
    /// The same, ready.
    pub compiled: &'r CompiledBackend,
}

/// Finds out what a request leads to.
///
/// # Errors
/// The answer to a request that leads nowhere.
pub fn aim<'r>(
    call: &mut Call,
    ruled: Option<&'r Ruled>,
    request: &Request<Body>,
) -> Result<Aim<'r>, Reply> {
    let Some(ruled) = ruled else {
        return itself(call);
    };
    let forward = match &ruled.rule.action {
        Action::Forward(forward) => forward,
        Action::Redirect(to) => return Ok(redirect(call, to, ruled, request)),
        Action::Respond(answer) => {
            call.account.because(Details::DIRECT_RESPONSE);
            let response = reply::direct(answer, call.account.is_grpc());
            return Ok(Aim::Answer(Box::new(response)));
        }
    };
    let Some(chosen) = decision::route::backend(forward, call.random.u64(..)) else {
        return Err(Reply::no_cluster(forward.fallback_status));
    };
    if let Some(to) = &chosen.redirect {
        return Ok(redirect(call, to, ruled, request));
    }
    let backend = match &chosen.target {
        Target::Backend(backend) => backend,
        Target::Missing(missing) => {
            call.account.aimed(missing.name.as_str().into(), None);
            return Err(Reply::missing(missing));
        }
    };
    let index = forward
        .backends
        .iter()
        .position(|one| std::ptr::eq(one, chosen));
    let compiled = index.and_then(|index| ruled.compiled.backends.get(index));
    Ok(Aim::Send {
        cluster: cluster(call, backend)?,
        choice: compiled.map(|compiled| Choice {
            backend: chosen,
            compiled,
        }),
    })
}

/// What was asked for, where no rule leads elsewhere.
fn itself<'r>(call: &mut Call) -> Result<Aim<'r>, Reply> {
    let session = Arc::clone(&call.session);
    let cluster = match &session.target {
        Asked::Service { service, port } => cluster(call, &Backend::new(service.key(), *port))?,
        Asked::Workload {
            workload,
            address,
            port,
        } => {
            let address = SocketAddr::new(*address, *port);
            let cluster = session.proxy.clusters.workload(workload, address);
            let cluster = cluster.ok_or_else(|| Reply::no_cluster(503))?;
            call.account.aimed(Arc::clone(cluster.name()), None);
            cluster
        }
    };
    Ok(Aim::Send {
        cluster,
        choice: None,
    })
}

fn cluster(call: &mut Call, backend: &Backend) -> Result<Arc<Cluster>, Reply> {
    let session = &call.session;
    let Some(cluster) = session.proxy.clusters.get(backend) else {
        call.account.aimed(backend.to_string().into(), None);
        return Err(Reply::no_cluster(503));
    };
    // Metrics name the service that is sent to.
    let asked = session.target.service();
    let is_asked = asked.is_some_and(|service| {
        service.namespace == backend.service.namespace
            && service.hostname == backend.service.hostname
    });
    let other = if is_asked {
        None
    } else {
        session
            .proxy
            .view
            .borrow()
            .service(&backend.service)
            .cloned()
    };
    call.account.aimed(Arc::clone(cluster.name()), other);
    Ok(cluster)
}

fn redirect<'r>(call: &mut Call, to: &Redirect, ruled: &Ruled, request: &Request<Body>) -> Aim<'r> {
    call.account.because(Details::DIRECT_RESPONSE);
    let account = &call.account;
    let port = call.session.target.port();
    let head = facts(request, account.named(), account.scheme(), port);
    let location = decision::route::redirect::location(to, ruled.matched.as_ref(), &head);
    Aim::Answer(Box::new(reply::redirect(to.status, &location)))
}
