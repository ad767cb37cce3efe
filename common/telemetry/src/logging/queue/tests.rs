//! What a slow reader costs: lines, never time.

use std::{
    io::{self, Write},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use parking_lot::Mutex;

use super::{MAX_QUEUED_ACCESS_BYTES, MAX_QUEUED_BYTES, Queue};
use crate::logging::Scope;

const DEADLINE: Duration = Duration::from_secs(10);

/// A sink that says when it is asked to write, and takes the bytes when it is told to.
struct Gate {
    asked: mpsc::Sender<usize>,
    open: mpsc::Receiver<()>,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.asked
            .send(bytes.len())
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.open.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.taken.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_sink_that_takes_nothing_costs_lines_and_not_time() {
    let (asked, asks) = mpsc::channel();
    let (opener, open) = mpsc::channel();
    let taken = Arc::new(Mutex::new(Vec::new()));
    let queue = Queue::start(Box::new(Gate {
        asked,
        open,
        taken: Arc::clone(&taken),
    }))
    .unwrap();
    queue.push(Scope::Access, b"first\n");
    assert_eq!(
        asks.recv_timeout(DEADLINE),
        Ok(6),
        "the writer now holds the first line"
    );

    let line = [b'x'; 1024];
    let fit = MAX_QUEUED_ACCESS_BYTES / line.len();
    for _ in 0..fit + 5 {
        queue.push(Scope::Access, &line);
    }
    assert_eq!(
        (queue.dropped(Scope::Access), queue.dropped(Scope::Process)),
        (5, 0)
    );
    let reserve = (MAX_QUEUED_BYTES - MAX_QUEUED_ACCESS_BYTES) / line.len();
    for _ in 0..reserve + 3 {
        queue.push(Scope::Process, &line);
    }
    assert_eq!(
        (queue.dropped(Scope::Access), queue.dropped(Scope::Process)),
        (5, 3),
        "the process has a reserve"
    );
    assert!(
        !queue.flush(Duration::from_millis(1)),
        "nothing is written yet"
    );

    opener.send(()).unwrap();
    assert_eq!(
        asks.recv_timeout(DEADLINE),
        Ok((fit + reserve) * line.len()),
        "the rest goes in one write"
    );
    opener.send(()).unwrap();
    assert!(queue.flush(DEADLINE));
    assert_eq!(taken.lock().len(), 6 + (fit + reserve) * line.len());
    queue.close();
}

#[test]
fn a_broken_sink_counts_what_it_lost() {
    let (asked, asks) = mpsc::channel();
    let (_, open) = mpsc::channel();
    drop(asks);
    let queue = Queue::start(Box::new(Gate {
        asked,
        open,
        taken: Arc::default(),
    }))
    .unwrap();
    queue.push(Scope::Access, b"a\n");
    queue.push(Scope::Process, b"b\n");
    assert!(queue.flush(DEADLINE));
    assert_eq!(
        (queue.dropped(Scope::Access), queue.dropped(Scope::Process)),
        (1, 1)
    );
    queue.close();
}

#[test]
fn lines_of_many_threads_stay_whole_and_each_thread_s_stay_in_order() {
    let sink = crate::testkit::Sink::default();
    let logging = crate::Logging::start(
        crate::Format::Text,
        crate::logging::Directives::default(),
        Box::new(sink.clone()),
        crate::testkit::wall,
    )
    .unwrap();
    let queue = logging.queue();
    thread::scope(|scope| {
        for thread in 0..4 {
            let queue = &queue;
            scope.spawn(move || {
                for number in 0..1000 {
                    queue.push(Scope::Access, format!("{thread} {number}\n").as_bytes());
                }
            });
        }
    });
    let text = sink.take(&logging);
    assert_eq!(queue.dropped(Scope::Access), 0);
    for thread in 0..4 {
        let prefix = format!("{thread} ");
        let numbers: Vec<usize> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .map(|number| number.parse().unwrap())
            .collect();
        assert!(numbers.iter().copied().eq(0..1000), "thread {thread}");
    }
    assert_eq!(text.lines().count(), 4000);
}

#[test]
fn closing_writes_what_is_queued_and_takes_no_more() {
    let sink = crate::testkit::Sink::default();
    let queue = Queue::start(Box::new(sink)).unwrap();
    queue.push(Scope::Process, b"last\n");
    queue.close();
    assert!(queue.flush(DEADLINE));
    queue.push(Scope::Process, b"too late\n");
    assert_eq!(queue.dropped(Scope::Process), 1);
}
