//! One machine of a lab: a pod, a node or the host outside. A namespace, a cgroup, a folder, a resolver.
//!
//! In: a run and a name. Out: programs and closures inside.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::eventually::until;
use crate::http;
use crate::process::{Command, Output, Process};
use crate::run::Run;
use crate::{cgroup, namespace};

/// A machine. Pods and nodes dereference to it.
#[derive(Debug)]
pub struct Machine {
    run: Arc<Run>,
    name: String,
    netns: Arc<File>,
    folder: PathBuf,
    group: PathBuf,
}

impl Machine {
    /// Makes the namespace, the cgroup and the folder; no interface yet.
    pub(crate) fn create(run: &Arc<Run>, name: &str) -> Result<Self> {
        if name.is_empty()
            || !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        {
            bail!("a machine is named {name:?}, expected letters, digits, `-` and `.`");
        }
        let namespace = run.namespace(name);
        namespace::add(std::slice::from_ref(&namespace))?;
        let netns = File::open(namespace::path(&namespace))
            .with_context(|| format!("open namespace {namespace}"))?;
        let folder = run.folder().join(name);
        fs::create_dir_all(&folder)?;
        let group = run.group().join(name);
        cgroup::create(&group)?;
        let machine = Self {
            run: Arc::clone(run),
            name: name.to_owned(),
            netns: Arc::new(netns),
            folder,
            group,
        };
        machine.set_resolver("")?;
        Ok(machine)
    }

    /// Its name in the lab: `client`, `node1`, `outside`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder: configuration, data and logs of its programs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its cgroup. Every program gets a group of its own below it.
    pub fn group(&self) -> &Path {
        &self.group
    }

    /// Its network namespace as a file: for `setns`, or to hand over.
    pub fn netns(&self) -> &Arc<File> {
        &self.netns
    }

    /// Its network namespace's path, as `ip netns` knows it.
    pub fn netns_path(&self) -> PathBuf {
        namespace::path(&self.run.namespace(&self.name))
    }

    pub(crate) fn run_of(&self) -> &Arc<Run> {
        &self.run
    }

    /// A command line to be run here, for more than [`Machine::exec`] and [`Machine::spawn`] offer.
    pub fn command(&self, line: impl IntoIterator<Item = impl Into<OsString>>) -> Command<'_> {
        Command::new(self, line)
    }

    /// Runs a program to its end; its failure is no error here, see [`Output::ok`].
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not end in [`crate::process::TIMEOUT`].
    pub fn exec(&self, line: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Output> {
        self.command(line).output()
    }

    /// Starts a program and keeps it running until the handle is dropped.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn spawn(&self, line: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Process> {
        self.command(line).spawn()
    }

    /// Runs a closure on a fresh thread inside the namespace and waits. Sockets that it opens stay in
    /// the namespace wherever they are used later. A panic passes on to the caller.
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        namespace::run_in(&self.netns, None, work)
    }

    /// Starts a thread inside the namespace and does not wait for it.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started. A namespace that cannot be entered is the thread's error.
    pub fn thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<thread::JoinHandle<Result<T>>> {
        let netns = Arc::clone(&self.netns);
        let name = format!("lab-{}", self.name);
        let thread = thread::Builder::new()
            .name(name)
            .spawn(move || namespace::enter(&netns, None).map(|()| work()))
            .context("start a thread")?;
        Ok(thread)
    }

    /// As [`Machine::run`], with the machine's resolver too: for starting programs.
    pub(crate) fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        namespace::run_in(&self.netns, Some(&self.resolver_path()), work)
    }

    /// Runs many `ip` commands here.
    ///
    /// # Errors
    ///
    /// When one of them fails; the ones before it stay done.
    pub fn ip(&self, lines: &[String]) -> Result<()> {
        self.run(|| namespace::ip_batch(lines))?
            .with_context(|| format!("in {}", self.name))
    }

    /// Sets a network sysctl of this namespace: `("net.ipv4.ip_forward", "1")`.
    ///
    /// # Errors
    ///
    /// When it does not exist or refuses the value.
    pub fn sysctl(&self, settings: &[(&str, &str)]) -> Result<()> {
        self.run(|| {
            settings.iter().try_for_each(|(name, value)| {
                let path = format!("/proc/sys/{}", name.replace('.', "/"));
                fs::write(&path, value).with_context(|| format!("set {name} to {value}"))
            })
        })?
    }

    /// Writes the machine's `/etc/resolv.conf`; programs that run already see it too.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn set_resolver(&self, text: &str) -> Result<()> {
        // In place: the file is bound by its inode over /etc/resolv.conf.
        fs::write(self.resolver_path(), text).context("write resolv.conf")
    }

    fn resolver_path(&self) -> PathBuf {
        self.folder.join("resolv.conf")
    }

    /// Whether something listens on a TCP port here, on any address.
    pub fn listens(&self, port: u16) -> bool {
        let wanted = format!(":{port:04X}");
        self.tcp_sockets().is_ok_and(|tables| {
            tables
                .iter()
                .flatten()
                .flat_map(|table| table.lines().skip(1))
                .any(|line| is_listener(line, &wanted))
        })
    }

    /// The tables of TCP sockets here, of IPv4 and of IPv6: a heading, and a line for each (`/proc/net/tcp`).
    ///
    /// # Errors
    ///
    /// When the namespace cannot be entered. A table that cannot be read is an error in its place.
    pub fn tcp_sockets(&self) -> Result<[io::Result<String>; 2]> {
        self.run(|| {
            ["tcp", "tcp6"]
                .map(|table| fs::read_to_string(format!("/proc/thread-self/net/{table}")))
        })
    }

    /// Waits until something listens on a TCP port here; makes no connection.
    ///
    /// # Errors
    ///
    /// When nothing does in time.
    pub fn wait_listens(&self, port: u16, deadline: Duration) -> Result<()> {
        until(
            &format!("a listener on port {port} of {}", self.name),
            deadline,
            || self.listens(port),
        )
    }

    /// One HTTP/1.1 request from here.
    ///
    /// # Errors
    ///
    /// When there is no answer or it is not HTTP.
    pub fn http(&self, method: &str, address: SocketAddr, path: &str) -> Result<http::Response> {
        self.run(|| http::request(method, address, path))?
    }
}

/// One line of /proc/net/tcp: number, local address, remote address, state (0A is LISTEN).
fn is_listener(line: &str, port: &str) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    fields.next().is_some_and(|local| local.ends_with(port)) && fields.nth(1) == Some("0A")
}
