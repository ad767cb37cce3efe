//! Applications that hold the ports of the mesh before their pod joins: none keeps itself out by that, and none is open meanwhile.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::agent::Handover;
use lab::{Capture, DnsCapture, Lab, Pod, PodSpec, Start, programs};
use socket2::{Domain, Socket, Type};
use suites::traffic::{PATIENCE, eventually_opened, get, nowhere, speaks, url};

/// Long enough to see that nobody answers.
const DROPPED: Duration = Duration::from_secs(3);
/// The ports that a pod may choose from whose application holds them all.
const FEW: std::ops::RangeInclusive<u16> = 40_000..=40_007;

fn with_a_late_one(name: &str, capture: Capture) -> Result<Option<Lab>> {
    lab::possible()
        .then(|| {
            Lab::builder(name)
                .pod(PodSpec::new("late").not_enrolled())
                .pod(PodSpec::new("server").node(1))
                .capture(capture)
                .dns_capture(DnsCapture::On)
                .outside()
                .build()
        })
        .transpose()
}

/// Whether a connection from a port of its own choice is made.
fn goes_out(pod: &Pod, to: SocketAddr) -> Result<bool> {
    let own: IpAddr = if to.is_ipv4() {
        pod.ip4().into()
    } else {
        pod.ip6().into()
    };
    pod.run(|| {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(own, 50_123).into())?;
        match socket.connect_timeout(&to.into(), DROPPED) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable => bail!(error),
            Err(_) => Ok(false),
        }
    })?
}

#[test]
fn ports_of_the_mesh_that_an_application_holds_do_not_keep_it_out_with_ebpf_capture() -> Result<()>
{
    let Some(lab) = with_a_late_one("squatted", Capture::Ebpf)? else {
        return Ok(());
    };
    let (late, server) = (lab.pod("late"), lab.pod("server"));
    let _nginx = [
        programs::nginx(&late, 8080)?,
        programs::nginx(&server, 8080)?,
    ];
    let [near, far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let mut squatters = Vec::new();
        for port in [15001, 15006, 15008, 15053] {
            squatters.push(late.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))??);
        }
        let _dns = late.run(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 15053)))??;
        ensure!(lab.enrol("late")? == Handover::Served);
        speaks(&far, "late", "HBONE")?;
        // In by a tunnel and in plain, out by a tunnel.
        for ip in late.addresses().both() {
            ensure!(get(&server, &url(ip, 8080, "/"))? == "hello from late\n");
            ensure!(get(lab.outside(), &url(ip, 8080, "/"))? == "hello from late\n");
        }
        for ip in server.addresses().both() {
            ensure!(get(&late, &url(ip, 8080, "/"))? == "hello from server\n");
        }
        eventually_opened(&near, 4, &[("connection_security_policy", "mutual_tls")])?;
        for squatter in &squatters {
            squatter.set_nonblocking(true)?;
            let address = squatter.local_addr()?;
            ensure!(squatter.accept().is_err(), "{address} was reached");
        }
        Ok(())
    })
}

#[test]
fn application_that_holds_every_port_is_closed_until_it_lets_go_with_ebpf_capture() -> Result<()> {
    let Some(lab) = with_a_late_one("allports", Capture::Ebpf)? else {
        return Ok(());
    };
    let late = lab.pod("late");
    let _nginx = [
        programs::nginx(&late, 8080)?,
        programs::nginx(lab.outside(), 8080)?,
    ];
    let [near, _far] = lab.start_ztunnels(&Start::default())?;
    let outside = lab.outside_addresses().both();
    lab.scenario(|| {
        for ip in outside {
            ensure!(goes_out(&late, SocketAddr::new(ip, 8080))?, "before");
        }
        let range = format!("{} {}", FEW.start(), FEW.end());
        late.sysctl(&[("net.ipv4.ip_local_port_range", &range)])?;
        let mut squatters = Vec::new();
        for port in FEW {
            let tcp = late.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))??;
            let udp = late.run(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)))??;
            squatters.push((tcp, udp));
        }
        let handover = lab.enrol("late")?;
        ensure!(
            matches!(handover, Handover::Failed(_)),
            "it has no port left: {handover:?}"
        );
        for (own, ip) in late.addresses().both().into_iter().zip(outside) {
            ensure!(!goes_out(&late, SocketAddr::new(ip, 8080))?, "it is open");
            nowhere(lab.outside(), &url(own, 8080, "/"))?;
        }
        drop(squatters);
        late.sysctl(&[("net.ipv4.ip_local_port_range", "32768 60999")])?;
        near.wait_log(&["info", "pod added", late.uid()], PATIENCE)?;
        for (own, ip) in late.addresses().both().into_iter().zip(outside) {
            ensure!(get(&late, &url(ip, 8080, "/"))? == "hello from outside\n");
            ensure!(get(lab.outside(), &url(own, 8080, "/"))? == "hello from late\n");
        }
        Ok(())
    })
}

#[test]
fn pod_whose_port_is_taken_is_captured_and_closed_until_it_is_free_with_iptables_capture()
-> Result<()> {
    let Some(lab) = with_a_late_one("heldrules", Capture::Iptables)? else {
        return Ok(());
    };
    let (late, server) = (lab.pod("late"), lab.pod("server"));
    let _nginx = [
        programs::nginx(&late, 8080)?,
        programs::nginx(&server, 8080)?,
    ];
    let [near, _far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        for port in [15001, 15008, 15053] {
            let squatter = late.run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))??;
            let handover = lab.enrol("late")?;
            let Handover::Failed(error) = handover else {
                bail!("{port}: {handover:?}");
            };
            ensure!(error.contains(late.uid()), "{error}");
            for (own, ip) in late
                .addresses()
                .both()
                .into_iter()
                .zip(server.addresses().both())
            {
                nowhere(lab.outside(), &url(own, 8080, "/")).with_context(|| port.to_string())?;
                nowhere(&late, &url(ip, 8080, "/")).with_context(|| port.to_string())?;
            }
            drop(squatter);
            lab::eventually("it is served", PATIENCE, || {
                get(&late, &url(server.ip4(), 8080, "/"))
            })?;
            ensure!(get(lab.outside(), &url(late.ip6(), 8080, "/"))? == "hello from late\n");
            lab.unenrol("late")?;
            ensure!(get(lab.outside(), &url(late.ip6(), 8080, "/"))? == "hello from late\n");
        }
        ensure!(near.is_running());
        Ok(())
    })
}
