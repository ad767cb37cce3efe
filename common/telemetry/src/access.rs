//! The lines of the access log, from events.
//!
//! A waypoint's connections have their lines in the access log of layer 7; only one that is refused has one here.
//!
//! **Source:** the fields, their order and which are quoted are those of Istio's node proxy; `src.client.identity` is ours, and there only where a
//! waypoint has said for whom it comes.

use std::time::Duration;

use mesh::{SpiffeId, Workload};
use tracing::Level;

use crate::{
    event::{Connection, Direction, Outcome},
    logging::{Logging, line::Line},
};

/// Notes that a connection was opened, at level debug.
pub(crate) fn opened(logging: &Logging, connection: &Connection) {
    if has_line(connection) && logging.shows_access(Level::DEBUG) {
        logging.access(Level::DEBUG, "connection opened", |line| {
            facts(line, connection);
        });
    }
}

/// Notes how a connection ended.
pub(crate) fn closed(
    logging: &Logging,
    connection: &Connection,
    sent: u64,
    received: u64,
    duration: Duration,
    outcome: &Outcome,
) {
    if !has_line(connection) || !logging.shows_access(outcome.level()) {
        return;
    }
    logging.access(outcome.level(), "connection complete", |line| {
        facts(line, connection);
        line.literal("bytes_sent", sent);
        line.literal("bytes_recv", received);
        line.quoted("duration", format_args!("{}ms", duration.as_millis()));
        match outcome {
            Outcome::Complete => {}
            Outcome::Failed(failure) => line.quoted("error", &failure.error),
        }
    });
}

/// Notes that a connection was refused before much was known of it: its addresses, and whatever else is.
pub(crate) fn refused(logging: &Logging, connection: &Connection, error: &str) {
    if logging.shows_access(Level::WARN) {
        logging.access(Level::WARN, "connection failed", |line| {
            facts(line, connection);
            line.quoted("error", error);
        });
    }
}

fn has_line(connection: &Connection) -> bool {
    match connection.direction {
        Direction::Inbound | Direction::Outbound => true,
        Direction::Through => false,
    }
}

fn facts(line: &mut Line<'_>, connection: &Connection) {
    let Connection {
        source,
        destination,
        source_identity,
        client_identity,
        destination_identity,
        ..
    } = connection;
    line.bare("src.addr", connection.source_addr);
    if let Some(source) = source {
        names(line, ["src.workload", "src.namespace"], source);
    }
    identity(line, "src.identity", source_identity.as_ref());
    identity(line, "src.client.identity", client_identity.as_deref());
    if let Some(source) = source {
        named(line, "src.cluster", &source.cluster);
    }
    line.bare("dst.addr", connection.destination_addr);
    if let Some(address) = &connection.hbone_addr {
        line.bare("dst.hbone_addr", address);
    }
    if let Some(service) = &connection.service {
        named(line, "dst.service", &service.hostname);
    }
    if let Some(destination) = destination {
        names(line, ["dst.workload", "dst.namespace"], destination);
    }
    identity(line, "dst.identity", destination_identity.as_ref());
    if let Some(destination) = destination {
        named(line, "dst.cluster", &destination.cluster);
    }
    line.quoted("direction", connection.direction.as_str());
}

fn names(line: &mut Line<'_>, [workload, namespace]: [&str; 2], of: &Workload) {
    named(line, workload, &of.name);
    named(line, namespace, &of.namespace);
}

fn named(line: &mut Line<'_>, key: &str, name: &str) {
    if !name.is_empty() {
        line.quoted(key, name);
    }
}

fn identity(line: &mut Line<'_>, key: &str, identity: Option<&SpiffeId>) {
    if let Some(identity) = identity {
        line.quoted(key, identity);
    }
}
