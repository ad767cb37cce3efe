//! nginx that takes nobody without a PROXY header, and tells what stood in it.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::{Machine, Process};

/// How long it may take to listen: the machine is shared.
const START: Duration = Duration::from_secs(30);

/// Starts nginx with HTTP/1.1 on one port and HTTP/2 on another, both with `proxy_protocol`, IPv4 and IPv6.
///
/// Every answer is JSON: `client`, `client_port`, `server`, `server_port` of the header, `peer` (who has connected), `connection` (nginx's
/// number of the connection) and `path`; the access log has a line of the same per request.
///
/// # Errors
///
/// When nginx is not installed or does not listen in time.
pub fn told(pod: &Machine, http1: u16, http2: u16) -> Result<Process> {
    let folder = pod.folder().join(format!("told-{http1}"));
    fs::create_dir_all(&folder)?;
    let place = folder.display();
    let config = format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {place}/pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         log_format told '$proxy_protocol_addr $connection $request_uri';\n\
         access_log /dev/stdout told;\n\
         client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;\n\
         uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;\n\
         default_type application/json; keepalive_requests 100000; keepalive_timeout 120s;\n\
         server {{\n\
         listen 0.0.0.0:{http1} proxy_protocol; listen [::]:{http1} ipv6only=on proxy_protocol;\n\
         listen 0.0.0.0:{http2} http2 proxy_protocol; listen [::]:{http2} ipv6only=on http2 proxy_protocol;\n\
         add_header x-pod {name};\n\
         location / {{ return 200 '{{\"client\":\"$proxy_protocol_addr\",\"client_port\":\"$proxy_protocol_port\",\
         \"server\":\"$proxy_protocol_server_addr\",\"server_port\":\"$proxy_protocol_server_port\",\
         \"peer\":\"$remote_addr\",\"connection\":\"$connection\",\"path\":\"$request_uri\"}}'; }}\n\
         }}\n}}\n",
        name = pod.name(),
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, config)?;
    let (folder, path) = (folder.display().to_string(), path.display().to_string());
    let process = pod.spawn(["nginx", "-p", &folder, "-e", "stderr", "-c", &path])?;
    for port in [http1, http2] {
        pod.wait_listens(port, START)
            .with_context(|| process.log_tail())?;
    }
    Ok(process)
}
