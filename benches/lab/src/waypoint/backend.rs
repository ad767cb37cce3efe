//! The server behind the waypoints: nginx with one worker, no access log, HTTP/1.1 and HTTP/2 without TLS.
//!
//! In: a pod. Out: files of 1 and 64 KiB, and the same as gRPC messages with trailers; 410 for everything else, so that
//! a 404 is always the waypoint's.

use std::ffi::OsString;
use std::fs;

use anyhow::{Result, bail};
use lab::{Pod, Process, until};

use super::exchange::{Exchange, Protocol};

/// Where HTTP/1.1 is answered.
pub(crate) const PORT_HTTP1: u16 = 8080;
/// Where HTTP/2 is answered.
pub(crate) const PORT_HTTP2: u16 = 8081;

/// Bytes of a gRPC message's head: a flag and the length. Source: gRPC over HTTP/2, Length-Prefixed-Message.
const HEAD: usize = 5;

/// The port of a protocol.
pub(crate) fn port(protocol: Protocol) -> u16 {
    if protocol.is_http2() {
        PORT_HTTP2
    } else {
        PORT_HTTP1
    }
}

/// A gRPC message of `length` bytes, head included.
pub(crate) fn message(length: usize) -> Vec<u8> {
    let body = length - HEAD;
    let mut message = vec![0; HEAD];
    if let (Some(place), Ok(body)) = (message.get_mut(1..), u32::try_from(body)) {
        place.copy_from_slice(&body.to_be_bytes());
    }
    message.resize(length, b'g');
    message
}

/// Starts it.
///
/// # Errors
///
/// When nginx is not installed or does not listen in time.
pub(crate) fn start(pod: &Pod) -> Result<Process> {
    let folder = pod.folder().join("backend");
    for exchange in Exchange::all() {
        let path = folder
            .join("www")
            .join(exchange.path().trim_start_matches('/'));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let bytes = match exchange.protocol {
            Protocol::Http1 | Protocol::Http2 => vec![b'a'; exchange.answer()],
            Protocol::Grpc => message(exchange.answer()),
        };
        fs::write(path, bytes)?;
    }
    let place = folder.display();
    // nginx answers a POST for a file with 405; the file is what is wanted here.
    let config = format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {place}/pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         access_log off; sendfile off; output_buffers 2 128k; open_file_cache max=16; http2_chunk_size 16k;\n\
         keepalive_requests 1000000000; keepalive_timeout 1h; http2_max_concurrent_streams 1000;\n\
         client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;\n\
         uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;\n\
         server {{\n\
         listen 0.0.0.0:{PORT_HTTP1} backlog=4096;\nlisten 0.0.0.0:{PORT_HTTP2} http2 backlog=4096;\n\
         location / {{ return 410; }}\n\
         location /last/plain/ {{ root {place}/www; default_type text/plain; }}\n\
         location /last/grpc/ {{\n\
         root {place}/www; default_type application/grpc; error_page 405 =200 $uri; add_trailer grpc-status 0 always;\n\
         }}\n\
         }}\n}}\n"
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, config)?;
    let line: [OsString; 7] = [
        "nginx".into(),
        "-p".into(),
        folder.into_os_string(),
        "-e".into(),
        "stderr".into(),
        "-c".into(),
        path.into_os_string(),
    ];
    let process = pod.spawn(line)?;
    until("nginx listens", lab::READY, || {
        !process.is_running() || (pod.listens(PORT_HTTP1) && pod.listens(PORT_HTTP2))
    })?;
    if !process.is_running() {
        bail!("nginx ended: {}", process.log_tail());
    }
    Ok(process)
}
