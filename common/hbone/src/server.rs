//! The server's side of a tunnel: handshake, then a stream for every CONNECT that the owner admits.
//!
//! In: an accepted socket and a TLS configuration. Out: the peer's certified identity, then [`Incoming`] requests.
//! Never: answers a request by itself; what is dropped unanswered is reset.

use std::{future::Future as _, io, pin::pin, sync::Arc, task::Poll, time::SystemTime};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderValue, Response, StatusCode, request};
use identity::PeerCertificate;
use net::drain::{Draining, Phase};
use rustls::ServerConfig;
use tokio::net::TcpStream;

use crate::{
    settings::{self, Settings},
    stream::Stream,
    tls::{self, TlsError, TlsIo},
    tunnel::{KeepAlive, Slot, Usage},
};

/// A tunnel whose peer is known.
#[derive(Debug)]
pub struct Accepted {
    io: TlsIo,
    /// Who it is.
    pub peer: Arc<PeerCertificate>,
    /// When the first of both certificates ends.
    expires: SystemTime,
}

/// Ends the TLS handshake. `own_expiry` is the end of our own certificate.
///
/// # Errors
/// See [`TlsError`].
pub async fn handshake(
    tcp: TcpStream,
    config: Arc<ServerConfig>,
    own_expiry: SystemTime,
    settings: &Settings,
) -> Result<Accepted, TlsError> {
    match tokio::time::timeout(settings.timeout_handshake, tls::accept(tcp, config)).await {
        Ok(io) => {
            let io = io?;
            let peer = Arc::new(io.peer()?);
            let expires = peer.not_after.min(own_expiry);
            Ok(Accepted { io, peer, expires })
        }
        Err(_elapsed) => Err(TlsError::TimedOut),
    }
}

/// One request, not yet answered.
#[derive(Debug)]
pub struct Incoming {
    /// Its head.
    pub head: request::Parts,
    recv: RecvStream,
    respond: SendResponse<Bytes>,
    slot: Slot,
}

impl Incoming {
    /// Answers 200, with `baggage` of our own workload if given.
    ///
    /// # Errors
    /// When the peer has already given up.
    pub fn accept(mut self, baggage: Option<HeaderValue>) -> io::Result<Stream> {
        let mut response = Response::new(());
        if let Some(baggage) = baggage {
            response.headers_mut().insert("baggage", baggage);
        }
        let send = self
            .respond
            .send_response(response, false)
            .map_err(io::Error::other)?;
        Ok(Stream::new(send, self.recv, self.slot))
    }

    /// Answers with an error status and ends the stream.
    pub fn refuse(mut self, status: StatusCode) {
        let mut response = Response::new(());
        *response.status_mut() = status;
        // It fails only when the peer has given up meanwhile.
        drop(self.respond.send_response(response, true));
    }
}

impl Accepted {
    /// Serves the tunnel until it ends: hands every request to `on_request`, answers PINGs, drains when told.
    ///
    /// # Errors
    /// When the peer breaks the protocol (`InvalidData`), stops to answer (`TimedOut`) or has gone (any other
    /// kind). All streams have failed then.
    pub async fn serve(
        self,
        settings: &Settings,
        draining: &Draining,
        mut on_request: impl FnMut(Incoming),
    ) -> io::Result<()> {
        let Self { io, peer, expires } = self;
        let (stream_window, connection_window) = settings.windows(settings::MAX_SERVER_STREAMS);
        let mut connection = match tokio::time::timeout(
            settings.timeout_handshake,
            h2::server::Builder::new()
                .initial_window_size(stream_window)
                .initial_connection_window_size(connection_window)
                .max_frame_size(settings.frame_size)
                .max_header_list_size(settings::MAX_REQUEST_HEADER_BYTES)
                .max_concurrent_streams(settings::MAX_SERVER_STREAMS)
                .max_send_buffer_size(settings::MAX_SEND_BUFFER_BYTES)
                .data_frame_budget(settings::DATA_FRAME_BUDGET)
                .handshake::<_, Bytes>(io.clone()),
        )
        .await
        {
            Ok(connection) => connection.map_err(broken)?,
            Err(_elapsed) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no HTTP/2 preface"));
            }
        };
        let usage = Usage::new(peer);
        let mut keepalive = KeepAlive::new(connection.ping_pong(), settings);
        let (mut for_drain, mut for_cut) = (draining.clone(), draining.clone());
        let mut drain = pin!(for_drain.reached(Phase::Draining));
        let mut cut = pin!(for_cut.reached(Phase::Cut));
        let mut leaving = false;
        std::future::poll_fn(|cx| {
            if cut.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if !leaving && drain.as_mut().poll(cx).is_ready() {
                leaving = true;
                connection.graceful_shutdown();
            }
            while let Poll::Ready(tick) = keepalive.poll(cx) {
                tick?;
                if !leaving && net::clock::wall() >= expires {
                    leaving = true;
                    connection.graceful_shutdown();
                }
            }
            let state = loop {
                match connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, mut respond)))) => {
                        let (head, recv) = request.into_parts();
                        match usage.reserve(settings::MAX_SERVER_STREAMS as usize) {
                            Some(slot) if net::clock::wall() < expires => {
                                on_request(Incoming {
                                    head,
                                    recv,
                                    respond,
                                    slot,
                                });
                            }
                            _ => respond.send_reset(h2::Reason::REFUSED_STREAM),
                        }
                    }
                    Poll::Ready(Some(Err(error))) => break Poll::Ready(Err(broken(error))),
                    Poll::Ready(None) => break Poll::Ready(Ok(())),
                    Poll::Pending => break Poll::Pending,
                }
            };
            if let Poll::Ready(Err(error)) = io.poll_drain(cx) {
                return Poll::Ready(Err(error));
            }
            state
        })
        .await
    }
}

/// What ended a tunnel: the socket's own error, or `InvalidData` for a peer that breaks the protocol.
fn broken(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error
            .into_io()
            .unwrap_or_else(|| io::ErrorKind::BrokenPipe.into());
    }
    io::Error::new(io::ErrorKind::InvalidData, error)
}
