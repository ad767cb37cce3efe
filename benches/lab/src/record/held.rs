//! Memory of ztunnels, in bytes. Lists have the client's node's first, then the server's node's, if that is another.

use serde::Serialize;

/// What one process holds, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Held {
    /// `VmRSS`.
    pub(crate) resident: u64,
    /// `RssAnon`: without the pages of the program's file.
    pub(crate) anonymous: u64,
    /// `VmHWM`: the most that was resident in this life.
    pub(crate) highest: u64,
}

/// What the ztunnels of a subject hold before and after load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Memory {
    /// Whose.
    pub(crate) subject: String,
    /// A second after readiness, once per life.
    pub(crate) start: Vec<Vec<Held>>,
    /// After load.
    pub(crate) loaded: Vec<Held>,
}

/// What they hold for connections that do nothing.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Idle {
    /// Whose.
    pub(crate) subject: String,
    /// How many stood idle.
    pub(crate) connections: usize,
    /// A second after readiness.
    pub(crate) start: Vec<Held>,
    /// After one connection.
    pub(crate) warm: Vec<Held>,
    /// While all stood.
    pub(crate) idle: Vec<Held>,
    /// After they closed.
    pub(crate) closed: Vec<Held>,
}

impl Memory {
    /// The highest of the ztunnels a second after readiness, over all lives.
    pub(crate) fn start_worst(&self) -> Option<u64> {
        self.start.iter().flatten().map(|held| held.resident).max()
    }
}

impl Idle {
    /// Resident bytes of the highest of the ztunnels with so many connections, if each costs what it did.
    pub(crate) fn worst_with(&self, connections: usize) -> Option<f64> {
        let ztunnels = 0..self.idle.len();
        let with = ztunnels.filter_map(|node| {
            let warm = self.warm.get(node)?.resident as f64;
            Some(warm + self.per_connection(node)? * connections as f64)
        });
        with.max_by(f64::total_cmp)
    }

    /// Resident bytes per connection of one ztunnel, above those of a warm one; `None` if there is no such ztunnel.
    pub(crate) fn per_connection(&self, node: usize) -> Option<f64> {
        let (idle, warm) = (self.idle.get(node)?, self.warm.get(node)?);
        let grown = idle.resident.saturating_sub(warm.resident);
        Some(grown as f64 / self.connections as f64)
    }
}
