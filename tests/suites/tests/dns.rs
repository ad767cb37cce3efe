//! Names: those of the mesh are answered in the pod, all others by the node's own servers, asked from the pod.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, DnsCapture, Lab, PodSpec, ServiceSpec, Start};
use serde_json::json;
use suites::traffic::dig::{Answer, dig};
use suites::traffic::nameserver::{self, Nameserver, Transport};
use suites::traffic::{PATIENCE, eventually_opened, get};

/// What pods take for their resolver: nobody is there.
const RESOLVER: &str = "@10.96.0.10";
/// The same in IPv6.
const RESOLVER_V6: &str = "@fd00:96::53";

/// Services of every kind: with both addresses, with IPv4 alone, without any, and of a foreign domain.
fn with_names(name: &str, capture: Capture, dns: DnsCapture) -> Result<Lab> {
    let lab = Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("web").node(1))
        .pod(PodSpec::new("web-two").node(1))
        .service(ServiceSpec::new("web").port(80, 8080).backend("web"))
        .service(ServiceSpec::new("four").port(80, 8080).backend("web"))
        .service(
            ServiceSpec::new("headless")
                .port(80, 8080)
                .backend("web")
                .backend("web-two"),
        )
        .service(ServiceSpec::new("foreign").port(80, 8080).backend("web"))
        .service(
            ServiceSpec::new("shop")
                .namespace("sales")
                .port(80, 8080)
                .backend("web"),
        )
        .capture(capture)
        .dns_capture(dns)
        .outside()
        .build()?;
    lab.change(|mesh| -> Result<()> {
        let four = mesh.service_mut("default/four.default.svc.cluster.local")?;
        four["vips"] = json!([four["vips"][0]]);
        mesh.service_mut("default/headless.default.svc.cluster.local")?["vips"] = json!([]);
        let foreign = mesh.service_mut("default/foreign.default.svc.cluster.local")?;
        foreign["hostname"] = json!("api.example.com");
        let services = &mut mesh.workload("web")?["services"];
        services["default/api.example.com"] =
            services["default/foreign.default.svc.cluster.local"].take();
        let known = services.as_object_mut().context("the services of web")?;
        known.remove("default/foreign.default.svc.cluster.local");
        Ok(())
    })??;
    Ok(lab)
}

/// The addresses of an answer, in order.
fn ips(answer: &Answer) -> Vec<IpAddr> {
    let data = answer.data("A").into_iter().chain(answer.data("AAAA"));
    let mut ips: Vec<_> = data.filter_map(|ip| ip.parse().ok()).collect();
    ips.sort();
    ips
}

fn mesh_names(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = with_names("dnsmesh", capture, DnsCapture::On)?;
    let client = lab.pod("client");
    let outside = Nameserver::start(lab.outside())?;
    let _nginx = lab::programs::nginx(&lab.pod("web"), 8080)?;
    let [near, _far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let web = lab.vip("web");
        let shop = lab
            .mesh()
            .vip("sales", "shop")
            .context("the service shop")?;
        let headless = [lab.pod("web"), lab.pod("web-two")];
        let headless = |family: usize| {
            headless
                .iter()
                .map(|pod| pod.addresses().both()[family])
                .collect::<Vec<_>>()
        };
        let four: IpAddr = "10.96.1.11".parse()?;
        for resolver in [RESOLVER, RESOLVER_V6] {
            for transport in ["+notcp", "+tcp"] {
                let ask = |name: &str, kind: &str| dig(&client, &[resolver, transport, name, kind]);
                let check = |name: &str, kind: &str, expected: Vec<IpAddr>| -> Result<()> {
                    let answer = ask(name, kind)?;
                    ensure!(
                        answer.status == "NOERROR"
                            && ips(&answer) == expected
                            && answer.data("CNAME").is_empty(),
                        "{name} {kind} {resolver} {transport}: {answer:?}"
                    );
                    Ok(())
                };
                let full = "web.default.svc.cluster.local";
                check(full, "A", vec![web.ip4.into()])?;
                check(full, "AAAA", vec![web.ip6.into()])?;
                // As is, and the short forms of the client's own namespace and of another.
                check("WEB.default.SVC.cluster.local", "A", vec![web.ip4.into()])?;
                check("web", "A", vec![web.ip4.into()])?;
                check("shop.sales", "AAAA", vec![shop.ip6.into()])?;
                check("headless", "A", headless(0))?;
                check("headless.default.svc.cluster.local", "AAAA", headless(1))?;
                // Known, but not in that family: that is no unknown name.
                check("four", "A", vec![four])?;
                check("four", "AAAA", Vec::new())?;
            }
        }
        // None of this was anybody else's to know.
        ensure!(
            outside.asked("web").is_empty()
                && outside.asked("four.default.svc.cluster.local").is_empty()
        );
        // What programs do with names: the C library goes through the search list.
        for name in [
            "web",
            "web.default",
            "web.default.svc.cluster.local",
            "shop.sales",
            "api.example.com",
        ] {
            let said = get(&client, &format!("http://{name}/")).with_context(|| name.to_owned())?;
            ensure!(said == "hello from web\n", "{name}: {said}");
        }
        eventually_opened(
            &near,
            5,
            &[("reporter", "source"), ("destination_workload", "web")],
        )
    })
}

#[test]
fn names_of_the_mesh_are_answered_in_the_pod_under_agent_capture() -> Result<()> {
    mesh_names(Capture::Agent)
}

#[test]
fn names_of_the_mesh_are_answered_in_the_pod_under_iptables_capture() -> Result<()> {
    mesh_names(Capture::Iptables)
}

#[test]
fn names_of_the_mesh_are_answered_in_the_pod_under_ebpf_capture() -> Result<()> {
    mesh_names(Capture::Ebpf)
}

/// A resolver tries its search list first: the names that it makes up so are answered at once, by an alias.
fn search_list(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = with_names("dnssearch", capture, DnsCapture::On)?;
    let client = lab.pod("client");
    let _ztunnel = lab.start_ztunnel(0, &Start::default())?;
    lab.scenario(|| {
        let web: IpAddr = lab.vip("web").ip4.into();
        let foreign: IpAddr = "10.96.1.13".parse()?;
        for (asked, canonical, ip) in [
            (
                "web.default.svc.cluster.local.default.svc.cluster.local",
                "web.default.svc.cluster.local.",
                web,
            ),
            (
                "web.default.svc.cluster.local.svc.cluster.local",
                "web.default.svc.cluster.local.",
                web,
            ),
            (
                "web.default.svc.cluster.local.cluster.local",
                "web.default.svc.cluster.local.",
                web,
            ),
            (
                "api.example.com.default.svc.cluster.local",
                "api.example.com.",
                foreign,
            ),
        ] {
            for transport in ["+notcp", "+tcp"] {
                let answer = dig(&client, &[RESOLVER, transport, asked, "A"])?;
                let records: Vec<_> = answer
                    .records
                    .iter()
                    .map(|record| {
                        (
                            record.name.as_str(),
                            record.kind.as_str(),
                            record.data.clone(),
                        )
                    })
                    .collect();
                let (alias, ip) = (format!("{asked}."), ip.to_string());
                let expected = [
                    (alias.as_str(), "CNAME", canonical.to_owned()),
                    (canonical, "A", ip),
                ];
                ensure!(
                    answer.status == "NOERROR" && records == expected,
                    "{asked}: {answer:?}"
                );
            }
        }
        // As dig itself walks the list of the pod.
        let answer = dig(&client, &["+search", "api.example.com", "A"])?;
        ensure!(ips(&answer) == [foreign], "{answer:?}");
        Ok(())
    })
}

#[test]
fn search_list_leads_to_an_alias_under_agent_capture() -> Result<()> {
    search_list(Capture::Agent)
}

#[test]
fn search_list_leads_to_an_alias_under_iptables_capture() -> Result<()> {
    search_list(Capture::Iptables)
}

#[test]
fn search_list_leads_to_an_alias_under_ebpf_capture() -> Result<()> {
    search_list(Capture::Ebpf)
}

fn forwarded(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = with_names("dnsforward", capture, DnsCapture::On)?;
    let client = lab.pod("client");
    let outside = Nameserver::start(lab.outside())?;
    let ztunnel = lab.start_ztunnel(0, &Start::default())?;
    lab.scenario(|| {
        let mut count = 0;
        for (resolver, family) in [(RESOLVER, "four"), (RESOLVER_V6, "six")] {
            for (option, transport) in [("+notcp", Transport::Udp), ("+tcp", Transport::Tcp)] {
                for (kind, query_type, data) in [
                    ("A", 1, nameserver::IPV4.to_string()),
                    ("AAAA", 28, nameserver::IPV6.to_string()),
                    ("TXT", 16, format!("\"{}\"", nameserver::TEXT)),
                ] {
                    let name =
                        format!("{family}.{}.elsewhere.test", option.trim_start_matches('+'));
                    let answer = dig(&client, &[resolver, option, &name, kind])?;
                    ensure!(
                        answer.status == "NOERROR" && answer.data(kind) == [data],
                        "{name} {kind}: {answer:?}"
                    );
                    let asked = outside.asked(&name);
                    let seen = asked.iter().find(|asked| asked.query_type == query_type);
                    let seen =
                        seen.with_context(|| format!("{name} {kind} was never asked: {asked:?}"))?;
                    // The node's resolv.conf names an IPv4 server; the question leaves from the pod itself.
                    ensure!(
                        seen.from == client.ip4() && seen.transport == transport,
                        "{seen:?}"
                    );
                    count += 1;
                }
            }
        }
        // A type that the mesh does not answer is forwarded for its own names too; and what is not, is not.
        let answer = dig(&client, &[RESOLVER, "web.default.svc.cluster.local", "TXT"])?;
        ensure!(
            answer.data("TXT") == [format!("\"{}\"", nameserver::TEXT)],
            "{answer:?}"
        );
        let answer = dig(
            &client,
            &[RESOLVER, &format!("x.{}", nameserver::NOWHERE), "A"],
        )?;
        ensure!(
            answer.status == "NXDOMAIN" && answer.records.is_empty(),
            "{answer:?}"
        );
        lab::until("the metrics of DNS", PATIENCE, || {
            let all = [
                "istio_dns_requests_total",
                "istio_dns_upstream_requests_total",
            ];
            all.iter().all(|name| {
                ztunnel
                    .metric(name, &[])
                    .is_ok_and(|now| (now - f64::from(count + 2)).abs() < 0.5)
            })
        })
        .with_context(|| ztunnel.metrics().unwrap_or_default())
    })
}

#[test]
fn other_names_are_forwarded_from_the_pod_to_the_nodes_servers_under_agent_capture() -> Result<()> {
    forwarded(Capture::Agent)
}

#[test]
fn other_names_are_forwarded_from_the_pod_to_the_nodes_servers_under_iptables_capture() -> Result<()>
{
    forwarded(Capture::Iptables)
}

#[test]
fn other_names_are_forwarded_from_the_pod_to_the_nodes_servers_under_ebpf_capture() -> Result<()> {
    forwarded(Capture::Ebpf)
}

/// Without `DNS_CAPTURE` even the names of the mesh are asked of whom the pod asks.
fn untouched(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = with_names("dnsuntouched", capture, DnsCapture::Off)?;
    let client = lab.pod("client");
    let outside = Nameserver::start(lab.outside())?;
    let ztunnel = lab.start_ztunnel(0, &Start::default())?;
    lab.scenario(|| {
        for (server, own) in lab
            .outside_addresses()
            .both()
            .into_iter()
            .zip(client.addresses().both())
        {
            for (option, transport) in [("+notcp", Transport::Udp), ("+tcp", Transport::Tcp)] {
                let name = format!(
                    "web{}.default.svc.cluster.local",
                    u8::from(server.is_ipv6())
                );
                let answer = dig(&client, &[&format!("@{server}"), option, &name, "A"])?;
                ensure!(
                    ips(&answer) == [IpAddr::from(nameserver::IPV4)],
                    "{answer:?}"
                );
                let asked = outside.asked(&name);
                let here = asked
                    .iter()
                    .any(|asked| asked.from == own && asked.transport == transport);
                ensure!(here, "{asked:?}");
            }
        }
        let web = dig(
            &client,
            &[
                &format!("@{}", lab.outside_addresses().ip4),
                "web.default.svc.cluster.local",
                "A",
            ],
        )?;
        ensure!(
            ips(&web) == [IpAddr::from(nameserver::IPV4)],
            "the mesh has answered: {web:?}"
        );
        for save in ["iptables-save", "ip6tables-save"] {
            let rules = client.exec([save])?.ok()?;
            ensure!(
                rules.contains("15001") == (capture != Capture::Ebpf)
                    && !rules.contains("15053")
                    && !rules.contains("dport 53"),
                "{rules}"
            );
        }
        // Over TCP it is a connection like any other, and passes as one.
        eventually_opened(
            &ztunnel,
            2,
            &[("destination_service_name", "PassthroughCluster")],
        )?;
        let metrics = ztunnel.metrics()?;
        ensure!(
            metrics
                .lines()
                .any(|line| line == "istio_dns_requests_total 0"),
            "{metrics}"
        );
        Ok(())
    })
}

#[test]
fn names_are_left_alone_without_dns_capture_under_agent_capture() -> Result<()> {
    untouched(Capture::Agent)
}

#[test]
fn names_are_left_alone_without_dns_capture_under_iptables_capture() -> Result<()> {
    untouched(Capture::Iptables)
}

#[test]
fn names_are_left_alone_without_dns_capture_under_ebpf_capture() -> Result<()> {
    untouched(Capture::Ebpf)
}
