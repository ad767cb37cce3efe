//! The log as a process has it: installed once, for all threads.

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use telemetry::{Format, Logging};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn speak() {
    tracing::info!(target: "control", "info");
    tracing::debug!(target: "control", "debug");
}

#[test]
fn an_installed_log_hears_every_thread_and_follows_its_levels() {
    let sink = Sink::default();
    let logging = Logging::start(
        Format::Text,
        "info".parse().unwrap(),
        Box::new(sink.clone()),
        net::clock::wall,
    )
    .unwrap();
    logging.install().unwrap();
    assert!(logging.install().is_err(), "a process has one log");
    thread::spawn(speak).join().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| logging.set_level("control:debug").unwrap());
    });
    thread::spawn(speak).join().unwrap();
    logging.reset();
    speak();
    assert!(logging.flush(Duration::from_secs(10)));
    let text = String::from_utf8(sink.0.lock().clone()).unwrap();
    let messages: Vec<&str> = text
        .lines()
        .map(|line| line.rsplit('\t').next().unwrap())
        .collect();
    assert_eq!(messages, ["info", "info", "debug", "info"]);
}
