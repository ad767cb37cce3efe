//! Capturing pods, and letting them go.
//!
//! In: a namespace and what is wanted of it. Out: listeners; everything else stands in the kernel.
//! Never: undoes anything because this process ends: what is pinned then drops connections, until a successor has
//! put its listeners in.
//!
//! Order of an enrolment: listeners, routing, steering (what comes in), ranges, hooks (what goes out). Each step that
//! a later failure finds done is undone, unless the pod was captured before: then it stays so. Away in reverse.

use std::{
    fs::File,
    net::TcpListener,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ebpf_abi::{SteerConfig, steer::Listener};
use net::{Netns, socket::Options};

use crate::{
    Error, Home, home,
    hooks::{Exempt, Hooks},
    listeners, mounts, objects,
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
    /// The folder of the pins, of one proxy at a time (`PIN_PATH`).
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

/// A pod that is captured.
#[derive(Debug)]
pub struct Enrolled {
    /// The number of its namespace, for [`Capture::retain`].
    pub cookie: u64,
    /// Its listeners, non-blocking; those of IPv6 where it is captured. To close one is to drop what it would get.
    pub listeners: Vec<(Listener, TcpListener)>,
    /// Whether a predecessor had captured it, and this process has taken over.
    pub taken_over: bool,
}

/// Attached hooks, and the pods that they see.
#[derive(Debug)]
pub struct Capture {
    pins: Pins,
    mark: NonZeroU32,
    bpffs: mounts::Bpffs,
    /// Held for a whole enrolment or removal: the steps of two must not mix.
    hooks: Mutex<Hooks>,
}

impl Capture {
    /// Attaches the hooks, or takes over those that are pinned. Pods that a predecessor captured stay captured.
    /// `home` is exempt from here on, in these hooks and in those of other builds; it is none where this process is
    /// outside of the attach point. **Blocks** for some milliseconds.
    ///
    /// # Errors
    /// Names the step. What was made until then is gone again, or was there before.
    pub fn open(settings: &Settings, home: Option<&Home>) -> Result<Self, Error> {
        Self::open_build(settings, home, objects::build())
    }

    /// As [`Capture::open`], for pins of another build: to try how one follows another.
    #[doc(hidden)]
    pub fn open_build(settings: &Settings, home: Option<&Home>, build: u64) -> Result<Self, Error> {
        let bpffs = mounts::bpffs(&settings.pins)?;
        if let mounts::Bpffs::Mounted(point) = &bpffs {
            tracing::warn!(path = %point.display(), "mounted a bpffs; what is pinned ends with this mount");
        }
        let cgroup = mounts::attach_point(settings.cgroup.as_deref())?;
        let failed = |source| Error::Cgroup {
            path: cgroup.clone(),
            source,
        };
        let id = mounts::cgroup_id(&cgroup).map_err(failed)?;
        let file = File::open(&cgroup).map_err(failed)?;
        let pins = Pins::new(&settings.pins, build, id);
        let fresh = !pins.generation().exists();
        let opened = Self::attach(&pins, &cgroup, &file, home);
        if opened.is_err() && fresh {
            // The failure that is reported is the one that started this.
            drop(pins::remove(pins.generation()));
        }
        Ok(Self {
            hooks: Mutex::new(opened?),
            pins,
            mark: settings.mark,
            bpffs,
        })
    }

    fn attach(
        pins: &Pins,
        cgroup: &Path,
        file: &File,
        home: Option<&Home>,
    ) -> Result<Hooks, Error> {
        let home = home.map(Home::id);
        let mut proxies = Vec::from_iter(home);
        for other in pins.others()? {
            // One that was not finished has no exemptions, and no hooks either.
            let Ok(mut exempt) = Exempt::open(&pins::hooks(&other)) else {
                continue;
            };
            proxies.extend(exempt.list());
            if let Some(home) = home {
                exempt.add(home)?;
            }
        }
        let mut hooks = Hooks::open(&pins.hooks(), file)?;
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

    /// How the bpffs of the pins came to be there.
    #[must_use]
    pub fn bpffs(&self) -> &mounts::Bpffs {
        &self.bpffs
    }

    /// Captures a pod, takes it over from a predecessor, or changes what is captured of it. **Blocks** for some
    /// milliseconds.
    ///
    /// `options` are those of the listeners; what they accept has their mark.
    ///
    /// # Errors
    /// Names the step. A pod that was not captured is not captured then; one that was still is.
    pub fn enrol(
        &self,
        netns: &Netns,
        settings: &PodSettings,
        options: &Options,
    ) -> Result<Enrolled, Error> {
        if options.mark == self.mark {
            return Err(Error::Mark(self.mark.get()));
        }
        let mut hooks = self.hooks();
        let cookie = cookie(netns)?;
        let interfaces = routes::addresses(netns)?;
        let plan = Plan::new(cookie, &interfaces, self.mark, settings)?;
        let listeners = listeners::open(netns, plan.ipv6, options)?;
        let taken_over = self.pins.has_pod(cookie);
        if taken_over {
            self.change(&mut hooks, netns, &plan, &listeners)?;
        } else {
            self.begin(&mut hooks, netns, &plan, &listeners)?;
        }
        // Only now: until here others have kept it captured.
        self.pins.remove_others_pod(cookie)?;
        Ok(Enrolled {
            cookie,
            listeners,
            taken_over,
        })
    }

    fn begin(
        &self,
        hooks: &mut Hooks,
        netns: &Netns,
        plan: &Plan,
        listeners: &[(Listener, TcpListener)],
    ) -> Result<(), Error> {
        let accepted_marks = routes::accepts_marks(netns)?;
        let mut config = plan.steer;
        if accepted_marks {
            config.flags |= SteerConfig::ACCEPTED_MARKS;
        }
        let folder = self.pins.pod(plan.cookie);
        let steps = routes::apply(netns, &self.routes(plan))
            .and_then(|()| steer::attach(&folder, netns, config, listeners))
            .and_then(|()| hooks.enrol(plan));
        if steps.is_err() {
            // In reverse; the failure that is reported is the one that started this.
            drop(hooks.remove(plan.cookie));
            drop(pins::remove(&folder));
            drop(routes::remove(netns, accepted_marks));
        }
        steps
    }

    /// Nothing is undone on failure: the pod was captured and is, by what stands.
    fn change(
        &self,
        hooks: &mut Hooks,
        netns: &Netns,
        plan: &Plan,
        listeners: &[(Listener, TcpListener)],
    ) -> Result<(), Error> {
        let mut steer = Steer::open(&self.pins.pod(plan.cookie))?;
        let mut config = plan.steer;
        config.flags |= steer.config()?.flags & SteerConfig::ACCEPTED_MARKS;
        routes::apply(netns, &self.routes(plan))?;
        hooks.enrol(plan)?;
        // Last: until here whoever served the pod goes on serving it.
        steer.change(config, listeners)
    }

    fn routes(&self, plan: &Plan) -> Routes {
        Routes {
            mark: self.mark.get(),
            source_v4: plan.source_v4,
            v6: plan.ipv6.then_some(plan.source_v6),
        }
    }

    /// Lets a pod go. Its captured connections end, because nothing leads their packets to the proxy any more; close its
    /// listeners, which hold its namespace. Twice is once.
    ///
    /// # Errors
    /// The first step that failed; the others are done all the same.
    pub fn remove(&self, netns: &Netns) -> Result<(), Error> {
        let mut hooks = self.hooks();
        let cookie = cookie(netns)?;
        let config = if self.pins.has_pod(cookie) {
            Steer::open(&self.pins.pod(cookie)).and_then(|steer| steer.config().map(Some))
        } else {
            Ok(None)
        };
        let (read, accepted_marks) = match config {
            Ok(config) => (
                Ok(()),
                config.is_some_and(|it| it.flags & SteerConfig::ACCEPTED_MARKS != 0),
            ),
            Err(error) => (Err(error), false),
        };
        let hooks = hooks.remove(cookie);
        let pins = self.pins.remove_pod(cookie);
        let routes = routes::remove(netns, accepted_marks);
        hooks.and(pins).and(routes).and(read)
    }

    /// The pods that are captured, by predecessors too, as numbers of their namespaces.
    ///
    /// # Errors
    /// When the pins cannot be listed.
    pub fn pods(&self) -> Result<Vec<u64>, Error> {
        let hooks = self.hooks();
        let mut pods = self.pins.pods()?;
        pods.extend(hooks.pods());
        pods.sort_unstable();
        pods.dedup();
        Ok(pods)
    }

    /// Ends a take-over: pods that are not in `cookies` are let go, and what other builds left is removed. To be called
    /// once every pod that is wanted has been enrolled. The routing of a pod that is gone stays in its namespace; it leads
    /// nothing anywhere.
    ///
    /// # Errors
    /// The first removal that failed; the others are tried all the same.
    pub fn retain(&self, cookies: &[u64]) -> Result<(), Error> {
        let gone: Vec<_> = self
            .pods()?
            .into_iter()
            .filter(|cookie| !cookies.contains(cookie))
            .collect();
        let mut hooks = self.hooks();
        let mut first = Ok(());
        for cookie in gone {
            for step in [hooks.remove(cookie), self.pins.remove_pod(cookie)] {
                first = first.and(step);
            }
        }
        for other in self.pins.others()? {
            let removed = pins::remove(&other);
            first = first.and(removed);
        }
        let trials = self.pins.remove_trials();
        first.and(trials)
    }

    /// Removes everything that is pinned, of every build: nothing is captured any more. The routing of pods that were not
    /// removed stays in their namespaces.
    ///
    /// # Errors
    /// When a pin cannot be removed.
    pub fn destroy(self) -> Result<(), Error> {
        self.pins.remove_all()
    }

    fn hooks(&self) -> MutexGuard<'_, Hooks> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes what is pinned in `pins`, of every build: for a proxy that captures in another way after one that captured in
/// this. The routing of pods stays in their namespaces; it leads nothing anywhere.
///
/// # Errors
/// When a pin cannot be removed.
pub fn forget(pins: &Path) -> Result<(), Error> {
    if !mounts::is_bpffs(pins) {
        return Ok(());
    }
    Pins::new(pins, objects::build(), 0).remove_all()
}

fn cookie(netns: &Netns) -> Result<u64, Error> {
    netns.cookie().map_err(|source| Error::Netns {
        step: "read the cookie",
        source,
    })
}
