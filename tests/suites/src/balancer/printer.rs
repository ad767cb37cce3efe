//! A server in python: it reads the PROXY header of each connection without any library, prints it, and answers HTTP/1.1 with it.
//!
//! In: a pod, an address. Out: a line of JSON per connection in its log; the same as the body of each answer.

use std::ops::Deref;
use std::time::Duration;

use anyhow::Result;
use lab::{Machine, Process};
use serde_json::Value;

/// How long it may take to listen: the machine is shared.
const START: Duration = Duration::from_secs(30);

/// The program. Version 0: no header. What begins a connection otherwise is taken for the request.
const PROGRAM: &str = r#"
import json, socket, struct, sys, threading

host, port, pod = sys.argv[1], int(sys.argv[2]), sys.argv[3]
mutex, count = threading.Lock(), 0

def header(stream):
    first = stream.read(12)
    if first == b"\r\n\r\n\x00\r\nQUIT\n":
        command, family, length = struct.unpack("!BBH", stream.read(4))
        rest = stream.read(length)
        said = {"version": command >> 4, "command": command & 15, "family": family, "tlvs": {}}
        size = {1: 4, 2: 16}.get(family >> 4, 0)
        kind = {4: socket.AF_INET, 16: socket.AF_INET6}.get(size)
        if size:
            said["source"] = socket.inet_ntop(kind, rest[:size])
            said["destination"] = socket.inet_ntop(kind, rest[size:2 * size])
            said["source_port"], said["destination_port"] = struct.unpack("!HH", rest[2 * size:2 * size + 4])
            rest = rest[2 * size + 4:]
        while len(rest) >= 3:
            tlv, length = struct.unpack("!BH", rest[:3])
            said["tlvs"]["%02x" % tlv] = rest[3:3 + length].decode("latin-1")
            rest = rest[3 + length:]
        return said, b""
    line = first
    while not line.endswith(b"\n") and len(line) < 8192:
        byte = stream.read(1)
        if not byte:
            break
        line += byte
    if line.startswith(b"PROXY "):
        words = line.decode("latin-1").strip().split(" ")
        said = {"version": 1, "family": words[1], "line": line.decode("latin-1")}
        if len(words) == 6:
            said["source"], said["destination"] = words[2], words[3]
            said["source_port"], said["destination_port"] = int(words[4]), int(words[5])
        return said, b""
    return {"version": 0}, line

def serve(conn, number):
    stream = conn.makefile("rb")
    said, line = header(stream)
    said["connection"] = number
    print(json.dumps(said), flush=True)
    while True:
        line = line or stream.readline(8192)
        if not line:
            return
        path = (line.decode("latin-1").split(" ") + ["", ""])[1]
        line, headers, length = b"", {}, 0
        while True:
            field = stream.readline(65536)
            if field in (b"\r\n", b"\n", b""):
                break
            name, _, value = field.decode("latin-1").partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        length = int(headers.get("content-length", ["0"])[0])
        stream.read(length)
        body = json.dumps({"pod": pod, "path": path, "told": said, "headers": headers}).encode()
        conn.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-pod: %s\r\ncontent-length: %d\r\n\r\n%s" % (pod.encode(), len(body), body))

def guarded(conn, number):
    try:
        serve(conn, number)
    except (OSError, ValueError, struct.error):
        pass
    finally:
        conn.close()

family = socket.AF_INET6 if ":" in host else socket.AF_INET
listener = socket.create_server((host, port), family=family, backlog=512)
print("listening", flush=True)
while True:
    conn, _ = listener.accept()
    with mutex:
        count += 1
        number = count
    threading.Thread(target=guarded, args=(conn, number), daemon=True).start()
"#;

/// A running printer. Dereferences to its [`Process`]; dropping it kills it.
#[derive(Debug)]
pub struct Printer {
    process: Process,
}

impl Printer {
    /// Starts it on one address of a pod: `0.0.0.0`, `127.0.0.1`, `::1`.
    ///
    /// # Errors
    ///
    /// When python is not installed or it does not listen in time.
    pub fn start(pod: &Machine, host: &str, port: u16) -> Result<Self> {
        let path = pod.folder().join(format!("printer-{port}.py"));
        std::fs::write(&path, PROGRAM)?;
        let (path, number) = (path.display().to_string(), port.to_string());
        let process = pod.spawn(["python3", &path, host, &number, pod.name()])?;
        process.wait_log("listening", START)?;
        Ok(Self { process })
    }

    /// What it printed so far, a value per connection, in order.
    pub fn headers(&self) -> Vec<Value> {
        let log = self.process.log();
        log.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

impl Deref for Printer {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}
