//! What an admitted connection came through.
//!
//! In: what the stages before admission have made of it. Out: an end for the relay, or a no. Never: a yes before the application is reached.

use std::{io, sync::Arc};

use hbone::server::Incoming;
use http::{HeaderValue, StatusCode};
use identity::{Introduced, PeerCertificate};
use net::relay::{Duplex, TcpEnd};

use crate::{connections::Way, proxy::Proxy};

/// What an admitted connection came through.
pub(super) trait Downstream {
    /// What the relay reads and writes.
    type End: Duplex;

    /// What it is, and who is at its other end.
    fn way(&self) -> (Way, Option<Arc<PeerCertificate>>);

    /// Whether a certificate that it rests on is on a list.
    fn is_revoked(&self, proxy: &Proxy) -> bool;

    /// Says yes, with `baggage` where that is said by words.
    ///
    /// # Errors
    /// When the client has broken off meanwhile.
    fn accept(self, baggage: impl FnOnce() -> Option<HeaderValue>) -> io::Result<Self::End>;

    /// Says no.
    fn refuse(self, status: StatusCode);
}

/// Nothing.
pub(super) struct Plain(pub(super) TcpEnd);

/// A tunnel.
pub(super) struct Tunnelled(pub(super) Incoming, pub(super) Arc<PeerCertificate>);

/// A join: the client's own socket, and who the two are to each other.
pub(super) struct Introduction(pub(super) TcpEnd, pub(super) Arc<Introduced>);

impl Downstream for Plain {
    type End = TcpEnd;

    fn way(&self) -> (Way, Option<Arc<PeerCertificate>>) {
        (Way::Plain, None)
    }

    fn is_revoked(&self, _proxy: &Proxy) -> bool {
        false
    }

    fn accept(self, _baggage: impl FnOnce() -> Option<HeaderValue>) -> io::Result<TcpEnd> {
        Ok(self.0)
    }

    fn refuse(mut self, _status: StatusCode) {
        self.0.reset();
    }
}

impl Downstream for Tunnelled {
    type End = hbone::Stream;

    fn way(&self) -> (Way, Option<Arc<PeerCertificate>>) {
        (Way::Hbone, Some(Arc::clone(&self.1)))
    }

    fn is_revoked(&self, proxy: &Proxy) -> bool {
        proxy.is_revoked(&self.1)
    }

    fn accept(self, baggage: impl FnOnce() -> Option<HeaderValue>) -> io::Result<hbone::Stream> {
        self.0.accept(baggage())
    }

    fn refuse(self, status: StatusCode) {
        self.0.refuse(status);
    }
}

impl Downstream for Introduction {
    type End = TcpEnd;

    fn way(&self) -> (Way, Option<Arc<PeerCertificate>>) {
        (Way::SameNode, Some(Arc::clone(&self.1.client)))
    }

    fn is_revoked(&self, proxy: &Proxy) -> bool {
        proxy.is_revoked(&self.1.client) || proxy.is_revoked(&self.1.server)
    }

    fn accept(self, _baggage: impl FnOnce() -> Option<HeaderValue>) -> io::Result<TcpEnd> {
        Ok(self.0)
    }

    fn refuse(mut self, _status: StatusCode) {
        self.0.reset();
    }
}
