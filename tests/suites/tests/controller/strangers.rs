//! Who is not to be answered: callers without a token, with a wrong one, with one that is not theirs to use; requests
//! that are not the caller's; messages that are too large; connections that are none.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Lab, PodSpec, Start, Ztunnel, eventually};
use serde_json::Value;
use suites::plane::peers::{Answer, DELTA, chain, program, subject_alternative_name};
use suites::plane::{Csr, Grpcurl, Seat, timed, wait_policy, wait_synced, write};
use suites::policy::PATIENCE;
use wire::proto::{ADDRESS_TYPE, AUTHORIZATION_TYPE};

/// What a caller hears whose token is not believed.
const UNKNOWN: &str = "authentication failure";
/// What a caller hears who may not have an identity, whatever the reason.
const NOT_YOURS: &str = "request impersonation authentication failure";

/// `one` on the first node, `two` on the second, and ztunnels.
struct Door {
    lab: Lab,
    ztunnels: [Ztunnel; 2],
}

impl Door {
    fn build(name: &str) -> Result<Self> {
        let lab = Lab::builder(name)
            .pod(PodSpec::new("one"))
            .pod(PodSpec::new("two").node(1))
            .build()?;
        let ztunnels = lab.start_ztunnels(&Start::default())?;
        Ok(Self { lab, ztunnels })
    }
}

#[test]
fn nobody_gets_a_certificate_that_is_not_his() -> Result<()> {
    if program("grpcurl").is_none() {
        return Ok(());
    }
    let door = Door::build("ca")?;
    door.lab.scenario(|| {
        let controller = door.lab.controller()?;
        let machine = door.lab.node(0);
        let seat = Seat { machine, controller: &controller, node: 0 };
        let grpcurl = Grpcurl::find(seat).context("looked for above")?;
        let node1 = controller.token("istio-system", "ztunnel", Some("node1"))?;
        let (one, two) = (door.lab.pod("one").identity(), door.lab.pod("two").identity());
        let nowhere = controller.token("istio-system", "ztunnel", None)?;
        let ordinary = controller.token("default", "one", Some("node1"))?;
        let plain = Csr::make(machine, "plain", None)?;
        known(&grpcurl, &ordinary)?;
        let failures = || controller.metric("citadel_server_authentication_failure_count_total", &[]);
        let refused_before = failures()?;

        // Somebody is answered, so it is not the door that is shut.
        let own = chain(&grpcurl.sign(Some(&node1), &plain.pem, Some(&one))?)?;
        ensure!(subject_alternative_name(machine, &own[0])? == format!("URI:{one}"));
        let roots = own.last().context("a root")?;
        ensure!(roots.trim() == std::fs::read_to_string(controller.root())?.trim());

        // No token, a wrong one, and half a good one.
        let half = node1.get(..node1.len() / 2).context("a token")?;
        for token in [None, Some("wrong"), Some(half), Some("")] {
            let answer = grpcurl.sign(token, &plain.pem, Some(&one))?;
            ensure!(answer.refused("Unauthenticated")? == UNKNOWN, "{token:?}: {answer:?}");
        }
        let twice = [format!("authorization: Bearer {node1}"), "authorization: Bearer wrong".to_owned()];
        let message = serde_json::json!({"csr": plain.pem}).to_string();
        let answer = grpcurl.call(suites::plane::peers::SIGN, &twice, message.as_bytes())?;
        answer.refused("Unauthenticated").context("two tokens")?;

        // Good tokens, and identities that are not theirs to ask for: one text for all.
        let elsewhere = one.replace("cluster.local", "other.domain");
        let foreign = [
            ("a pod of another node", &node1, two.as_str()),
            ("a ztunnel of no node", &nowhere, &one),
            ("an ordinary account", &ordinary, &two),
            ("an ordinary account, itself by impersonation", &ordinary, &one),
            ("another trust domain", &node1, &elsewhere),
            ("nobody's identity", &node1, "spiffe://cluster.local/ns/default/sa/nobody"),
            ("no identity", &node1, "one"),
        ];
        for (what, token, identity) in foreign {
            let answer = grpcurl.sign(Some(token), &plain.pem, Some(identity))?;
            ensure!(answer.refused("Unauthenticated")? == NOT_YOURS, "{what}: {answer:?}");
            controller
                .wait_log(&["certificate refused", identity], PATIENCE)
                .context(what)?;
        }
        let refused = failures()? - refused_before;
        ensure!((refused - 12.0).abs() < 0.5, "{refused} were counted");

        // Without impersonation everybody is who his token says.
        let accounts = [(&ordinary, one.clone()), (&nowhere, one.replace("default/sa/one", "istio-system/sa/ztunnel"))];
        for (token, identity) in accounts {
            let chain = chain(&grpcurl.sign(Some(token), &plain.pem, None)?)?;
            ensure!(subject_alternative_name(machine, &chain[0])? == format!("URI:{identity}"));
        }

        // A request that was captured: it names another, or was changed.
        let captured = Csr::make(machine, "captured", Some(&two))?;
        let replayed = grpcurl.sign(Some(&ordinary), &captured.pem, None)?;
        ensure!(replayed.refused("InvalidArgument")?.contains(&two), "{replayed:?}");
        let replayed = grpcurl.sign(Some(&node1), &captured.pem, Some(&one))?;
        replayed.refused("InvalidArgument")?;
        let changed = spoil(&plain.pem)?;
        grpcurl
            .sign(Some(&ordinary), &changed, None)?
            .refused("InvalidArgument")
            .context("a request that was changed")?;
        for nonsense in ["", "no pem", &own[0]] {
            grpcurl
                .sign(Some(&ordinary), nonsense, None)?
                .refused("InvalidArgument")
                .with_context(|| format!("{nonsense:?}"))?;
        }

        // Too much.
        let large = format!("{}{}", plain.pem, "# \n".repeat(100_000));
        let answer = grpcurl.sign(Some(&ordinary), &large, None)?;
        ensure!(
            matches!(&answer, Answer::Refused(code, _) if ["OutOfRange", "ResourceExhausted"].contains(&code.as_str())),
            "{answer:?}"
        );
        Ok(())
    })
}

/// Waits until the controller has read a token that was made just now, and so those before it.
fn known(grpcurl: &Grpcurl<'_>, token: &str) -> Result<()> {
    eventually("a token that is known", PATIENCE, || {
        let answer = grpcurl.sign(Some(token), "", None)?;
        answer.refused("InvalidArgument").map(drop)
    })
}

/// Changes a byte of the key in a request, so that it is well-formed and its signature is wrong.
fn spoil(pem: &str) -> Result<String> {
    let lines: Vec<&str> = pem.lines().collect();
    let (at, line) = (2, lines.get(2).context("a third line")?);
    let middle = line.len() / 2;
    let old = line.get(middle..=middle).context("a letter")?;
    let new = if old == "A" { "B" } else { "A" };
    let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    lines[at].replace_range(middle..=middle, new);
    Ok(lines.join("\n") + "\n")
}

#[test]
fn nobody_is_told_of_the_mesh_who_is_no_proxy() -> Result<()> {
    if program("grpcurl").is_none() {
        return Ok(());
    }
    let door = Door::build("xds")?;
    door.lab.scenario(|| {
        let controller = door.lab.controller()?;
        wait_synced(&controller)?;
        let seat = Seat {
            machine: door.lab.node(1),
            controller: &controller,
            node: 1,
        };
        let grpcurl = Grpcurl::find(seat).context("looked for above")?;
        let ordinary = controller.token("default", "two", Some("node2"))?;
        let node2 = controller.token("istio-system", "ztunnel", Some("node2"))?;
        known(&grpcurl, &node2)?;
        let pushed = controller.metric("pilot_xds_pushes_total", &[])?;
        for of in [ADDRESS_TYPE, AUTHORIZATION_TYPE] {
            for token in [None, Some("wrong")] {
                let answer = grpcurl.subscribe(token, of)?;
                ensure!(answer.refused("Unauthenticated")? == UNKNOWN, "{answer:?}");
            }
            // It says that it is a ztunnel; its token says that it is not.
            let answer = grpcurl.subscribe(Some(&ordinary), of)?;
            ensure!(
                answer.refused("PermissionDenied")? == "permission denied",
                "{answer:?}"
            );
        }
        controller.wait_log(&["xDS client refused", "default/two"], PATIENCE)?;
        ensure!(controller.page("/debug/syncz")?.as_array().map(Vec::len) == Some(2));

        // Too large a message, of somebody who is let in and of one who is not.
        let before = controller.memory()?.highest_bytes;
        let large = serde_json::json!({
            "typeUrl": ADDRESS_TYPE, "resourceNamesSubscribe": ["x".repeat(33 << 20)],
        });
        let large = large.to_string();
        for (token, codes) in [
            (None, ["Unauthenticated", "Unavailable"]),
            (Some(&node2), ["ResourceExhausted", "OutOfRange"]),
        ] {
            let headers: Vec<String> = token
                .iter()
                .map(|it| format!("authorization: Bearer {it}"))
                .collect();
            let answer = grpcurl.call(DELTA, &headers, large.as_bytes())?;
            ensure!(
                matches!(&answer, Answer::Refused(code, _) if codes.contains(&code.as_str())),
                "{answer:?}"
            );
        }
        let grown = controller.memory()?.highest_bytes.saturating_sub(before);
        ensure!(grown < 8 << 20, "it has grown by {grown} bytes");
        let now = controller.metric("pilot_xds_pushes_total", &[])?;
        ensure!(
            (now - pushed).abs() < 0.5,
            "{pushed} pushes have become {now}"
        );
        for method in ["CreateCertificate", "StreamAggregatedResources"] {
            let name = format!("envoy.service.discovery.v3.AggregatedDiscoveryService/{method}");
            ensure!(grpcurl.call(&name, &[], b"{}").is_err(), "{name}");
        }
        Ok(())
    })
}

#[test]
fn connections_that_are_none_do_not_keep_others_from_their_work() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let door = Door::build("noise")?;
    door.lab.scenario(|| {
        let controller = door.lab.controller()?;
        wait_synced(&controller)?;
        let id = controller.memory()?;
        let address = controller.address(0);
        let address: std::net::SocketAddr = address.trim_start_matches("https://").parse()?;
        // The node of a proxy that is to go on.
        let mut held = Vec::new();
        let dial = || -> Result<TcpStream> {
            let stream = door.lab.node(0).run(|| TcpStream::connect(address))??;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            Ok(stream)
        };
        // Those that say nothing, and those that stop in the middle of a ClientHello.
        for number in 0..40 {
            let mut stream = dial()?;
            if number % 2 == 0 {
                stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc])?;
            }
            held.push(stream);
        }
        // Those that speak something else.
        for garbage in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[0xff; 4096]] {
            let mut stream = dial()?;
            stream.write_all(garbage)?;
            let mut answer = Vec::new();
            // An alert and the end, or a reset.
            let _ = stream.read_to_end(&mut answer);
            ensure!(answer.len() < 64, "{answer:?}");
        }
        // The others are told of changes, and a new one is let in.
        let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                      metadata: {name: amid-noise, namespace: default}\nspec: {action: DENY, rules: []}\n";
        timed("a change amid noise, until both have it", || {
            write(&door.lab, "amid-noise", &policy.replace("rules: []", "rules: [{to: [{operation: {ports: ['1']}}]}]"))?;
            for ztunnel in &door.ztunnels {
                wait_policy(ztunnel, "amid-noise", true)?;
            }
            Ok(())
        })?;
        door.ztunnels[0].restart()?;
        door.ztunnels[0].wait_ready()?;
        // The silent ones are sent away in the end.
        for mut stream in held {
            let mut rest = Vec::new();
            match stream.read_to_end(&mut rest) {
                Ok(_) => {}
                Err(error) => ensure!(
                    error.kind() == std::io::ErrorKind::ConnectionReset,
                    "a silent connection stays: {error}"
                ),
            }
        }
        ensure!(controller.is_running());
        ensure!(!controller.log().contains("panicked"));
        let memory = controller.memory()?;
        ensure!(memory.highest_bytes < id.highest_bytes + (32 << 20), "{id:?} to {memory:?}");
        Ok(())
    })
}

#[test]
fn the_messages_are_those_of_envoys_and_istios_own_projects() -> Result<()> {
    let Some(xds) = program("xds") else {
        return Ok(());
    };
    let door = Door::build("peer")?;
    door.lab.scenario(|| {
        let controller = door.lab.controller()?;
        let machine = door.lab.node(0);
        let seat = Seat { machine, controller: &controller, node: 0 };
        let token = seat.keep("node1", &controller.token("istio-system", "ztunnel", Some("node1"))?)?;
        let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                      metadata: {name: seen, namespace: default}\nspec: {action: DENY, rules: [{to: [{operation: {ports: ['1']}}]}]}\n";
        write(&door.lab, "seen", policy)?;
        wait_policy(&door.ztunnels[0], "seen", true)?;

        eventually("a token that is known", PATIENCE, || {
            seat.xds(&xds, &token, &["watch", ADDRESS_TYPE])?.ok().map(drop)
        })?;
        // Everything, then by name, then only what has changed.
        let line = |arguments: &[&str]| -> Result<Value> {
            let text = seat.xds(&xds, &token, arguments)?.ok()?;
            serde_json::from_str(&text).context(text)
        };
        let all = line(&["watch", ADDRESS_TYPE])?;
        let names = all["resources"].as_object().context("resources")?;
        for pod in ["one", "two"] {
            let uid = format!("Kubernetes//Pod/default/{pod}");
            ensure!(names.contains_key(&uid), "{all:#}");
            let alias = format!("/{}", door.lab.pod(pod).ip4());
            ensure!(all["aliases"].as_array().is_some_and(|it| it.contains(&alias.into())), "{all:#}");
        }
        ensure!(all["types"].as_array().is_some_and(|it| it.iter().all(|it| it == ADDRESS_TYPE)));
        let two = format!("/{}", door.lab.pod("two").ip4());
        let some = line(&["watch", ADDRESS_TYPE, &two])?;
        let found: Vec<_> = some["resources"].as_object().context("resources")?.keys().collect();
        ensure!(found.contains(&&"Kubernetes//Pod/default/two".to_owned()), "{some:#}");
        let policies = line(&["watch", AUTHORIZATION_TYPE])?;
        ensure!(policies["resources"].get("default/seen").is_some(), "{policies:#}");
        let mut have = all["resources"].clone();
        have["Kubernetes//Pod/default/two"] = "stale".into();
        have["Kubernetes//Pod/default/gone"] = "stale".into();
        let changes = line(&["-have", &have.to_string(), "watch", ADDRESS_TYPE])?;
        ensure!(
            changes["resources"].as_object().is_some_and(|it| it.len() == 1)
                && changes["removed"] == serde_json::json!(["Kubernetes//Pod/default/gone"]),
            "{changes:#}"
        );

        // A certificate that openssl believes, for the pod of this node and for no other.
        let csr = Csr::make(machine, "peer", None)?;
        let path = csr.path.display().to_string();
        let one = door.lab.pod("one").identity();
        let chain = seat.xds(&xds, &token, &["-impersonate", &one, "ca", &path])?.ok()?;
        ensure!(subject_alternative_name(machine, &chain)? == format!("URI:{one}"));
        let roots = controller.root();
        let verify = ["openssl", "verify", "-purpose", "sslserver", "-CAfile"].map(std::ffi::OsString::from);
        let line = verify.into_iter().chain([roots.into(), "/dev/stdin".into()]);
        machine.command(line).stdin(chain.as_bytes()).output()?.ok()?;
        let two = door.lab.pod("two").identity();
        let refused = seat.xds(&xds, &token, &["-impersonate", &two, "ca", &path])?;
        ensure!(refused.errors().trim() == format!("Unauthenticated: {NOT_YOURS}"), "{refused:?}");
        let ordinary = seat.keep("ordinary", &controller.token("default", "one", Some("node1"))?)?;
        // It may be a moment until the new token is known.
        eventually("a refusal", PATIENCE, || {
            let refused = seat.xds(&xds, &ordinary, &["watch", ADDRESS_TYPE])?;
            let expected = "PermissionDenied: permission denied";
            ensure!(refused.errors().trim() == expected, "{refused:?}");
            Ok(())
        })?;
        Ok(())
    })
}
