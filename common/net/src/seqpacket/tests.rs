//! Packets and descriptors over a real socket pair.

use std::{
    fs::File,
    io::{self, IoSlice, Read as _},
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::{
    socket::{
        AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair,
    },
    stat::fstat,
};
use tokio::io::{Interest, unix::AsyncFd};

use super::{MAX_DESCRIPTORS, SeqPacket};

/// Both ends of a pair: ours, and the agent's.
fn pair() -> (SeqPacket, OwnedFd) {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
    // SAFETY: as in `connect`.
    #[expect(unsafe_code, reason = "as in `connect`")]
    let fd = unsafe {
        AsyncFd::register_with_interest(ours, Interest::READABLE | Interest::WRITABLE).unwrap()
    };
    (SeqPacket { fd }, theirs)
}

fn send(agent: &OwnedFd, bytes: &[u8], files: &[File]) {
    let numbers: Vec<_> = files.iter().map(|file| file.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let controls = if numbers.is_empty() {
        &[][..]
    } else {
        &rights[..]
    };
    sendmsg::<()>(
        agent.as_raw_fd(),
        &[IoSlice::new(bytes)],
        controls,
        MsgFlags::empty(),
        None,
    )
    .unwrap();
}

fn null(count: usize) -> Vec<File> {
    (0..count)
        .map(|_| File::open("/dev/null").unwrap())
        .collect()
}

#[tokio::test]
async fn a_packet_arrives_whole_with_its_descriptors() {
    let (socket, agent) = pair();
    let sent = null(2);
    send(&agent, b"hello", &sent);
    let packet = socket.receive(16).await.unwrap().unwrap();
    assert_eq!(packet.bytes, b"hello");
    let inode = |fd: &OwnedFd| fstat(fd).unwrap().st_ino;
    let expected = fstat(&sent[0]).unwrap().st_ino;
    assert_eq!(
        packet.descriptors.iter().map(inode).collect::<Vec<_>>(),
        [expected, expected]
    );
    socket.send(b"answer").await.unwrap();
    let mut answer = [0; 16];
    assert_eq!(
        recv(agent.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap(),
        6
    );
}

#[tokio::test]
async fn a_packet_that_was_cut_is_an_error_and_the_next_one_is_whole() {
    let (socket, agent) = pair();
    send(&agent, &[0; 17], &[]);
    send(&agent, b"next", &[]);
    assert_eq!(
        socket.receive(16).await.unwrap_err().kind(),
        io::ErrorKind::InvalidData
    );
    assert_eq!(socket.receive(16).await.unwrap().unwrap().bytes, b"next");
}

#[tokio::test]
async fn every_descriptor_is_taken_and_none_outlives_its_packet() {
    let (socket, agent) = pair();
    let (mut reader, writer) = io::pipe().unwrap();
    let writer = File::from(OwnedFd::from(writer));
    let many: Vec<_> = (0..MAX_DESCRIPTORS)
        .map(|_| writer.try_clone().unwrap())
        .collect();
    send(&agent, b"all", &many);
    send(&agent, &[0; 17], &many);
    drop((writer, many));
    assert_eq!(
        socket.receive(16).await.unwrap().unwrap().descriptors.len(),
        MAX_DESCRIPTORS
    );
    socket.receive(16).await.unwrap_err();
    // It ends only when nobody holds the other end any more.
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

#[tokio::test]
async fn the_end_of_the_conversation_is_no_packet() {
    let (socket, agent) = pair();
    drop(agent);
    assert!(socket.receive(16).await.unwrap().is_none());
    socket.send(b"x").await.unwrap_err();
}
