//! Whether a socket has failed that is not read.
//!
//! In: a socket. Out: its error, once there is one. Never: a byte that is taken from it; a peer that has said all before it went.
//!
//! What has arrived and is not read hides a reset: "readable" is said once and holds. So the error is waited for by itself.
//!
//! ```text
//!   Unused ──first poll──▶ Waiting ──error──▶ Over
//! ```

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{io::Interest, net::TcpStream};

/// Most connections are never blocked, and pay nothing for it.
#[derive(Default)]
pub(super) enum Watch {
    #[default]
    Unused,
    /// Stays for as long as the socket does.
    Waiting(Pin<Box<dyn Future<Output = io::Result<()>> + Send>>),
    Over,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unused => "Unused",
            Self::Waiting(_) => "Waiting",
            Self::Over => "Over",
        })
    }
}

impl Watch {
    /// Ready with the error of `stream`, which is the same one at every call.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &Arc<TcpStream>,
    ) -> Poll<io::Error> {
        if matches!(self, Self::Unused) {
            let stream = Arc::clone(stream);
            *self = Self::Waiting(Box::pin(async move {
                stream.ready(Interest::ERROR).await.map(drop)
            }));
        }
        let Self::Waiting(waiting) = self else {
            return Poll::Pending;
        };
        let waited = ready!(waiting.as_mut().poll(cx));
        *self = Self::Over;
        match waited.and_then(|()| stream.take_error()) {
            // Linux says so of a reset that came after the peer's end (tcp(7): state CLOSE_WAIT). All that it had to say has arrived, and
            // a read will find the end behind it.
            Ok(Some(error)) if error.kind() == io::ErrorKind::BrokenPipe => Poll::Pending,
            Ok(Some(error)) | Err(error) => Poll::Ready(error),
            Ok(None) => Poll::Pending,
        }
    }
}
