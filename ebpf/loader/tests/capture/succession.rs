//! Proxies of one folder of pins, of the same build or another: who may do what, and what stays closed meanwhile.

use anyhow::{Result, ensure};
use ebpf_loader::{Capture, Cookie, Error, PodSettings, Serving, forget, uncapture};
use lab::Pod;
use net::Netns;

use crate::ground::{
    Ground, PATIENCE, curl, curl_fails, enrol, ground, netns, options, python, server,
};

/// Two pods that the first build has captured, and that nobody serves.
struct Scene {
    ground: Ground,
    pods: [(std::sync::Arc<Pod>, Netns, Cookie); 2],
    _servers: Vec<lab::Process>,
}

fn scene(name: &str) -> Result<Option<Scene>> {
    let Some(ground) = ground(name)? else {
        return Ok(None);
    };
    let mut pods = Vec::new();
    let mut servers = vec![server(&ground.lab.pod("peer"), 8080)?];
    for name in ["pod", "near"] {
        let pod = ground.lab.pod(name);
        servers.push(server(&pod, 8080)?);
        let netns = netns(&pod)?;
        let cookie = Cookie::of(&netns)?;
        pods.push((pod, netns, cookie));
    }
    let first = ground.capture()?;
    for (_, netns, _) in &pods {
        enrol(&first, netns, &PodSettings::default())?;
    }
    let pods = pods.try_into().map_err(|_| anyhow::anyhow!("two pods"))?;
    Ok(Some(Scene {
        ground,
        pods,
        _servers: servers,
    }))
}

impl Scene {
    fn second(&self) -> Result<Capture> {
        Ok(Capture::open_build(&self.ground.settings(), None, 7)?)
    }

    /// Whether nothing goes out of a pod and nothing comes in, in either family.
    fn is_closed(&self, pod: &Pod) -> Result<bool> {
        let peer = self.ground.lab.pod("peer");
        for (from, to) in [(pod, &*peer), (&*peer, pod)] {
            for host in crate::ground::hosts(to) {
                if !curl_fails(from, &format!("http://{host}:8080/"))? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn is_open(&self, pod: &Pod) -> Result<bool> {
        let peer = self.ground.lab.pod("peer");
        let out = curl(pod, &format!("http://{}:8080/", peer.ip4()))?;
        let back = curl(&peer, &format!("http://{}:8080/", pod.ip4()))?;
        Ok(out == pod.ip4().to_string() && back == peer.ip4().to_string())
    }

    /// Whatever the second build does for pods fails after their routing was written; returns what stands in its way.
    fn in_the_way(&self) -> Result<std::path::PathBuf> {
        let mut generations = self.ground.generations()?;
        generations.retain(|it| it.to_string_lossy().contains("/0000000000000007-"));
        let place = generations.remove(0).join("pods");
        std::os::unix::fs::symlink("nowhere", &place)?;
        Ok(place)
    }
}

#[test]
fn a_pod_that_another_build_cannot_take_over_stays_closed() -> Result<()> {
    let Some(scene) = scene("ebpf-fails")? else {
        return Ok(());
    };
    let [(pod, netns, cookie), (near, near_netns, near_cookie)] = &scene.pods;
    let both = [*cookie, *near_cookie];
    ensure!(scene.is_closed(pod)? && scene.is_closed(near)?);
    let second = scene.second()?;
    let place = scene.in_the_way()?;
    let refused = enrol(&second, netns, &PodSettings::default());
    ensure!(refused.is_err());
    ensure!(scene.is_closed(pod)?, "after a failed take-over");
    ensure!(second.close(netns, *cookie, &PodSettings::default())?);
    std::fs::remove_file(place)?;
    let _served = enrol(&second, near_netns, &PodSettings::default())?;
    assert_eq!(second.retain(&both)?, 1);
    ensure!(scene.is_closed(pod)?, "after the end of the take-over");
    assert_eq!(scene.ground.generations()?.len(), 2);

    let enrolled = enrol(&second, netns, &PodSettings::default())?;
    ensure!(enrolled.taken_over);
    assert_eq!(second.retain(&both)?, 0);
    assert_eq!(scene.ground.generations()?.len(), 1);
    drop(enrolled);
    ensure!(scene.is_closed(pod)?, "without listeners");

    // Unwanted pods go, of whichever build.
    assert_eq!(second.retain(&[*near_cookie])?, 0);
    ensure!(scene.is_open(pod)?);
    Ok(())
}

#[test]
fn a_pod_that_only_another_build_holds_can_be_removed() -> Result<()> {
    let Some(scene) = scene("ebpf-removes")? else {
        return Ok(());
    };
    let [(pod, netns, cookie), (near, _, near_cookie)] = &scene.pods;
    let second = scene.second()?;
    second.remove(netns, *cookie)?;
    ensure!(scene.is_open(pod)?);
    assert_eq!(second.retain(&[*near_cookie])?, 1);
    ensure!(scene.is_closed(near)?);
    assert_eq!(second.retain(&[])?, 0);
    ensure!(scene.is_open(near)?);
    Ok(())
}

#[test]
fn who_captures_in_another_way_forgets_pod_by_pod() -> Result<()> {
    let Some(scene) = scene("ebpf-forgets")? else {
        return Ok(());
    };
    let [(pod, _, cookie), (near, ..)] = &scene.pods;
    let pins = scene.ground.pins();
    assert_eq!(forget(&pins, &[*cookie])?, 1);
    ensure!(scene.is_closed(pod)? && scene.is_open(near)?);
    assert_eq!(forget(&pins, &[])?, 0);
    ensure!(scene.is_open(pod)?);
    ensure!(!pins.exists());
    assert_eq!(forget(&pins, &[])?, 0);
    Ok(())
}

#[test]
fn a_predecessor_changes_nothing_while_its_successor_lives() -> Result<()> {
    let Some(scene) = scene("ebpf-superseded")? else {
        return Ok(());
    };
    let [(_, netns, cookie), _] = &scene.pods;
    let settings = PodSettings::default();
    let first = scene.ground.capture()?;
    let served = enrol(&first, netns, &settings)?;
    ensure!(!first.is_orphaned(*cookie)?);
    let second = scene.ground.capture()?;
    // Until the pod is taken over as well.
    ensure!(!second.is_orphaned(*cookie)?);
    let options = options()?;
    let serving = Serving {
        port_dns: None,
        options: &options,
        kept: &[],
    };
    let superseded = |result: Result<(), Error>| matches!(result, Err(Error::Superseded(_)));
    ensure!(superseded(
        first.enrol(netns, *cookie, &settings, &serving).map(drop)
    ));
    ensure!(superseded(first.remove(netns, *cookie)));
    ensure!(superseded(first.retain(&[]).map(drop)));
    ensure!(matches!(
        uncapture(&scene.ground.pins()),
        Err(Error::Busy(_))
    ));
    let taken = enrol(&second, netns, &settings)?;
    ensure!(taken.taken_over && !first.is_orphaned(*cookie)?);
    drop((second, taken));
    // It has died: its predecessor takes the pod back.
    ensure!(first.is_orphaned(*cookie)?);
    let again = enrol(&first, netns, &settings)?;
    ensure!(!first.is_orphaned(*cookie)?);
    drop((served, again));
    Ok(())
}

#[test]
fn uncapture_opens_every_pod_and_leaves_nothing() -> Result<()> {
    let Some(scene) = scene("ebpf-uncapture")? else {
        return Ok(());
    };
    let [(pod, ..), (near, ..)] = &scene.pods;
    pod.sysctl(&[("net.ipv4.tcp_fwmark_accept", "1")])?;
    let way_out = scene.ground.spawn(&[], &["--uncapture"])?;
    ensure!(way_out.wait(PATIENCE)?.success(), "{}", way_out.log());
    ensure!(
        way_out.log().contains("pods: 2, cleaned: 2"),
        "{}",
        way_out.log()
    );
    ensure!(!scene.ground.pins().exists());
    for pod in [pod, near] {
        ensure!(scene.is_open(pod)?);
        for family in ["-4", "-6"] {
            let rules = pod.exec(["ip", family, "rule", "show"])?.ok()?;
            ensure!(!rules.contains("4919"), "{rules}");
        }
    }
    Ok(())
}

#[test]
fn pods_of_hooks_that_are_pinned_elsewhere_are_refused_and_others_are_not() -> Result<()> {
    let Some(scene) = scene("ebpf-orphans")? else {
        return Ok(());
    };
    let mut settings = scene.ground.settings();
    settings.pins = scene.ground.pins().with_file_name("elsewhere");
    let [(_, netns, cookie), _] = &scene.pods;
    let elsewhere = Capture::open(&settings, None)?;
    let options = options()?;
    let serving = Serving {
        port_dns: None,
        options: &options,
        kept: &[],
    };
    let how = PodSettings::default();
    let refused = elsewhere.enrol(netns, *cookie, &how, &serving);
    ensure!(matches!(refused, Err(Error::Orphan { .. })), "{refused:?}");
    let refused = elsewhere.close(netns, *cookie, &how);
    ensure!(matches!(refused, Err(Error::Orphan { .. })), "{refused:?}");
    // Another node of this machine.
    let peer = self::netns(&scene.ground.lab.pod("peer"))?;
    let _served = enrol(&elsewhere, &peer, &how)?;
    forget(&scene.ground.pins(), &[])?;
    enrol(&elsewhere, netns, &how)?;
    Ok(())
}

#[test]
fn a_table_of_somebody_else_is_left_alone() -> Result<()> {
    let Some(ground) = ground("ebpf-table")? else {
        return Ok(());
    };
    let pod = ground.lab.pod("pod");
    let netns = netns(&pod)?;
    let capture = ground.capture()?;
    for route in ["192.0.2.0/24 dev eth0", "default dev eth0"] {
        pod.ip(&[format!("route add {route} table 4919")])?;
        let refused = enrol(&capture, &netns, &PodSettings::default());
        ensure!(
            refused.is_err_and(|error| error.to_string().contains("1 routes of others")),
            "{route}"
        );
        pod.ip(&[format!("route del {route} table 4919")])?;
    }
    // In another table they count for nothing.
    pod.ip(&["route add 192.0.2.0/24 dev eth0 table 101".to_owned()])?;
    enrol(&capture, &netns, &PodSettings::default())?;
    Ok(())
}

/// Takes every free port of loopback.
const GREEDY: &str = r#"
import socket, time
held = []
for family, host in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]:
    for port in range(1024, 1400):
        s = socket.socket(family, socket.SOCK_STREAM)
        try:
            s.bind((host, port))
            s.listen(1)
            held.append(s)
        except OSError: s.close()
print("holds", flush=True)
time.sleep(60)
"#;

#[test]
fn an_application_that_leaves_the_proxy_no_port_is_closed_and_not_open() -> Result<()> {
    let Some(ground) = ground("ebpf-greedy")? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let _servers = (server(&pod, 8080)?, server(&peer, 8080)?);
    pod.sysctl(&[("net.ipv4.ip_local_port_range", "1024 1399")])?;
    let greedy = pod.spawn(["python3", "-c", GREEDY])?;
    greedy.wait_log("holds", PATIENCE)?;
    let capture = ground.capture()?;
    let netns = netns(&pod)?;
    let refused = enrol(&capture, &netns, &PodSettings::default());
    let error = refused.err().map(|error| format!("{error:#}"));
    ensure!(
        error
            .as_ref()
            .is_some_and(|it| it.contains("cannot listen on")),
        "{error:?}"
    );
    ensure!(curl_fails(&peer, &format!("http://{}:8080/", pod.ip4()))?);
    greedy.kill()?;
    ensure!(curl_fails(&pod, &format!("http://{}:8080/", peer.ip4()))?);
    let python_works = python(&pod, "print(1)", &[])?;
    assert_eq!(python_works, "1");
    enrol(&capture, &netns, &PodSettings::default())?;
    Ok(())
}

#[test]
fn the_tunnels_port_is_nobodys_while_no_proxy_runs() -> Result<()> {
    let Some(ground) = ground("ebpf-tunnels")? else {
        return Ok(());
    };
    let (pod, peer) = (ground.lab.pod("pod"), ground.lab.pod("peer"));
    let _server = server(&pod, 15008)?;
    let netns = netns(&pod)?;
    let capture = ground.capture()?;
    ensure!(!capture.close(&netns, Cookie::of(&netns)?, &PodSettings::default())?);
    for host in crate::ground::hosts(&pod) {
        ensure!(curl_fails(&peer, &format!("http://{host}:15008/"))?);
    }
    Ok(())
}

#[test]
fn listeners_that_are_kept_stay_where_they_are() -> Result<()> {
    let Some(ground) = ground("ebpf-kept")? else {
        return Ok(());
    };
    let pod = ground.lab.pod("pod");
    let (netns, options) = (netns(&pod)?, options()?);
    let capture = ground.capture()?;
    let first = enrol(&capture, &netns, &PodSettings::default())?;
    assert_eq!(first.source_v4, Some(pod.ip4()));
    assert_eq!(first.source_v6, Some(pod.ip6()));
    let kept: Vec<_> = first.listeners.iter().map(|(place, _)| *place).collect();
    let client = pod.spawn(["curl", "-sS", "--max-time", "10", "http://203.0.113.9/"])?;
    let serving = Serving {
        port_dns: None,
        options: &options,
        kept: &kept,
    };
    let again = capture.enrol(
        &netns,
        Cookie::of(&netns)?,
        &PodSettings::default(),
        &serving,
    )?;
    ensure!(again.listeners.is_empty());
    // What comes after the change still comes to the first.
    let (_, out) = first
        .listeners
        .iter()
        .find(|(place, _)| *place == ebpf_loader::Listener::OutV4)
        .expect("one");
    out.set_nonblocking(false)?;
    let (accepted, _) = out.accept()?;
    assert_eq!(accepted.local_addr()?.to_string(), "203.0.113.9:80");
    client.kill()?;
    Ok(())
}
