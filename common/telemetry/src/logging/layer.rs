//! Process logs: `tracing` events in the line shape of the access log.
//!
//! Spans are not shown: what a line needs, its event carries.

use std::{error::Error, fmt, sync::Arc};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::layer::{Context, Layer};

use super::{Chain, Format, Scope, WallClock, line::Line, queue::Queue, write};

/// The layer that writes.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) queue: Arc<Queue>,
    pub(crate) format: Format,
    pub(crate) wall: WallClock,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let metadata = event.metadata();
        write(&self.queue, Scope::Process, |buffer| {
            let mut line = Line::begin(
                buffer,
                self.format,
                (self.wall)(),
                *metadata.level(),
                metadata.target(),
                &message.0,
            );
            event.record(&mut Fields(&mut line));
            line.end();
        });
    }
}

const MESSAGE: &str = "message";

/// Picks the message out of an event's fields.
struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == MESSAGE {
            self.0 = format!("{value:?}");
        }
    }
}

/// Writes all fields but the message.
struct Fields<'a, 'b>(&'a mut Line<'b>);

impl Fields<'_, '_> {
    fn literal(&mut self, field: &Field, value: impl fmt::Display) {
        if field.name() != MESSAGE {
            self.0.literal(field.name(), value);
        }
    }
}

impl Visit for Fields<'_, '_> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.literal(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.literal(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.literal(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinities.
        if value.is_finite() {
            self.literal(field, value);
        } else {
            self.0.quoted(field.name(), value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != MESSAGE {
            self.0.quoted(field.name(), value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.0.quoted(field.name(), Chain(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != MESSAGE {
            self.0.bare(field.name(), format_args!("{value:?}"));
        }
    }
}
