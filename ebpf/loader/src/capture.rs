//! Capturing pods, and letting them go.
//!
//! In: a namespace and what is wanted of it. Out: listeners; everything else stands in the kernel.
//! Never: undoes anything because this process ends: what is pinned then drops connections, until a successor has
//! put its listeners in; lets a pod go open because a step fails that follows another proxy's.
//!
//! Order of a first capture: routing, steering (what comes in), ranges, hooks (what goes out); only then listeners, so that
//! nothing an application holds stands in the way. A pod that another build has captured gets listeners with its
//! steering, and is taken from that build last. Away in reverse.

use std::{
    collections::BTreeSet,
    fs::File,
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    num::{NonZeroU16, NonZeroU32},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ebpf_abi::steer::Listener;
use net::{Netns, socket::Options};

pub use crate::release::{forget, uncapture};
use crate::{
    Cookie, Error, Home,
    claims::{self, Claim, Held},
    generation::Exempt,
    home,
    hooks::Hooks,
    listeners, mounts, objects,
    orphans::Orphans,
    pins::{self, Pins},
    plan::{Plan, PodSettings},
    routes::{self, Routes},
    steer::{self, Steer},
};

/// The mark of captured sockets, unless configured. Nobody outside of the pod sees it: a mark ends with the namespace.
pub const MARK: NonZeroU32 = match NonZeroU32::new(0x1337) {
    Some(mark) => mark,
    None => NonZeroU32::MIN,
};

/// Where things are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the hooks are attached; the root of the tree of cgroups if none (`CGROUP_PATH`).
    pub cgroup: Option<PathBuf>,
    /// The folder of the pins, of one proxy after another (`PIN_PATH`).
    pub pins: PathBuf,
    /// The mark of captured sockets; not `PACKET_MARK`.
    pub mark: NonZeroU32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cgroup: None,
            pins: "/sys/fs/bpf/ambit".into(),
            mark: MARK,
        }
    }
}

/// Who serves a pod from now on.
#[derive(Clone, Copy, Debug)]
pub struct Serving<'a> {
    /// Where DNS is answered on 127.0.0.1 and `::1` in the pod, by UDP and TCP: any port that was free. While there is
    /// none, and DNS is captured, queries are refused.
    pub port_dns: Option<NonZeroU16>,
    /// Options of the listeners. What comes from outside is answered with their mark, what the pod sends with its own.
    pub options: &'a Options,
    /// Places that this process serves already and goes on to serve.
    pub kept: &'a [Listener],
}

/// A pod that is captured and served.
#[derive(Debug)]
pub struct Enrolled {
    /// Its listeners, non-blocking, in place already: those of IPv6 where it is captured, and none of a place that is
    /// kept. To close one is to drop what it would get.
    pub listeners: Vec<(Listener, TcpListener)>,
    /// What captured sockets come from that have no address of their own.
    pub source_v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub source_v6: Option<Ipv6Addr>,
    /// Whether another process had captured it, and this one has taken over.
    pub taken_over: bool,
}

/// Attached hooks, and the pods that they see.
#[derive(Debug)]
pub struct Capture {
    pins: Pins,
    mark: NonZeroU32,
    claim: Claim,
    /// Held for a whole enrolment or removal: the steps of two must not mix.
    work: Mutex<Work>,
}

#[derive(Debug)]
struct Work {
    hooks: Hooks,
    /// The pods that this process has captured or taken over.
    ours: BTreeSet<Cookie>,
    /// Those that hooks see which are pinned elsewhere.
    orphans: Orphans,
}

impl Capture {
    /// Attaches the hooks, or takes over those that are pinned. Pods that a predecessor captured stay captured, and what
    /// that one does from here on is [`Error::Superseded`]. `home` is exempt from now on, in these hooks and in those of
    /// other builds; it is none where this process is outside of the attach point. **Blocks** for some milliseconds.
    ///
    /// # Errors
    /// Names the step. What was made until then is gone again, or was there before.
    pub fn open(settings: &Settings, home: Option<&Home>) -> Result<Self, Error> {
        Self::open_build(settings, home, objects::build())
    }

    /// As [`Capture::open`], for pins of another build: to try how one follows another.
    #[doc(hidden)]
    pub fn open_build(settings: &Settings, home: Option<&Home>, build: u64) -> Result<Self, Error> {
        mounts::bpffs(&settings.pins)?;
        let cgroup = mounts::attach_point(settings.cgroup.as_deref())?;
        let failed = |source| Error::Cgroup {
            path: cgroup.clone(),
            source,
        };
        let id = mounts::cgroup_id(&cgroup).map_err(failed)?;
        let file = File::open(&cgroup).map_err(failed)?;
        let pins = Pins::new(&settings.pins, build, id);
        pins::create(pins.root())?;
        let _turn = claims::turn(pins.root())?;
        let orphans = Orphans::find(pins.root())?;
        let claim = Claim::make(pins.root())?;
        let fresh = !pins.own().folder().exists();
        let opened = attach(&pins, &cgroup, file, home);
        if opened.is_err() && fresh {
            // The failure that is reported is the one that started this.
            drop(pins.own().remove());
        }
        Ok(Self {
            work: Mutex::new(Work {
                hooks: opened?,
                ours: BTreeSet::new(),
                orphans,
            }),
            pins,
            mark: settings.mark,
            claim,
        })
    }

    /// Captures a pod so that nobody gets anything of it: what it sends and what comes to it is dropped, its DNS refused. A
    /// pod that is captured already, by whichever build, is left as it is, served or not. **Blocks** for some
    /// milliseconds.
    ///
    /// Returns whether another process had captured it.
    ///
    /// # Errors
    /// Names the step. The pod is as it was.
    pub fn close(
        &self,
        netns: &Netns,
        cookie: Cookie,
        settings: &PodSettings,
    ) -> Result<bool, Error> {
        let mut work = self.work();
        let _turn = self.turn()?;
        if self.pins.captured(cookie)? {
            return Ok(!work.ours.contains(&cookie));
        }
        let plan = self.plan(netns, cookie, settings, None)?;
        self.stand(&mut work, netns, &plan, &[])?;
        Ok(false)
    }

    /// Captures a pod, takes it over from a predecessor, or changes what is captured of it, and serves it. **Blocks** for
    /// some milliseconds.
    ///
    /// # Errors
    /// Names the step. A pod that was captured still is, by whoever served it, if anybody did; one that was not may be
    /// closed now. Once more, or [`Capture::remove`].
    pub fn enrol(
        &self,
        netns: &Netns,
        cookie: Cookie,
        settings: &PodSettings,
        serving: &Serving<'_>,
    ) -> Result<Enrolled, Error> {
        if serving.options.mark == self.mark {
            return Err(Error::Mark(self.mark.get()));
        }
        let mut work = self.work();
        let _turn = self.turn()?;
        let captured = self.pins.captured(cookie)?;
        let taken_over = captured && !work.ours.contains(&cookie);
        if !captured {
            // Before anything is asked of the pod that may fail.
            let closed = self.plan(netns, cookie, settings, None)?;
            self.stand(&mut work, netns, &closed, &[])?;
        }
        let plan = self.plan(netns, cookie, settings, serving.port_dns)?;
        let Serving { kept, options, .. } = serving;
        let listeners = listeners::open(netns, plan.ipv6, kept, options, self.mark)?;
        self.stand(&mut work, netns, &plan, &listeners)?;
        pins::set_server(self.pins.root(), cookie, Some(self.claim.number()))?;
        // Only now: until here others have kept it captured.
        self.pins.remove_from_others(cookie)?;
        Ok(Enrolled {
            listeners,
            source_v4: plan.source_v4,
            source_v6: plan.source_v6,
            taken_over,
        })
    }

    fn plan(
        &self,
        netns: &Netns,
        cookie: Cookie,
        settings: &PodSettings,
        port_dns: Option<NonZeroU16>,
    ) -> Result<Plan, Error> {
        let interfaces = routes::addresses(netns)?;
        Plan::new(cookie, &interfaces, self.mark, settings, port_dns)
    }

    /// Makes what stands for a pod in this generation what it is to be, from whatever there is.
    fn stand(
        &self,
        work: &mut Work,
        netns: &Netns,
        plan: &Plan,
        listeners: &[(Listener, TcpListener)],
    ) -> Result<(), Error> {
        let cookie = plan.cookie;
        let known = self.pins.knows(cookie)?;
        if !known {
            work.orphans.refuse(self.pins.root(), cookie)?;
            routes::refuse_others(netns)?;
            pins::set_kept(self.pins.root(), cookie, &routes::settings(netns)?)?;
            routes::warn_of_forwarding(netns);
        }
        let made = self.write(&mut work.hooks, netns, plan, listeners);
        match made {
            Ok(()) => {
                work.ours.insert(cookie);
            }
            // Whoever has captured it lives on the same routing.
            Err(_) if known => {}
            Err(_) => {
                // In reverse; the failure that is reported is the one that started this.
                drop(work.hooks.remove(cookie));
                drop(pins::remove(&self.pins.own().pod(cookie)));
                drop(self.unroute(netns, cookie));
            }
        }
        made
    }

    fn write(
        &self,
        hooks: &mut Hooks,
        netns: &Netns,
        plan: &Plan,
        listeners: &[(Listener, TcpListener)],
    ) -> Result<(), Error> {
        let routes = Routes {
            mark: self.mark.get(),
            source_v4: plan.source_v4,
            v6: plan.ipv6.then_some(plan.source_v6),
        };
        routes::apply(netns, &routes)?;
        let folder = self.pins.own().pod(plan.cookie);
        if self.pins.own().steers(plan.cookie) {
            let mut steer = Steer::open(&folder)?;
            steer.change(plan)?;
            hooks.enrol(plan)?;
            // Last: until here whoever served the pod goes on serving it.
            return steer.serve(listeners);
        }
        steer::attach(&folder, netns, plan, listeners)?;
        hooks.enrol(plan)
    }

    fn unroute(&self, netns: &Netns, cookie: Cookie) -> Result<(), Error> {
        routes::remove(netns, &pins::kept(self.pins.root(), cookie)?)?;
        self.forget(cookie)
    }

    /// What is noted about a pod that is let go.
    fn forget(&self, cookie: Cookie) -> Result<(), Error> {
        let root = self.pins.root();
        pins::set_server(root, cookie, None).and(pins::set_kept(root, cookie, &[]))
    }

    /// Whether a pod is captured whose last server was another proxy, which lives no more: it is closed until somebody
    /// enrols it. A predecessor may, where a successor has come and died: this process is superseded only by one that
    /// lives.
    ///
    /// # Errors
    /// When the pins cannot be read.
    pub fn is_orphaned(&self, cookie: Cookie) -> Result<bool, Error> {
        if !self.pins.captured(cookie)? {
            return Ok(false);
        }
        match pins::server(self.pins.root(), cookie) {
            Some(server) => Ok(!self.claim.lives(server)?),
            None => Ok(true),
        }
    }

    /// Lets a pod go, whichever build has captured it. Its captured connections end, because nothing leads their packets to
    /// the proxy any more; close its listeners, which hold its namespace. Twice is once.
    ///
    /// # Errors
    /// The first step that failed; the others are done all the same.
    pub fn remove(&self, netns: &Netns, cookie: Cookie) -> Result<(), Error> {
        let mut work = self.work();
        let _turn = self.turn()?;
        let known = self.pins.knows(cookie)?;
        work.ours.remove(&cookie);
        let hooks = work.hooks.remove(cookie);
        let others = self.pins.remove_from_others(cookie);
        let own = self.pins.own().remove_pod(cookie);
        let routes = if known {
            self.unroute(netns, cookie)
        } else {
            Ok(())
        };
        hooks.and(others).and(own).and(routes)
    }

    /// The pods that are captured, by predecessors too.
    ///
    /// # Errors
    /// When the pins cannot be listed.
    pub fn pods(&self) -> Result<Vec<Cookie>, Error> {
        let _work = self.work();
        Ok(self.pins.own().pods()?.into_iter().collect())
    }

    /// Ends a take-over: pods that are not `wanted` are let go, and what other builds have left of those that are enrolled
    /// here. What another build holds of a pod that is wanted and not enrolled yet stays: it keeps that pod closed. The
    /// routing of a pod that is let go stays in its namespace; it leads nothing anywhere.
    ///
    /// Returns how many pods only others hold; until there are none, to be called again once one of them has been enrolled
    /// or removed.
    ///
    /// # Errors
    /// The first removal that failed; the others are tried all the same.
    pub fn retain(&self, wanted: &[Cookie]) -> Result<usize, Error> {
        let wanted: BTreeSet<_> = wanted.iter().copied().collect();
        let mut work = self.work();
        let _turn = self.turn()?;
        let own = self.pins.own();
        let mut first = Ok(());
        for cookie in own.pods()?.difference(&wanted) {
            work.ours.remove(cookie);
            first = first
                .and(work.hooks.remove(*cookie))
                .and(own.remove_pod(*cookie))
                .and(self.forget(*cookie));
        }
        let mut waiting = BTreeSet::new();
        for other in self.pins.others()? {
            let kept: BTreeSet<_> = other
                .pods()?
                .into_iter()
                .filter(|cookie| wanted.contains(cookie) && !own.captured(*cookie))
                .collect();
            first = first.and(release(&other, &kept));
            waiting.extend(kept);
        }
        first.and(self.pins.remove_trials())?;
        Ok(waiting.len())
    }

    /// Removes everything that is pinned, of every build: nothing is captured any more. The routing of pods that were not
    /// removed stays in their namespaces.
    ///
    /// # Errors
    /// When a pin cannot be removed.
    pub fn destroy(self) -> Result<(), Error> {
        let root = self.pins.root().to_owned();
        {
            let _turn = self.turn()?;
            pins::remove_all(&root)?;
        }
        drop(self);
        pins::remove_root(&root)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> Result<Held, Error> {
        let turn = claims::turn(self.pins.root())?;
        if self.claim.is_superseded()? {
            return Err(Error::Superseded(self.pins.root().to_owned()));
        }
        Ok(turn)
    }
}

/// Removes from a generation every pod but those that are kept, and all of it where there is none.
pub(crate) fn release(
    generation: &crate::generation::Generation,
    kept: &BTreeSet<Cookie>,
) -> Result<(), Error> {
    if kept.is_empty() {
        return generation.remove();
    }
    generation
        .pods()?
        .difference(kept)
        .map(|cookie| generation.remove_pod(*cookie))
        .fold(Ok(()), Result::and)
}

fn attach(pins: &Pins, cgroup: &Path, file: File, home: Option<&Home>) -> Result<Hooks, Error> {
    let home = home.map(Home::id);
    let mut proxies = Vec::from_iter(home);
    for other in pins.others()? {
        // One that was not finished has no exemptions, and no hooks either.
        let Ok(mut exempt) = Exempt::open(&other.hooks()) else {
            continue;
        };
        proxies.extend(exempt.list());
        if let Some(home) = home {
            exempt.add(home)?;
        }
    }
    let mut hooks = Hooks::open(pins.own().hooks(), file)?;
    let known = hooks.exempt().list();
    proxies.extend(&known);
    // A number is never given to another cgroup: what stays too long is no hole.
    let alive = home::populated(cgroup, &proxies).unwrap_or_else(|| proxies.clone());
    for proxy in known.iter().filter(|proxy| !alive.contains(proxy)) {
        hooks.exempt().remove(*proxy)?;
    }
    for proxy in alive.into_iter().chain(home) {
        hooks.exempt().add(proxy)?;
    }
    Ok(hooks)
}
