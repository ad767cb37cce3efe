//! A connection to an endpoint, as hyper and h2 read and write it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{io::DuplexIo, upstream::dial::Transport};

/// A socket, or a stream of a tunnel that acts as one.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Hbone(DuplexIo<hbone::Stream>),
}

impl From<Transport> for Socket {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Tcp(socket) => Self::Tcp(socket),
            Transport::Hbone(stream) => Self::Hbone(DuplexIo::new(stream)),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Self::Hbone(io) => AsyncRead::poll_read(Pin::new(io), cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write(cx, buf),
            Self::Hbone(io) => AsyncWrite::poll_write(Pin::new(io), cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Hbone(io) => AsyncWrite::poll_write_vectored(Pin::new(io), cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_flush(cx),
            Self::Hbone(io) => AsyncWrite::poll_flush(Pin::new(io), cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Hbone(io) => AsyncWrite::poll_shutdown(Pin::new(io), cx),
        }
    }
}
