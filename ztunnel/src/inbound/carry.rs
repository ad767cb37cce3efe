//! From admission until both ends stand, the same for whatever a connection came through.
//!
//! ```text
//! Admitted ─▶ opened ─▶ registered ─▶ still admitted? revoked by now? ─▶ deliver ─▶ accept ─▶ Carried, for the relay
//!                           └─ cut at any time, by the pod's side or the caller's ──────────────┘
//! ```
//! In: an [`Admitted`], what it came through, who else may cut it. Out: a connection whose ends stand, or one event that says why not, and
//! that for the caller. Never: a moment at which it could not be cut.

use std::sync::Arc;

use decision::inbound::Admitted;
use http::{HeaderValue, StatusCode};
use net::{
    relay::{RelayError, TcpEnd},
    socket,
};
use telemetry::{Connection, Outcome, Reason};

use super::{Arrived, deliver, downstream::Downstream};
use crate::{
    capture::listen::Counted,
    connections::{self, Cut},
    relay::{self, Carried, Side},
};

/// How a connection ended whose application was not reached, or not by it.
#[derive(Debug)]
pub(crate) enum Undelivered {
    /// What a CONNECT is answered.
    Answered(StatusCode),
    /// It was cut, or the client broke off.
    Ended(Outcome),
}

impl Arrived {
    /// Opens, registers and delivers. `elsewhere` ends it, too, until it is delivered.
    ///
    /// # Errors
    /// How it ended before that. It is reported then.
    pub(super) async fn deliver<D: Downstream>(
        &self,
        admitted: &Arc<Admitted>,
        report: Connection,
        downstream: D,
        counted: Option<Counted>,
        elsewhere: impl Future<Output = Cut>,
    ) -> Result<Carried<D::End, TcpEnd>, Undelivered> {
        let event = self.proxy.telemetry.opened(report, net::clock::now());
        let readmit = |admitted: &Admitted| admitted.readmit(&self.proxy.view.borrow());
        let (way, peer) = downstream.way();
        let (registered, mut cut, still) =
            self.pod
                .connections
                .register_admitted(self.worker, admitted, way, peer, readmit);
        let upstream = async {
            still?;
            deliver::connect(&self.proxy, &self.pod, admitted).await
        };
        // A list that came before it was registered has found nothing to cut.
        let upstream = if downstream.is_revoked(&self.proxy) {
            Err(Cut::Revoked)
        } else {
            tokio::select! {
                biased;
                reason = &mut cut => Err(connections::reason(reason)),
                reason = elsewhere => Err(reason),
                upstream = upstream => Ok(upstream),
            }
        };
        let side = Side::new(event, registered, cut, counted);
        let (undelivered, outcome) = match upstream {
            Ok(Ok(upstream)) => match downstream.accept(|| self.baggage()) {
                Ok(downstream) => {
                    return Ok(Carried::new(downstream, TcpEnd::new(upstream), side));
                }
                Err(error) => {
                    // The client broke off meanwhile; its application's end must not look like a polite one.
                    socket::reset_on_close(&upstream);
                    let error = RelayError::Downstream(error);
                    let outcome = Outcome::failed(Reason::ClientDisconnected, error);
                    (Undelivered::Ended(outcome.clone()), outcome)
                }
            },
            Ok(Err(error)) => {
                let status = error.status();
                downstream.refuse(status);
                let outcome = Outcome::failed(error.reason(), error);
                (Undelivered::Answered(status), outcome)
            }
            Err(reason) => {
                downstream.refuse(match reason {
                    Cut::Policy(_) | Cut::Revoked => StatusCode::UNAUTHORIZED,
                    Cut::Drain | Cut::Apart => StatusCode::SERVICE_UNAVAILABLE,
                });
                let outcome = relay::cut(&reason);
                (Undelivered::Ended(outcome.clone()), outcome)
            }
        };
        side.close(outcome);
        Err(undelivered)
    }

    fn baggage(&self) -> Option<HeaderValue> {
        self.proxy
            .sockets
            .response_baggage
            .then(|| self.pod.baggage.of(&self.workload))
            .flatten()
    }
}
