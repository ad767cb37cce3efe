//! The shortest whole path: one request from pod to pod over two nodes.

use lab::{Capture, Lab, PodSpec, ServiceSpec, Start, programs};

fn one_request(capture: Capture) -> anyhow::Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("smoke")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("web").node(1))
        .service(ServiceSpec::new("web").port(80, 8080).backend("web"))
        .capture(capture)
        .build()?;
    let (client, web) = (lab.pod("client"), lab.pod("web"));
    let nginx = programs::nginx(&web, 8080)?;
    let [_near, far] = lab.start_ztunnels(&Start::default())?;
    for url in [
        format!("http://{}:8080/", web.ip4()),
        format!("http://[{}]:8080/", web.ip6()),
        format!("http://{}/", lab.vip("web").ip4),
        format!("http://[{}]/", lab.vip("web").ip6),
    ] {
        let text = client.exec(["curl", "-sS", "-m", "5", &url])?.ok()?;
        assert_eq!(text, "hello from web\n");
    }
    assert!(nginx.access_log().starts_with(&client.ip4().to_string()));
    far.wait_log(
        &[
            "access",
            "connection complete",
            "inbound",
            "spiffe://cluster.local/ns/default/sa/client",
        ],
        lab::SECONDS_5,
    )?;
    Ok(())
}

#[test]
fn a_request_passes_when_an_agent_has_written_the_rules() -> anyhow::Result<()> {
    one_request(Capture::Agent)
}

#[test]
fn a_request_passes_when_ztunnel_writes_the_rules() -> anyhow::Result<()> {
    one_request(Capture::Iptables)
}

#[test]
fn a_request_passes_when_the_kernel_captures() -> anyhow::Result<()> {
    one_request(Capture::Ebpf)
}
