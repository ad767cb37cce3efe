//! nginx: answers with its pod's name and the client's address.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;

use super::started;
use crate::http;
use crate::machine::Machine;
use crate::namespace;
use crate::process::Process;

/// The sizes of the files below `/bytes/`.
const FILES: [(&str, usize); 3] = [("1k", 1 << 10), ("1m", 1 << 20), ("64m", 64 << 20)];

/// A running nginx. Dereferences to its [`Process`].
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    access_log: PathBuf,
    netns: Arc<File>,
    port: u16,
}

impl Nginx {
    /// The access log: one line `CLIENT-ADDRESS STATUS METHOD PATH` per request, of all that were answered by now.
    pub fn access_log(&self) -> String {
        // A client has its answer before the line is written. There is one worker, which does one thing at a time: when
        // it has answered this, which it does not log, the lines of earlier answers are there. One that has ended has
        // written all that it will.
        let loopback = (Ipv4Addr::LOCALHOST, self.port).into();
        let settled = || http::request("GET", loopback, "/settled");
        let _ = namespace::run_in(&self.netns, None, settled);
        fs::read_to_string(&self.access_log).unwrap_or_default()
    }
}

impl Deref for Nginx {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

/// Starts nginx on `port`, IPv4 and IPv6.
///
/// Paths: `/` says `hello from POD`, `/whoami` the client's address, `/bytes/1k`, `/bytes/1m` and
/// `/bytes/64m` are files of zeros, `/status/403` that status.
///
/// # Errors
///
/// When nginx is not installed or does not listen in time.
pub fn nginx(pod: &Machine, port: u16) -> Result<Nginx> {
    let folder = pod.folder().join(format!("nginx-{port}"));
    let files = folder.join("www/bytes");
    fs::create_dir_all(&files)?;
    for (name, length) in FILES {
        File::create(files.join(name))?.set_len(u64::try_from(length)?)?;
    }
    let access_log = folder.join("access.log");
    let place = folder.display();
    let name = pod.name();
    let config = format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {place}/pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         log_format lab '$remote_addr $status $request_method $request_uri';\n\
         access_log {access_log} lab;\n\
         client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;\n\
         uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;\n\
         default_type text/plain; sendfile on; keepalive_requests 1000000; client_max_body_size 0;\n\
         server {{\n\
         listen 0.0.0.0:{port} backlog=4096;\nlisten [::]:{port} ipv6only=on backlog=4096;\n\
         location = / {{ return 200 'hello from {name}\\n'; }}\n\
         location = /whoami {{ return 200 '$remote_addr\\n'; }}\n\
         location = /settled {{ access_log off; return 204; }}\n\
         location = /status/403 {{ return 403; }}\n\
         location /bytes/ {{ root {place}/www; }}\n\
         }}\n}}\n",
        access_log = access_log.display(),
    );
    let path = folder.join("nginx.conf");
    File::create(&path)?.write_all(config.as_bytes())?;
    let line: [std::ffi::OsString; 7] = [
        "nginx".into(),
        "-p".into(),
        folder.into_os_string(),
        "-e".into(),
        "stderr".into(),
        "-c".into(),
        path.into_os_string(),
    ];
    let process = pod.spawn(line)?;
    started(pod, &process, port)?;
    Ok(Nginx {
        process,
        access_log,
        netns: Arc::clone(pod.netns()),
        port,
    })
}
