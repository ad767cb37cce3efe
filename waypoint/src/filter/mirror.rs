//! Copies of requests, for a backend that is only to see them.
//!
//! In: a request that is about to be sent, and what it was let in on. Out: the same request to another backend; what that answers is dropped. Never:
//! makes the request wait, tries again, shows in the client's metrics; goes on when policies change before it has been looked at again, as the request itself is.
//!
//! Tasks: one per copy, on the request's worker. It ends with the answer or after [`MAX_TIME`], at the latest with the process;
//! nobody waits for it, so dropping it is safe.
//!
//! Source: VirtualService `mirrors`, HTTPRoute `RequestMirror`; Envoy's shadowing.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{HeaderValue, request};
use http_body_util::BodyExt as _;
use mesh::route::Mirror;

use crate::{
    access::grant::Basis,
    body::Body,
    request::{
        head::{Named, set_authority},
        upload::Upload,
    },
    session::Session,
    upstream::{Ask, Cluster},
};

mod tap;

pub use tap::{Broken, MAX_BEHIND_BYTES, Tap, tap};

/// Copies under way in the process. Reason: a mirror that hangs must not gather them; each holds at most
/// [`MAX_BEHIND_BYTES`], and nearly all much less.
pub const MAX_MIRRORS: usize = 1024;
/// How long a copy may take. Reason: nobody waits for it, so nobody else gives it up. Envoy takes the route's timeout,
/// 15 seconds where there is none.
pub const MAX_TIME: Duration = Duration::from_secs(15);

static PLACES: Places = Places(AtomicUsize::new(0));

/// How many copies are under way.
#[derive(Debug)]
struct Places(AtomicUsize);

/// One copy's place.
#[derive(Debug)]
struct Place(&'static Places);

impl Places {
    fn take(&'static self) -> Option<Place> {
        let before = self.0.fetch_add(1, Relaxed);
        // From here on it is given back in any case.
        let place = Place(self);
        (before < MAX_MIRRORS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// A copy that waits for the head of its request.
#[derive(Debug)]
pub struct Shadow {
    cluster: Arc<Cluster>,
    append_shadow: bool,
    body: Body,
    place: Place,
}

/// Draws which of `mirrors` get a copy of a request with `body`. **Shape:** a tap for each copy, unless there is no body.
pub fn draw<'m>(
    session: &Session,
    mirrors: impl Iterator<Item = &'m Mirror>,
    body: &Body,
    random: &mut fastrand::Rng,
) -> (Vec<Shadow>, Vec<Tap>) {
    let (mut shadows, mut taps) = (Vec::new(), Vec::new());
    for mirror in mirrors {
        if !mirror.share.takes(random.u64(..)) {
            continue;
        }
        let Some(cluster) = session.proxy.clusters.get(&mirror.backend) else {
            continue;
        };
        let Some(place) = PLACES.take() else {
            continue;
        };
        let body = if http_body::Body::is_end_stream(body) {
            Body::Empty
        } else {
            let (tap, copy) = tap(http_body::Body::size_hint(body));
            taps.push(tap);
            Body::boxed(copy)
        };
        shadows.push(Shadow {
            cluster,
            append_shadow: mirror.shadow_host,
            body,
            place,
        });
    }
    (shadows, taps)
}

impl Shadow {
    /// Sends the copy with a head that goes to the backend as well, for a client that is at `client`. It is cut when `basis` does not hold any more;
    /// `is_intact`: the headers are those that policies saw.
    pub fn send(self, basis: Basis, client: IpAddr, head: &request::Parts, is_intact: bool) {
        let live = is_intact.then(|| head.headers.clone());
        let mut head = head.clone();
        // Whatever the engine keeps there is the request's own.
        head.extensions.clear();
        if self.append_shadow
            && let Some(shadow) = shadow_of(Named::of(&head.uri, &head.headers).as_str())
        {
            set_authority(&mut head.uri, &mut head.headers, shadow);
        }
        let mut grant = basis.detached();
        tokio::spawn(async move {
            let Self {
                cluster,
                body,
                place,
                ..
            } = self;
            // Its frames wait, too, until somebody has looked.
            let upload = Upload::new(body, false, false, Vec::new())
                .guarded(&grant.basis.session, grant.basis.seen());
            let session = Arc::clone(&grant.basis.session);
            let exchange = exchange(&session, client, &cluster, &head, &upload);
            let late = tokio::time::sleep(MAX_TIME);
            tokio::select! {
                biased;
                lost = grant.lost(live.as_ref(), Some(&upload)) => {
                    tracing::debug!(cluster = %cluster.name(), %lost, "mirror: cut");
                }
                () = exchange => {}
                () = late => {
                    tracing::debug!(cluster = %cluster.name(), "mirror: no answer in time");
                }
            }
            drop(place);
        });
    }
}

async fn exchange(
    session: &Session,
    client: IpAddr,
    cluster: &Arc<Cluster>,
    head: &request::Parts,
    upload: &Upload,
) {
    cluster.warmed().await;
    let Ok(_permit) = cluster.request() else {
        return;
    };
    let Ok(pick) = cluster.pick(&Ask::default()) else {
        return;
    };
    // There is one attempt.
    let Some(body) = upload.attempt() else {
        return;
    };
    match cluster
        .send(session.on_behalf(client), pick, head, body)
        .await
    {
        Ok(sent) => {
            // To its end, so that the connection can be used again.
            let mut body = sent.response.into_body();
            while let Some(Ok(_)) = body.frame().await {}
        }
        Err(error) => tracing::debug!(cluster = %cluster.name(), %error, "mirror: not sent"),
    }
}

/// `host-shadow`, or `host-shadow:port`.
fn shadow_of(authority: &str) -> Option<HeaderValue> {
    let (host, _) = decision::route::authority::split(authority);
    let port = authority.get(host.len()..).unwrap_or_default();
    HeaderValue::from_str(&format!("{host}-shadow{port}")).ok()
}

#[cfg(test)]
mod tests;
