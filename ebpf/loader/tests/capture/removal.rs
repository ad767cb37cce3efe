//! Pods that leave, and steps that fail: nothing stays.

use std::fs;

use anyhow::{Result, ensure};
use ebpf_loader::{Cookie, Error, PodSettings};
use lab::Pod;

use crate::ground::{Ground, curl, enrol, enrol_with, ground, netns, options, server};

/// What capture leaves in a pod: rules, routes, settings.
fn traces(pod: &Pod) -> Result<Vec<String>> {
    let mut traces = Vec::new();
    for line in [
        "ip -4 rule show",
        "ip -6 rule show",
        "ip -4 route show table all",
        "ip -6 route show table all",
    ] {
        let text = pod.exec(line.split(' '))?.ok()?;
        let ours = text
            .lines()
            .filter(|line| line.contains("lookup 4919") || line.contains("table 4919"));
        traces.extend(ours.map(str::to_owned));
    }
    for setting in [
        "ipv4/tcp_fwmark_accept",
        "ipv4/fwmark_reflect",
        "ipv6/fwmark_reflect",
    ] {
        let value = pod.run(|| fs::read_to_string(format!("/proc/sys/net/{setting}")))??;
        if value.trim() != "0" {
            traces.push(setting.to_owned());
        }
    }
    Ok(traces)
}

/// The folders of pods that are pinned.
fn pinned(ground: &Ground) -> Result<usize> {
    let mut count = 0;
    for generation in fs::read_dir(ground.pins())? {
        let pods = generation?.path().join("pods");
        if pods.exists() {
            count += fs::read_dir(pods)?.count();
        }
    }
    Ok(count)
}

#[test]
fn a_pod_that_leaves_is_as_it_was() -> Result<()> {
    let Some(ground) = ground("ebpf-leaves")? else {
        return Ok(());
    };
    let (pod, near, peer) = (
        ground.lab.pod("pod"),
        ground.lab.pod("near"),
        ground.lab.pod("peer"),
    );
    let _servers = (server(&pod, 8080)?, server(&peer, 8080)?);
    let capture = ground.capture()?;
    let (netns, other) = (netns(&pod)?, netns(&near)?);
    let enrolled = enrol(&capture, &netns, &PodSettings::default())?;
    let kept = enrol(&capture, &other, &PodSettings::default())?;
    ensure!(!enrolled.taken_over);
    assert_eq!(traces(&pod)?.len(), 7, "{:?}", traces(&pod)?);
    assert_eq!(pinned(&ground)?, 2);
    let (own, near_own) = (Cookie::of(&netns)?, Cookie::of(&other)?);
    let mut both = [own, near_own];
    both.sort_unstable();
    assert_eq!(capture.pods()?, both);

    capture.remove(&netns, own)?;
    drop(enrolled);
    assert_eq!(traces(&pod)?, Vec::<String>::new());
    assert_eq!(pinned(&ground)?, 1);
    assert_eq!(capture.pods()?, [near_own]);
    drop(kept);
    assert_eq!(
        curl(&pod, &format!("http://{}:8080/", peer.ip4()))?,
        pod.ip4().to_string()
    );
    assert_eq!(
        curl(&peer, &format!("http://[{}]:8080/", pod.ip6()))?,
        peer.ip6().to_string()
    );
    capture.remove(&netns, own)?;

    // What a dry run has left that was killed.
    fs::create_dir_all(ground.pins().join("trial-1/pods"))?;
    // The other goes without a word, as its namespace may.
    assert_eq!(capture.retain(&[])?, 0);
    assert_eq!(capture.pods()?, Vec::new());
    assert_eq!(pinned(&ground)?, 0);
    ensure!(!ground.pins().join("trial-1").exists());
    capture.destroy()?;
    ensure!(!ground.pins().exists());
    Ok(())
}

#[test]
fn settings_that_were_on_before_stay_on() -> Result<()> {
    let Some(ground) = ground("ebpf-setting")? else {
        return Ok(());
    };
    let pod = ground.lab.pod("pod");
    pod.sysctl(&[
        ("net.ipv4.tcp_fwmark_accept", "1"),
        ("net.ipv6.fwmark_reflect", "1"),
    ])?;
    let before = traces(&pod)?;
    assert_eq!(before.len(), 2);
    let netns = netns(&pod)?;
    drop(enrol(&ground.capture()?, &netns, &PodSettings::default())?);
    // A successor, which knows it from its predecessor.
    let capture = ground.capture()?;
    let again = enrol(&capture, &netns, &PodSettings::default())?;
    ensure!(again.taken_over);
    capture.remove(&netns, Cookie::of(&netns)?)?;
    assert_eq!(traces(&pod)?, before);
    Ok(())
}

#[test]
fn a_pod_that_cannot_be_captured_is_as_it_was() -> Result<()> {
    let Some(ground) = ground("ebpf-undo")? else {
        return Ok(());
    };
    let pod = ground.lab.pod("pod");
    let capture = ground.capture()?;
    let netns = netns(&pod)?;
    let untouched = |capture: &ebpf_loader::Capture| -> Result<()> {
        assert_eq!(traces(&pod)?, Vec::<String>::new());
        assert_eq!(capture.pods()?, Vec::new());
        Ok(())
    };

    let mut options = options()?;
    options.mark = ebpf_loader::capture::MARK;
    let refused = enrol_with(&capture, &netns, &PodSettings::default(), &options);
    ensure!(matches!(refused, Err(Error::Mark(0x1337))), "{refused:?}");
    options.mark = 0x539.try_into()?;

    // A folder that cannot be made: after the routing, before anything is captured.
    let generation = ground.generations()?.remove(0);
    let pods = generation.join("pods");
    std::os::unix::fs::symlink("nowhere", &pods)?;
    let refused = enrol_with(&capture, &netns, &PodSettings::default(), &options);
    ensure!(matches!(refused, Err(Error::Pin { .. })), "{refused:?}");
    fs::remove_file(&pods)?;
    untouched(&capture)?;

    pod.ip(&["link set lo down".to_owned()])?;
    let refused = enrol_with(&capture, &netns, &PodSettings::default(), &options);
    ensure!(refused.is_err());
    pod.ip(&["link set lo up".to_owned()])?;
    untouched(&capture)?;

    // And then it can.
    enrol(&capture, &netns, &PodSettings::default())?;
    Ok(())
}

#[test]
fn hooks_that_cannot_be_attached_leave_no_pins() -> Result<()> {
    let Some(ground) = ground("ebpf-nowhere")? else {
        return Ok(());
    };
    let mut settings = ground.settings();
    settings.cgroup = Some(std::env::temp_dir());
    let refused = ebpf_loader::Capture::open(&settings, None);
    ensure!(matches!(refused, Err(Error::Attach { .. })), "{refused:?}");
    let left = ground.generations()?;
    ensure!(left.is_empty(), "{left:?}");
    settings.cgroup = Some("/nowhere".into());
    let refused = ebpf_loader::Capture::open(&settings, None);
    ensure!(matches!(refused, Err(Error::Cgroup { .. })), "{refused:?}");
    Ok(())
}
