//! A client and an endpoint of different families on one node: a tunnel would come from the client's other address, and that is the one which policies
//! and applications are to see.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use lab::Capture;
use lab::programs;
use serde_json::json;
use suites::policy::scoped;
use suites::traffic::{change, get, refused, url};

use super::{counted, lab};

fn families(capture: Capture) -> Result<()> {
    let Some((lab, [near, far])) = lab("joinfamilies", capture)? else {
        return Ok(());
    };
    let (client, server) = (lab.pod("client"), lab.pod("server"));
    let _nginx = programs::nginx(&server, 8080)?;
    let [four, six] = lab.vip("server").both().map(|vip| url(vip, 80, "/whoami"));
    lab.scenario(|| {
        change(&lab, &[&near, &far], |mesh| -> Result<()> {
            mesh.workload("server")?["workloadIps"] = json!([server.ip6()]);
            Ok(())
        })??;
        // Dialled by IPv4, reached by IPv6: the application sees the address that a tunnel comes from.
        ensure!(get(&client, &four)? == format!("{}\n", client.ip6()));
        ensure!(near.metric("ambit_joins_total", &[("result", "other_family")])? > 0.5);
        ensure!(counted(&near, "same_node")? == [0.0, 0.0]);
        ensure!(counted(&near, "mutual_tls")? == [1.0, 1.0]);

        // So do policies: whichever family is dialled, it is the IPv6 address that comes.
        for (address, may) in [
            (SocketAddr::new(client.ip6().into(), 0), true),
            (SocketAddr::new(client.ip4().into(), 0), false),
        ] {
            let range = match address {
                SocketAddr::V4(it) => format!("{}/32", it.ip()),
                SocketAddr::V6(it) => format!("{}/128", it.ip()),
            };
            let rules = json!([[[{"sourceIps": [range]}]]]);
            change(&lab, &[&near, &far], |mesh| {
                mesh.remove_policy("default", "only");
                mesh.policy(scoped("only", "default", "Namespace", "Allow", rules));
            })?;
            for dialled in [&four, &six] {
                match may {
                    true => ensure!(get(&client, dialled)? == format!("{}\n", client.ip6())),
                    false => refused(&client, dialled)?,
                }
            }
        }
        Ok(())
    })
}

#[test]
fn endpoint_of_another_family_is_not_joined_and_policies_see_what_a_tunnel_shows_with_agent_capture()
-> Result<()> {
    families(Capture::Agent)
}

#[test]
fn endpoint_of_another_family_is_not_joined_and_policies_see_what_a_tunnel_shows_with_ebpf_capture()
-> Result<()> {
    families(Capture::Ebpf)
}
