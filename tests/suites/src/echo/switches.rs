//! What a test has turned, and what becomes of one request by it. Pure.

use std::time::Duration;

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// This status.
    Status(u16),
    /// This gRPC status, trailers only.
    Grpc(u8),
    /// The connection is reset.
    Reset,
}

/// The switches. The default is a server that is well.
#[derive(Clone, Debug)]
pub(super) struct Switches {
    pub(super) fault: Option<Fault>,
    /// Per cent.
    pub(super) share: u32,
    pub(super) left: Option<u64>,
    pub(super) header: Option<(&'static str, &'static str)>,
    pub(super) delay: Duration,
    pub(super) sick: bool,
    /// What is owed of `share`: a request fails each time it reaches a hundred.
    pub(super) owed: u32,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            fault: None,
            share: 100,
            left: None,
            header: None,
            delay: Duration::ZERO,
            sick: false,
            owed: 0,
        }
    }
}

impl Switches {
    /// How the next request fails, if it does.
    pub(super) fn next(&mut self) -> Option<Fault> {
        let fault = self.fault?;
        self.owed += self.share;
        if self.owed < 100 {
            return None;
        }
        self.owed -= 100;
        match &mut self.left {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None => {}
        }
        Some(fault)
    }
}
