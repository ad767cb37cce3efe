//! A request's body that may have to be sent twice.
//!
//! In: the client's body, once. Out: one body per attempt, which begins with what earlier attempts had taken; and what
//! went by: bytes, messages, and that it ended. Never: reads ahead of the attempt that sends it; holds more than
//! [`MAX_REPLAY_BYTES`], its share of what all bodies may hold, or anything once an answer has begun.
//!
//! ```text
//!   client ──▶ source ──┬──▶ attempt 1 (gone)
//!                       ├──▶ kept: by reference, for the next ──▶ attempt 2 ──▶ backend
//!                       └──▶ taps: copies for mirrors, dropped where they are slow
//! ```
//! The lock is held while one frame is looked at; all who use it run on one worker, so nobody waits for it.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;

use crate::{
    access::grant::Basis,
    body::{Body, BodyError},
    filter::mirror::Tap,
    request::messages::Messages,
    session::Session,
};

mod budget;
mod guard;
mod way;

use budget::{BUDGET, Budget, Share};
use guard::Guard;
use way::Way;

/// What is kept of a body for another attempt. A longer one is sent once. Reason: retries are for requests, not for
/// transfers; Envoy's default is the same. Units: bytes.
pub const MAX_REPLAY_BYTES: usize = 1024 * 1024;
/// Frames that are kept. Reason: what a frame costs beside its bytes.
const MAX_REPLAY_FRAMES: usize = 4096;

/// Why an attempt's body did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// Another attempt has begun.
    #[error("another attempt took the request's body")]
    Superseded,
    /// It broke off before.
    #[error("the request's body had broken off")]
    Broken,
}

/// The body of one request. Cheap to clone; all clones are one body.
#[derive(Clone)]
pub struct Upload(Option<Arc<Mutex<State>>>);

struct State {
    source: Source,
    /// Frames for the attempt that sends now and, while `keep` holds, for further ones.
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    share: Share,
    keep: bool,
    /// How many frames of `kept` the attempt that sends now has taken.
    taken: usize,
    /// The number of that attempt.
    attempt: u32,
    /// Whether somebody still has its body.
    held: bool,
    trailers: Option<HeaderMap>,
    hint: SizeHint,
    bytes: u64,
    messages: Option<Messages>,
    taps: Vec<Tap>,
    /// The attempt that waits for the client, where another may take its place.
    reader: Option<Waker>,
    /// Where somebody wants to know.
    way: Option<Way>,
    /// Whether policies still let it by.
    guard: Option<Guard>,
    ended_at: Option<Instant>,
}

enum Source {
    Open(Body),
    /// All of it was read.
    Ended,
    /// The client broke off.
    Broken,
    /// The backend wants no more of it.
    Abandoned,
}

/// What went by. Units: bytes and messages of gRPC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the body.
    pub bytes: u64,
    /// Messages, where it is gRPC.
    pub messages: u64,
}

impl Upload {
    /// Takes the client's body. `keep`: it may be needed again. `grpc`: messages are counted.
    #[must_use]
    pub fn new(source: Body, keep: bool, grpc: bool, taps: Vec<Tap>) -> Self {
        Self::within(&BUDGET, source, keep, grpc, taps)
    }

    fn within(
        budget: &'static Budget,
        source: Body,
        keep: bool,
        grpc: bool,
        taps: Vec<Tap>,
    ) -> Self {
        if source.is_end_stream() {
            return Self(None);
        }
        Self(Some(Arc::new(Mutex::new(State {
            hint: source.size_hint(),
            source: Source::Open(source),
            kept: VecDeque::new(),
            kept_bytes: 0,
            share: budget.share(),
            keep,
            taken: 0,
            attempt: 0,
            held: false,
            trailers: None,
            bytes: 0,
            messages: grpc.then(Messages::default),
            taps,
            reader: None,
            way: None,
            guard: None,
            ended_at: None,
        }))))
    }

    /// It is let by as long as policies let its request go on, which they did when they had changed as often as `seen`.
    #[must_use]
    pub fn guarded(self, session: &Arc<Session>, seen: u64) -> Self {
        if let Some(state) = &self.0 {
            state.lock().guard = Some(Guard::Exchange {
                session: Arc::clone(session),
                seen,
                waiting: None,
            });
        }
        self
    }

    /// Policies have changed, for the time that is `seen`, and its request may go on.
    pub fn goes_on(&self, seen: u64) {
        if let Some(state) = &self.0
            && let Some(guard) = &mut state.lock().guard
        {
            guard.goes_on(seen);
        }
    }

    /// The body for the next attempt. The one of the attempt before fails from now on. `None`: something that it would
    /// have to begin with is no longer there.
    #[must_use]
    pub fn attempt(&self) -> Option<Body> {
        let Some(state) = &self.0 else {
            return Some(Body::Empty);
        };
        let mut locked = state.lock();
        if !locked.may_begin() {
            return None;
        }
        locked.attempt += 1;
        locked.taken = 0;
        locked.held = true;
        locked.rest();
        // So that it ends, and its connection with it.
        if let Some(reader) = locked.reader.take() {
            reader.wake();
        }
        let (number, left) = (locked.attempt, locked.hint);
        drop(locked);
        Some(Body::boxed(Attempt {
            state: Arc::clone(state),
            number,
            left,
            finished: false,
        }))
    }

    /// Whether [`Self::attempt`] would have a body.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.0.as_ref().is_none_or(|state| state.lock().may_begin())
    }

    /// An answer has begun: what is still to come looks at policies by itself, with what its request was let in on.
    pub fn answered(&self, basis: impl FnOnce() -> Option<Basis>) {
        if let Some(state) = &self.0 {
            let state = &mut *state.lock();
            if state.is_over() {
                // Attempts before the one that has taken the last of it get nothing more.
                state.guard = None;
            } else if let Some(guard) = &mut state.guard {
                guard.answered(basis());
            }
        }
    }

    /// An answer has begun: nothing is kept any longer.
    pub fn release(&self) {
        if let Some(state) = &self.0 {
            let mut state = state.lock();
            state.forget();
            state.abandon();
        }
    }

    /// Whether the client broke off.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|state| matches!(state.lock().source, Source::Broken))
    }

    /// What went by so far.
    #[must_use]
    pub fn received(&self) -> Received {
        self.0.as_ref().map_or_else(Received::default, |state| {
            let state = state.lock();
            Received {
                bytes: state.bytes,
                messages: state.messages.map_or(0, |messages| messages.count()),
            }
        })
    }

    /// When the last byte was read, if that was so and if there was one.
    #[must_use]
    pub fn ended_at(&self) -> Option<Instant> {
        self.0.as_ref().and_then(|state| state.lock().ended_at)
    }

    /// For how long it has been on its way, since somebody first asked: while the client was waited for, and from one read
    /// to the next. Time in which nobody reads, because no connection is there yet or the backend takes no more, does not
    /// count until the next read.
    #[must_use]
    pub fn on_its_way(&self) -> Duration {
        self.0.as_ref().map_or(Duration::ZERO, |state| {
            let way = &mut state.lock().way;
            way.get_or_insert_default()
                .time(tokio::time::Instant::now())
        })
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("received", &self.received())
            .finish_non_exhaustive()
    }
}

impl State {
    fn may_begin(&self) -> bool {
        // The first attempt has nothing to repeat.
        let whole = self.attempt == 0 || self.keep;
        whole && !matches!(self.source, Source::Broken | Source::Abandoned)
    }

    /// Keeps nothing further, and of what there is only what the current attempt has yet to take.
    fn forget(&mut self) {
        if !std::mem::take(&mut self.keep) {
            return;
        }
        for frame in self.kept.drain(..self.taken.min(self.kept.len())) {
            self.share.let_go(frame.len());
        }
        self.taken = 0;
        self.kept_bytes = 0;
    }

    /// Reads no more where nobody can want more: the client may stop.
    fn abandon(&mut self) {
        if !self.held && !self.keep && matches!(self.source, Source::Open(_)) {
            self.end(Source::Abandoned);
        }
    }

    fn end(&mut self, how: Source) {
        self.source = how;
        self.ended_at = Some(net::clock::now());
        for tap in self.taps.drain(..) {
            if let Source::Ended = self.source {
                tap.finish(self.trailers.as_ref());
            }
        }
    }

    /// Nobody reads from now on.
    fn rest(&mut self) {
        if let Some(way) = &mut self.way {
            way.rest(tokio::time::Instant::now());
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.keep {
            if let Some(frame) = self.kept.get(self.taken) {
                self.taken += 1;
                return Poll::Ready(Some(Ok(Frame::data(frame.clone()))));
            }
        } else if let Some(frame) = self.kept.pop_front() {
            self.share.let_go(frame.len());
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        let source = match &mut self.source {
            Source::Open(source) => source,
            Source::Ended => return Poll::Ready(self.trailers().map(|t| Ok(Frame::trailers(t)))),
            Source::Broken | Source::Abandoned => {
                return Poll::Ready(Some(Err(failed(UploadError::Broken))));
            }
        };
        let polled = Pin::new(source).poll_frame(cx);
        if let Some(way) = &mut self.way {
            way.read(polled.is_pending(), tokio::time::Instant::now());
        }
        if polled.is_pending() && self.keep {
            match &mut self.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                None => self.reader = Some(cx.waker().clone()),
            }
        }
        let frame = match std::task::ready!(polled) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                self.end(Source::Broken);
                return Poll::Ready(Some(Err(error)));
            }
            None => {
                self.end(Source::Ended);
                return Poll::Ready(None);
            }
        };
        match frame.into_data() {
            Ok(data) => {
                self.take(&data);
                if matches!(&self.source, Source::Open(source) if source.is_end_stream()) {
                    self.end(Source::Ended);
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Err(frame) => {
                // What is neither data nor trailers does not exist yet.
                self.trailers = frame.into_trailers().ok();
                self.end(Source::Ended);
                Poll::Ready(self.trailers().map(|t| Ok(Frame::trailers(t))))
            }
        }
    }

    fn take(&mut self, data: &Bytes) {
        self.bytes += data.len() as u64;
        if let Some(messages) = &mut self.messages {
            messages.push(data);
        }
        self.taps.retain_mut(|tap| tap.push(data));
        if !self.keep {
            return;
        }
        if self.kept_bytes + data.len() > MAX_REPLAY_BYTES
            || self.kept.len() >= MAX_REPLAY_FRAMES
            || !self.share.keep(data.len())
        {
            // All that was kept, the current attempt has taken: it reads live.
            self.forget();
            return;
        }
        self.kept_bytes += data.len();
        self.kept.push_back(data.clone());
        self.taken += 1;
    }

    /// The trailers, for the last attempt to have.
    fn trailers(&mut self) -> Option<HeaderMap> {
        if self.keep {
            self.trailers.clone()
        } else {
            self.trailers.take()
        }
    }

    /// Whether no frame is to come any more, by nobody.
    fn is_over(&self) -> bool {
        self.is_drained() && self.attempt > 0
    }

    fn is_drained(&self) -> bool {
        let kept = if self.keep { self.taken } else { 0 };
        matches!(self.source, Source::Ended) && kept >= self.kept.len() && self.trailers.is_none()
    }
}

fn failed(error: UploadError) -> BodyError {
    BodyError::Filter(Box::new(error))
}

/// What one attempt sends.
struct Attempt {
    state: Arc<Mutex<State>>,
    number: u32,
    left: SizeHint,
    finished: bool,
}

impl HttpBody for Attempt {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.finished {
            return Poll::Ready(None);
        }
        let mut state = this.state.lock();
        if state.attempt != this.number {
            this.finished = true;
            return Poll::Ready(Some(Err(failed(UploadError::Superseded))));
        }
        if let Some(guard) = &mut state.guard
            && let Err(lost) = std::task::ready!(guard.poll(cx))
        {
            this.finished = true;
            // Copies break off with it.
            state.taps.clear();
            return Poll::Ready(Some(Err(BodyError::Filter(Box::new(lost)))));
        }
        let frame = std::task::ready!(state.poll(cx));
        match &frame {
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => {
                    if let Some(exact) = this.left.exact() {
                        let left = exact.saturating_sub(data.len() as u64);
                        this.left = SizeHint::with_exact(left);
                    }
                }
                None => this.finished = true,
            },
            Some(Err(_)) | None => this.finished = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.finished || {
            let state = self.state.lock();
            state.attempt == self.number && state.is_drained()
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.left
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        if state.attempt == self.number {
            state.held = false;
            state.rest();
            state.abandon();
        }
    }
}

#[cfg(test)]
mod tests;
