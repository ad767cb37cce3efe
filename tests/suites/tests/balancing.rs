//! Which pod a service's connection goes to, and on which port.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use lab::programs::{self, Nginx};
use lab::{
    Addresses, Capture, Config, Lab, Machine, Mesh, PodSpec, ServiceSpec, Start, Ztunnel, http,
};
use serde_json::{Value, json};
use suites::traffic::{PATIENCE, change, get, refused, url};

#[path = "balancing/locality.rs"]
mod locality;

/// The service of most tests, as it is named in the file.
const WEB: &str = "default/web.default.svc.cluster.local";

/// Changes the configuration of a workload: `set(mesh, "three", "capacity", json!(3))`.
fn set(mesh: &mut Mesh, pod: &str, field: &str, value: Value) -> Result<()> {
    mesh.workload(pod)?[field] = value;
    Ok(())
}

/// Who answers how often, over so many connections to an address.
fn shares(from: &Machine, to: SocketAddr, connections: usize) -> Result<BTreeMap<String, usize>> {
    let answers = from.run(|| {
        (0..connections)
            .map(|_| http::request("GET", to, "/"))
            .collect::<Result<Vec<_>>>()
    })??;
    let mut shares = BTreeMap::new();
    for answer in answers {
        ensure!(answer.status == 200, "{answer:?}");
        let text = answer.text();
        let name = text
            .trim()
            .strip_prefix("hello from ")
            .context("nginx says who it is")?;
        *shares.entry(name.to_owned()).or_default() += 1;
    }
    Ok(shares)
}

/// One service with four pods on both nodes, each with an nginx.
struct Web {
    lab: Lab,
    _nginx: Vec<Nginx>,
    ztunnels: [Ztunnel; 2],
}

const BACKENDS: [&str; 4] = ["one", "three", "none", "sick"];

impl Web {
    fn start(name: &str, capture: Capture, config: Config) -> Result<Self> {
        let mut lab = Lab::builder(name)
            .pod(PodSpec::new("client"))
            .config(config)
            .capture(capture);
        let mut web = ServiceSpec::new("web").port(80, 8080);
        for (index, name) in BACKENDS.into_iter().enumerate() {
            lab = lab.pod(PodSpec::new(name).node(index % 2));
            web = web.backend(name);
        }
        let lab = lab.service(web).build()?;
        let nginx = BACKENDS
            .iter()
            .map(|name| programs::nginx(&lab.pod(name), 8080))
            .collect::<Result<_>>()?;
        let ztunnels = lab.start_ztunnels(&Start::default())?;
        Ok(Self {
            lab,
            _nginx: nginx,
            ztunnels,
        })
    }

    fn change(&self, by: impl FnOnce(&mut Mesh) -> Result<()>) -> Result<()> {
        change(&self.lab, &[&self.ztunnels[0], &self.ztunnels[1]], by)?
    }

    fn shares(&self, family: usize, connections: usize) -> Result<BTreeMap<String, usize>> {
        let vip = SocketAddr::new(self.lab.vip("web").both()[family], 80);
        shares(&self.lab.pod("client"), vip, connections)
    }

    /// The service refuses, and says why.
    fn has_nobody(&self) -> Result<()> {
        let before = self.log(0).len();
        for vip in self.lab.vip("web").both() {
            refused(&self.lab.pod("client"), &url(vip, 80, "/"))?;
        }
        lab::until("the reason in the log", PATIENCE, || {
            self.log(0).len() == before + 2
        })
        .with_context(|| self.ztunnels[0].log_tail())
    }

    fn log(&self, node: usize) -> Vec<String> {
        self.ztunnels[node].log_lines(&["outbound", &format!("error=\"no healthy upstream: {WEB}")])
    }
}

fn weights(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    // A Pod has no weight: only the local file and WorkloadEntries give one.
    let web = Web::start("weights", capture, Config::File)?;
    web.lab.scenario(|| {
        // All alike, and all of them are used.
        let equal = web.shares(0, 200)?;
        ensure!(
            equal.len() == BACKENDS.len() && equal.values().all(|share| (15..=95).contains(share)),
            "{equal:?}"
        );

        web.change(|mesh| {
            set(mesh, "three", "capacity", json!(3))?;
            set(mesh, "none", "capacity", json!(0))?;
            set(mesh, "sick", "status", json!("Unhealthy"))
        })?;
        // 1 to 3: 100 and 300 expected, the bounds are more than four standard deviations away.
        for family in 0..2 {
            let shares = web.shares(family, 400)?;
            ensure!(shares.len() == 2, "{shares:?}");
            ensure!(
                (60..=140).contains(&shares["one"]) && (260..=340).contains(&shares["three"]),
                "{shares:?}"
            );
        }
        // The sick one gets well.
        web.change(|mesh| {
            set(mesh, "sick", "status", json!("Healthy"))?;
            set(mesh, "one", "status", json!("Unhealthy"))?;
            set(mesh, "three", "status", json!("Unhealthy"))
        })?;
        let shares = web.shares(0, 20)?;
        ensure!(
            shares == BTreeMap::from([("sick".to_owned(), 20)]),
            "{shares:?}"
        );
        ensure!(web.log(0).is_empty());

        // Nobody is left: those who could are not well, the one who is well has no weight.
        web.change(|mesh| set(mesh, "sick", "status", json!("Unhealthy")))?;
        web.has_nobody()?;

        // Unless the service takes the sick too, with their weights; still not the one without any.
        web.change(|mesh| {
            mesh.service_mut(WEB)?["loadBalancer"] = json!({"healthPolicy": "AllowAll"});
            Ok(())
        })?;
        let shares = web.shares(0, 100)?;
        ensure!(shares.keys().eq(["one", "sick", "three"]), "{shares:?}");

        // A service without endpoints.
        web.change(|mesh| {
            BACKENDS
                .iter()
                .try_for_each(|pod| set(mesh, pod, "services", json!({})))
        })?;
        web.has_nobody()
    })
}

#[test]
fn healthy_endpoints_share_connections_by_their_weights_under_agent_capture() -> Result<()> {
    weights(Capture::Agent)
}

#[test]
fn healthy_endpoints_share_connections_by_their_weights_under_iptables_capture() -> Result<()> {
    weights(Capture::Iptables)
}

#[test]
fn healthy_endpoints_share_connections_by_their_weights_under_ebpf_capture() -> Result<()> {
    weights(Capture::Ebpf)
}

/// Several services own an address: the caller's namespace decides, else who is canonical. And an address
/// range is owned by the service of the longest prefix.
fn whose_address(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let shared = Addresses {
        ip4: "10.96.7.7".parse()?,
        ip6: "fd00:96::7:7".parse()?,
    };
    let namespaces = ["blue", "green", "grey"];
    let mut builder = Lab::builder("whosevip").capture(capture);
    for namespace in namespaces {
        let (client, server) = (format!("client-{namespace}"), format!("server-{namespace}"));
        let service = ServiceSpec::new("web")
            .namespace(namespace)
            .port(80, 8080)
            .vips(shared);
        builder = builder
            .pod(PodSpec::new(&client).namespace(namespace))
            .pod(PodSpec::new(&server).namespace(namespace).node(1))
            .service(service.backend(&server));
    }
    let lab = builder
        .pod(PodSpec::new("client-elsewhere").namespace("elsewhere"))
        .build()?;
    let _nginx = namespaces
        .map(|namespace| programs::nginx(&lab.pod(&format!("server-{namespace}")), 8080))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let key = |namespace: &str| format!("{namespace}/web.{namespace}.svc.cluster.local");
    lab.change(|mesh| -> Result<()> {
        mesh.service_mut(&key("green"))?["canonical"] = json!(true);
        for other in ["blue", "grey"] {
            mesh.service_mut(&key(other))?["canonical"] = json!(false);
        }
        Ok(())
    })??;
    let [near, far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let check = |ip: IpAddr, expected: [&str; 4]| -> Result<()> {
            for (client, server) in ["blue", "green", "grey", "elsewhere"]
                .into_iter()
                .zip(expected)
            {
                let client = lab.pod(&format!("client-{client}"));
                let shares = shares(&client, SocketAddr::new(ip, 80), 8)?;
                let all = BTreeMap::from([(format!("server-{server}"), 8)]);
                ensure!(
                    shares == all,
                    "{} calls {ip}: {shares:?}, expected {server}",
                    client.name()
                );
            }
            Ok(())
        };
        for ip in shared.both() {
            check(ip, ["blue", "green", "grey", "green"])?;
        }
        // Ranges around that address; blue's is the longer one, and grey's own namespace goes before both.
        change(&lab, &[&near, &far], |mesh| -> Result<()> {
            mesh.service_mut(&key("blue"))?["vips"] = json!(["/10.97.7.0/24", "/fd00:97::7:0/112"]);
            mesh.service_mut(&key("green"))?["vips"] = json!(["/10.97.0.0/16", "/fd00:97::/64"]);
            mesh.service_mut(&key("green"))?["canonical"] = json!(false);
            mesh.service_mut(&key("grey"))?["vips"] = json!(["/10.97.0.0/16", "/fd00:97::/64"]);
            Ok(())
        })??;
        for ip in ["10.97.7.200".parse()?, "fd00:97::7:c8".parse()?] {
            check(ip, ["blue", "green", "grey", "blue"])?;
        }
        Ok(())
    })
}

#[test]
fn services_that_share_an_address_are_told_apart_by_the_callers_namespace_under_agent_capture()
-> Result<()> {
    whose_address(Capture::Agent)
}

#[test]
fn services_that_share_an_address_are_told_apart_by_the_callers_namespace_under_iptables_capture()
-> Result<()> {
    whose_address(Capture::Iptables)
}

#[test]
fn services_that_share_an_address_are_told_apart_by_the_callers_namespace_under_ebpf_capture()
-> Result<()> {
    whose_address(Capture::Ebpf)
}

/// A pod is reached in the family that was dialled, if it has it and the service allows it.
fn families(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("families")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("server").node(1))
        .service(ServiceSpec::new("web").port(80, 8080).backend("server"))
        .capture(capture)
        .build()?;
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _nginx = programs::nginx(&server, 8080)?;
    let [near, far] = lab.start_ztunnels(&Start::default())?;
    let [four, six] = client.addresses().both();
    lab.scenario(|| {
        // nginx sees the family in which it was reached.
        let check = |expected: [IpAddr; 2]| -> Result<()> {
            for (vip, expected) in lab.vip("web").both().into_iter().zip(expected) {
                let said = get(&client, &url(vip, 80, "/whoami"))?;
                ensure!(
                    said == format!("{expected}\n"),
                    "{vip} came from {said}, expected {expected}"
                );
            }
            Ok(())
        };
        check([four, six])?;
        for (allowed, expected) in [
            ("IPv4Only", [four, four]),
            ("IPv6Only", [six, six]),
            ("Dual", [four, six]),
        ] {
            change(&lab, &[&near, &far], |mesh| -> Result<()> {
                mesh.service_mut(WEB)?["ipFamilies"] = json!(allowed);
                Ok(())
            })??;
            check(expected).with_context(|| allowed)?;
        }
        for (own, expected) in [
            (json!([server.ip4()]), [four, four]),
            (json!([server.ip6()]), [six, six]),
        ] {
            change(&lab, &[&near, &far], |mesh| {
                set(mesh, "server", "workloadIps", own.clone())
            })??;
            check(expected).with_context(|| own.to_string())?;
        }
        Ok(())
    })
}

#[test]
fn endpoint_is_reached_in_the_family_that_was_dialled_where_it_can_be_under_agent_capture()
-> Result<()> {
    families(Capture::Agent)
}

#[test]
fn endpoint_is_reached_in_the_family_that_was_dialled_where_it_can_be_under_iptables_capture()
-> Result<()> {
    families(Capture::Iptables)
}

#[test]
fn endpoint_is_reached_in_the_family_that_was_dialled_where_it_can_be_under_ebpf_capture()
-> Result<()> {
    families(Capture::Ebpf)
}

/// A port leads to the port that the endpoint says, which may differ from endpoint to endpoint.
fn ports(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = Lab::builder("ports")
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("first").node(1))
        .pod(PodSpec::new("second"))
        .service(
            ServiceSpec::new("web")
                .port(80, 8080)
                .port(81, 8081)
                .backend("first")
                .backend("second"),
        )
        .capture(capture)
        .build()?;
    let (client, first, second) = (lab.pod("client"), lab.pod("first"), lab.pod("second"));
    let nginx = [
        programs::nginx(&first, 8080)?,
        programs::nginx(&first, 8081)?,
        // The same two named ports, by other numbers.
        programs::nginx(&second, 9080)?,
        programs::nginx(&second, 9081)?,
    ];
    lab.change(|mesh| {
        set(
            mesh,
            "second",
            "services",
            json!({WEB: {"80": 9080, "81": 9081}}),
        )
    })??;
    let [near, far] = lab.start_ztunnels(&Start::default())?;
    lab.scenario(|| {
        let mut asked = 0;
        for vip in lab.vip("web").both() {
            for port in [80, 81] {
                let shares = shares(&client, SocketAddr::new(vip, port), 40)?;
                ensure!(shares.len() == 2, "{vip} port {port}: {shares:?}");
                asked += 40;
            }
        }
        let answered = nginx
            .each_ref()
            .map(|nginx| nginx.access_log().lines().count());
        // Ports 80 and 81 are never mixed up: each is asked half of the time.
        ensure!(
            answered[0] + answered[2] == asked / 2 && answered[1] + answered[3] == asked / 2,
            "{answered:?}"
        );
        ensure!(answered.iter().all(|count| *count > 0), "{answered:?}");

        // A port that only one endpoint has leads there always.
        change(&lab, &[&near, &far], |mesh| -> Result<()> {
            mesh.service_mut(WEB)?["ports"] = json!({"80": 0, "81": 8081});
            set(mesh, "second", "services", json!({WEB: {"81": 9081}}))
        })??;
        let shares = shares(&client, SocketAddr::new(lab.vip("web").ip4.into(), 80), 20)?;
        ensure!(
            shares == BTreeMap::from([("first".to_owned(), 20)]),
            "{shares:?}"
        );

        for vip in lab.vip("web").both() {
            refused(&client, &url(vip, 82, "/"))?;
            let dialled = format!("dst.addr={}", SocketAddr::new(vip, 82));
            near.wait_log(
                &[
                    "outbound",
                    &dialled,
                    &format!("service {WEB} has no port 82"),
                ],
                PATIENCE,
            )?;
        }
        Ok(())
    })
}

#[test]
fn service_port_leads_to_the_endpoints_own_port_and_an_unknown_one_nowhere_under_agent_capture()
-> Result<()> {
    ports(Capture::Agent)
}

#[test]
fn service_port_leads_to_the_endpoints_own_port_and_an_unknown_one_nowhere_under_iptables_capture()
-> Result<()> {
    ports(Capture::Iptables)
}

#[test]
fn service_port_leads_to_the_endpoints_own_port_and_an_unknown_one_nowhere_under_ebpf_capture()
-> Result<()> {
    ports(Capture::Ebpf)
}
