//! What the tests stand on: two pods and a peer, a bpffs, programs.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use ebpf_loader::{
    Capture, Cookie, Enrolled, Error, PodSettings, Serving, Settings, capture::MARK,
};
use lab::{Lab, Pod, PodSpec, Process};
use net::{Netns, socket::Options};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A lab in which nobody is captured yet.
pub(crate) struct Ground {
    // Before the pins: its processes use them.
    pub(crate) lab: Lab,
    pins: Pins,
}

/// A bpffs of our own.
struct Pins(PathBuf);

impl Drop for Pins {
    fn drop(&mut self) {
        // What cannot be removed is seen by whoever looks for leftovers.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.0);
    }
}

impl Pins {
    fn mount(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path)?;
        let pins = Self(path);
        mount(
            Some("bpf"),
            &pins.0,
            Some("bpf"),
            MsFlags::empty(),
            None::<&str>,
        )
        .context("mount a bpffs")?;
        Ok(pins)
    }
}

/// A ground, or `None` where there can be none; the reason has been said.
pub(crate) fn ground(name: &str) -> Result<Option<Ground>> {
    if !lab::possible() {
        return Ok(None);
    }
    let lab = Lab::builder(name)
        .pod(PodSpec::new("pod"))
        .pod(PodSpec::new("near"))
        .pod(PodSpec::new("peer").node(1))
        .capture(lab::Capture::None)
        .build()?;
    let run = root(&lab)
        .file_name()
        .context("the lab's cgroup has no name")?
        .to_string_lossy()
        .into_owned();
    let pins = Pins::mount(&format!("{run}-bpf"))?;
    Ok(Some(Ground { lab, pins }))
}

fn root(lab: &Lab) -> PathBuf {
    let machine = lab.node(0).group().to_owned();
    machine.parent().map(Path::to_owned).unwrap_or(machine)
}

impl Ground {
    /// The cgroup of all machines.
    pub(crate) fn cgroup(&self) -> PathBuf {
        root(&self.lab)
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.pins.0.join("ambit")
    }

    /// The folders of what builds have pinned.
    pub(crate) fn generations(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.pins())? {
            let path = entry?.path();
            if path.join("hooks").exists() {
                found.push(path);
            }
        }
        Ok(found)
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            cgroup: Some(self.cgroup()),
            pins: self.pins(),
            mark: MARK,
        }
    }

    /// The hooks, opened by this process, which is outside of the attach point.
    pub(crate) fn capture(&self) -> Result<Capture> {
        Ok(Capture::open(&self.settings(), None)?)
    }

    /// Starts the proxy for these pods and waits until they are captured.
    pub(crate) fn forwarder(&self, pods: &[&Pod], options: &[&str]) -> Result<Process> {
        let process = self.spawn(pods, options)?;
        process.wait_log("ready", PATIENCE)?;
        Ok(process)
    }

    /// Starts it.
    pub(crate) fn spawn(&self, pods: &[&Pod], options: &[&str]) -> Result<Process> {
        let mut line = vec![
            program()?.display().to_string(),
            "--cgroup".to_owned(),
            self.cgroup().display().to_string(),
            "--pins".to_owned(),
            self.pins().display().to_string(),
        ];
        line.extend(options.iter().map(|&option| option.to_owned()));
        line.extend(
            pods.iter()
                .map(|pod| pod.netns_path().display().to_string()),
        );
        self.lab.node(0).spawn(line)
    }
}

/// The example `forwarder`, which cargo builds beside the tests.
pub(crate) fn program() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.ancestors().nth(2).context("no folder of builds")?;
    Ok(folder.join("examples/forwarder"))
}

/// The namespace of a pod as the loader takes it.
pub(crate) fn netns(pod: &Pod) -> Result<Netns> {
    Ok(Netns::open(pod.netns_path())?)
}

/// Captures a pod, and serves it with these options.
pub(crate) fn enrol_with(
    capture: &Capture,
    netns: &Netns,
    settings: &PodSettings,
    options: &Options,
) -> Result<Enrolled, Error> {
    let serving = Serving {
        port_dns: std::num::NonZeroU16::new(15053),
        options,
        kept: &[],
    };
    capture.enrol(netns, Cookie::of(netns)?, settings, &serving)
}

/// The same with those of all tests. DNS, where it is captured, is answered on 15053.
pub(crate) fn enrol(capture: &Capture, netns: &Netns, settings: &PodSettings) -> Result<Enrolled> {
    Ok(enrol_with(capture, netns, settings, &options()?)?)
}

pub(crate) fn options() -> Result<Options> {
    Ok(Options {
        mark: 0x539.try_into()?,
        keepalive: None,
        user_timeout: false,
        timeout_connect: PATIENCE,
    })
}

/// A server that answers each connection with its client's address: `GET / ..` and plain lines alike.
pub(crate) const SERVER: &str = r#"
import socket, sys, threading
def answer(s, peer):
    with s:
        if s.recv(4096):
            text = peer[0].replace("::ffff:", "") + "\n"
            s.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text.encode())
l = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
l.bind(("::", int(sys.argv[1])))
l.listen(512)
while True:
    s, peer = l.accept()
    threading.Thread(target=answer, args=(s, peer), daemon=True).start()
"#;

/// Starts [`SERVER`] in a pod and waits for it.
pub(crate) fn server(pod: &Pod, port: u16) -> Result<Process> {
    let process = pod.spawn(["python3", "-c", SERVER, &port.to_string()])?;
    pod.wait_listens(port, PATIENCE)?;
    Ok(process)
}

/// What curl gets, without the end of its line.
pub(crate) fn curl(pod: &Pod, url: &str) -> Result<String> {
    let text = pod
        .exec(["curl", "-sS", "--max-time", "5", url])?
        .ok()
        .with_context(|| format!("curl {url}"))?;
    Ok(text.trim().to_owned())
}

/// Whether curl gets nothing within two seconds.
pub(crate) fn curl_fails(pod: &Pod, url: &str) -> Result<bool> {
    let output = pod.exec(["curl", "-sS", "--max-time", "2", url])?;
    Ok(!output.status.success())
}

/// Both addresses of a pod as they stand in a URL.
pub(crate) fn hosts(pod: &Pod) -> [String; 2] {
    [pod.ip4().to_string(), format!("[{}]", pod.ip6())]
}

/// Runs Python in a pod.
pub(crate) fn python(pod: &Pod, script: &str, arguments: &[&str]) -> Result<String> {
    let line = ["python3", "-c", script]
        .into_iter()
        .chain(arguments.iter().copied());
    let text = pod.exec(line)?.ok()?;
    Ok(text.trim().to_owned())
}
