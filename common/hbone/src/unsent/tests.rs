//! What a tunnel lets its streams give to the engine. One test, because the process's count is one.

use std::task::Wake;

use super::*;

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A frame of a large buffer.
fn frame(tunnel: &Arc<Unsent>) -> Bytes {
    tunnel.count(Bytes::from(vec![7; chunk::MAX_COPIED_BYTES + 1]))
}

#[test]
fn a_tunnel_is_full_until_the_engine_lets_go_and_has_little_room_while_the_process_holds_much() {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let tunnel = Arc::new(Unsent::default());
    let small = tunnel.count(Bytes::from_static(b"what is small costs what it is"));
    assert_eq!(tunnel.bytes.load(Ordering::SeqCst), small.len());
    drop(small);

    let frames = |tunnel: &Arc<Unsent>, cx: &mut Context<'_>| {
        let mut frames = Vec::new();
        while tunnel.poll_room(cx).is_ready() {
            frames.push(frame(tunnel));
        }
        frames
    };
    let mut held = frames(&tunnel, &mut cx);
    assert_eq!(held.len(), MAX_TUNNEL_BYTES / chunk::MAX_CHUNK_BYTES);
    // It asks again and again, and is noted once.
    assert!(tunnel.poll_room(&mut cx).is_pending());
    assert_eq!(tunnel.waiting.lock().len(), 1);
    // Part of a frame is still a frame.
    let part = held[0].slice(..1);
    drop(held.swap_remove(0));
    assert_eq!(woken.0.load(Ordering::SeqCst), 0);
    drop(part);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(tunnel.poll_room(&mut cx).is_ready());

    // Other tunnels fill up, until the process holds much; then there is room for little.
    let mut others = Vec::new();
    while UNSENT.load(Ordering::SeqCst) < MANY_BYTES {
        let other = Arc::new(Unsent::default());
        others.push((frames(&other, &mut cx), other));
    }
    assert!(others.len() >= MANY_BYTES / MAX_TUNNEL_BYTES - 1);
    let late = Arc::new(Unsent::default());
    let few = frames(&late, &mut cx);
    assert_eq!(few.len(), FEW_BYTES / chunk::MAX_CHUNK_BYTES);
    // What is full for the process's sake goes on with what it has, not with what others let go.
    drop(others);
    drop(few);
    assert!(late.poll_room(&mut cx).is_ready());
    drop(held);
    assert_eq!(UNSENT.load(Ordering::SeqCst), 0);
}
