//! The client's side of a tunnel: TCP, TLS and HTTP/2 up to the point where streams can be opened.
//!
//! In: a connected socket, a TLS configuration that accepts exactly the expected peer. Out: a [`Dialed`] tunnel.
//! Never: chooses the peer; opens streams ([`crate::pool`] does).
//!
//! Tasks: one per tunnel ([`Dialed::drive`]), on the worker that dialled. It ends when the peer closes or stops to
//! answer, when the last stream has ended after the pool let go of it, or when the pod is cut; it holds no
//! state that anyone waits for, so dropping it is safe.

use std::{
    future::Future as _,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::SystemTime,
};

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use identity::PeerCertificate;
use net::{
    drain::{Draining, Phase},
    socket::ConnectError,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;

use crate::{
    settings::{self, Settings},
    tls::{self, TlsError, TlsIo},
    tunnel::{KeepAlive, Usage},
};

/// Why a tunnel could not be made. Texts: Istio's ztunnel.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No route, refused, reset.
    #[error("connection failed: {0}")]
    Connect(ConnectError),
    /// No answer on the HBONE port.
    #[error("connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008")]
    TimedOut,
    /// The peer is not who it should be, or does not accept us.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The peer speaks no HTTP/2.
    #[error("http2 handshake failed: {0}")]
    Http2(io::Error),
    /// The worker that dialled has gone.
    #[error("pool draining")]
    Draining,
}

impl From<ConnectError> for DialError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::TimedOut => Self::TimedOut,
            ConnectError::Io(ref io) if io.kind() == io::ErrorKind::TimedOut => Self::TimedOut,
            ConnectError::Io(_) => Self::Connect(error),
        }
    }
}

/// A tunnel that is ready for streams, and not yet driven.
#[derive(Debug)]
pub struct Dialed {
    pub(crate) sender: SendRequest<Bytes>,
    connection: Connection<TlsIo, Bytes>,
    io: TlsIo,
    /// Who answered.
    pub(crate) peer: Arc<PeerCertificate>,
    /// When the first of both certificates ends.
    pub(crate) expires: SystemTime,
}

/// Ends the handshakes of a tunnel. `own_expiry` is the end of our own certificate.
///
/// # Errors
/// See [`DialError`].
pub async fn handshake(
    tcp: TcpStream,
    config: Arc<ClientConfig>,
    own_expiry: SystemTime,
    settings: &Settings,
) -> Result<Dialed, DialError> {
    let handshake = async {
        let io = tls::connect(tcp, config).await?;
        let peer = Arc::new(io.peer()?);
        let expires = peer.not_after.min(own_expiry);
        let (stream_window, connection_window) = settings.windows(settings.max_streams);
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(stream_window)
            .initial_connection_window_size(connection_window)
            .max_frame_size(settings.frame_size)
            .max_header_list_size(settings::MAX_RESPONSE_HEADER_BYTES)
            .max_send_buffer_size(settings::MAX_SEND_BUFFER_BYTES)
            .data_frame_budget(settings::DATA_FRAME_BUDGET)
            .enable_push(false)
            .handshake::<_, Bytes>(io.clone())
            .await
            .map_err(|error| DialError::Http2(io::Error::other(error)))?;
        Ok(Dialed {
            sender,
            connection,
            io,
            peer,
            expires,
        })
    };
    match tokio::time::timeout(settings.timeout_handshake, handshake).await {
        Ok(result) => result,
        Err(_elapsed) => Err(TlsError::TimedOut.into()),
    }
}

/// What a driven tunnel asks its owner after each keep-alive turn.
pub(crate) trait Owner: Send + Sync + 'static {
    /// The time to let go of the tunnel if it has long been idle.
    fn tick(&self);
}

impl Dialed {
    /// Runs the tunnel until it ends. Takes the connection only: the sender stays with the pool.
    pub(crate) fn drive(
        self,
        usage: Arc<Usage>,
        owner: impl Owner,
        draining: &Draining,
        settings: &Settings,
    ) -> (
        SendRequest<Bytes>,
        impl Future<Output = io::Result<()>> + Send + 'static,
    ) {
        let Self {
            sender,
            mut connection,
            io,
            ..
        } = self;
        let mut keepalive = KeepAlive::new(connection.ping_pong(), settings);
        let mut draining = draining.clone();
        let driver = async move {
            let mut cut = pin!(draining.reached(Phase::Cut));
            let result = std::future::poll_fn(|cx| {
                if cut.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Ok(()));
                }
                while let Poll::Ready(tick) = keepalive.poll(cx) {
                    tick?;
                    owner.tick();
                }
                let state = Pin::new(&mut connection).poll(cx).map_err(io::Error::other);
                if let Poll::Ready(Err(error)) = io.poll_drain(cx) {
                    return Poll::Ready(Err(error));
                }
                state
            })
            .await;
            usage.close();
            result
        };
        (sender, driver)
    }
}
