//! One connection that carries bytes without a pause, every one of which is counted and compared.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use lab::Pod;

use crate::policy::{Call, PATIENCE, Seen};

/// Bytes of one exchange: less than what the buffers on the way hold.
const PIECE_BYTES: usize = 16_384;
/// Between two exchanges: it is a witness, not a flood.
const PAUSE: Duration = Duration::from_millis(2);

/// A thread that sends numbered pieces on one connection and expects each back.
#[derive(Debug)]
pub struct Stream {
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    thread: JoinHandle<Result<()>>,
}

impl Stream {
    /// Opens the connection and begins.
    ///
    /// # Errors
    ///
    /// When it is refused.
    pub fn start(from: &Pod, to: SocketAddr) -> Result<Self> {
        let mut call = Call::open(from, to)?;
        ensure!(call.ping()? == Seen::Answered, "refused from the start");
        let (stop, bytes) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (ends, counts) = (Arc::clone(&stop), Arc::clone(&bytes));
        let thread = std::thread::spawn(move || {
            let mut number = 0_u64;
            while !ends.load(Ordering::SeqCst) {
                let piece = number.to_be_bytes().repeat(PIECE_BYTES / 8);
                let seen = call.exchange(&piece)?;
                ensure!(
                    seen == Seen::Answered,
                    "ended after {} bytes",
                    counts.load(Ordering::SeqCst)
                );
                counts.fetch_add(PIECE_BYTES as u64, Ordering::SeqCst);
                number += 1;
                std::thread::sleep(PAUSE);
            }
            let rest = call.finish()?;
            ensure!(rest.is_empty(), "{} bytes too many", rest.len());
            Ok(())
        });
        Ok(Self {
            stop,
            bytes,
            thread,
        })
    }

    /// Waits until more bytes have gone there and back.
    ///
    /// # Errors
    ///
    /// When it has ended or stands still.
    pub fn goes_on(&self) -> Result<()> {
        let before = self.bytes.load(Ordering::SeqCst);
        let over = || self.thread.is_finished();
        lab::until("more bytes", PATIENCE, || {
            over() || self.bytes.load(Ordering::SeqCst) > before
        })?;
        ensure!(!over(), "the stream has broken; finish() tells why");
        Ok(())
    }

    /// Ends it in order, and answers how many bytes went there and came back.
    ///
    /// # Errors
    ///
    /// When one was lost or the connection has ended before.
    pub fn finish(self) -> Result<u64> {
        self.stop.store(true, Ordering::SeqCst);
        match self.thread.join() {
            Ok(result) => result?,
            Err(_panic) => bail!("the stream panicked"),
        }
        Ok(self.bytes.load(Ordering::SeqCst))
    }
}
