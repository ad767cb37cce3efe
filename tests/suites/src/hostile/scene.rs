//! The place of the hostile suites: a meshed client and server whose traffic must go on, and an attacker beside them.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use lab::programs::{self, Nginx};
use lab::{Capture, Issued, Lab, Leaf, PodSpec, ServiceSpec, Start, Ztunnel};
use serde_json::json;

use super::frames::code;
use super::tls::Client;
use super::tunnel::{End, Tunnel};
use super::watch::{Load, Witness};
use super::{DEADLINE, tls::Tls};

/// Where nginx listens in the pods `web` and `other`.
pub const PORT: u16 = 8080;

/// What a ztunnel may hold more under attack than before. Units: bytes.
pub const MAX_GROWTH_BYTES: u64 = 64 << 20;

/// `client` on node 0, `web` and `other` on node 1, `attacker` on node 0 outside the mesh; `denied` is the service
/// account that a policy keeps out of `web`.
#[derive(Debug)]
pub struct Scene {
    /// Requests from `client` to `web`, through both ztunnels.
    pub load: Load,
    /// The ztunnel of `client`.
    pub near: Ztunnel,
    /// The ztunnel of `web`: the one that is attacked.
    pub far: Ztunnel,
    /// Kept running.
    pub nginx: Nginx,
    /// The ground.
    pub lab: Lab,
}

impl Scene {
    /// Builds it, its pods captured in this way, and begins the load; `None` where labs are not possible.
    ///
    /// # Errors
    /// When something does not start.
    pub fn captured(capture: Capture, name: &str, start: &Start) -> Result<Option<Self>> {
        if !lab::possible() {
            return Ok(None);
        }
        let lab = Lab::builder(name)
            .pod(PodSpec::new("client"))
            .pod(PodSpec::new("attacker").not_enrolled())
            .pod(PodSpec::new("web").node(1))
            .pod(PodSpec::new("other").node(1))
            .service(ServiceSpec::new("web").port(80, PORT).backend("web"))
            .policy(json!({
                "name": "keep-out", "namespace": "default", "scope": "Namespace", "action": "Deny",
                "rules": [[[{"principals": [{"exact": "cluster.local/ns/default/sa/denied"}]}]]],
            }))
            .capture(capture)
            .build()?;
        let (client, web) = (lab.pod("client"), lab.pod("web"));
        let nginx = programs::nginx(&web, PORT)?;
        let [near, far] = lab.start_ztunnels(start)?;
        let load = Load::start(&client, SocketAddr::new(web.ip4().into(), PORT))?;
        Ok(Some(Self {
            load,
            near,
            far,
            nginx,
            lab,
        }))
    }

    /// Where the attacked tunnel port is.
    pub fn hbone(&self) -> SocketAddr {
        SocketAddr::new(self.lab.pod("web").ip4().into(), 15008)
    }

    /// What the attacker may ask for: nginx of `web`.
    pub fn authority(&self) -> String {
        SocketAddr::new(self.lab.pod("web").ip4().into(), PORT).to_string()
    }

    /// The address of a pod, as text.
    pub fn ip(&self, pod: &str) -> IpAddr {
        self.lab.pod(pod).ip4().into()
    }

    /// A valid certificate of a service account in namespace `default`.
    ///
    /// # Errors
    /// When it cannot be issued.
    pub fn certificate(&self, account: &str) -> Result<Issued> {
        let uri = format!("spiffe://cluster.local/ns/default/sa/{account}");
        self.lab.ca().issue(&Leaf::new(uri))
    }

    /// A handshake of the attacker with a valid certificate.
    ///
    /// # Errors
    /// When it fails.
    pub fn handshake(&self) -> Result<Tls> {
        Client::with(&self.certificate("attacker")?)
            .connect(&self.lab.pod("attacker"), self.hbone())
    }

    /// A tunnel of the attacker with a valid certificate.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn tunnel(&self) -> Result<Tunnel> {
        Tunnel::open(self.handshake()?)
    }

    /// A tunnel as another service account.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn tunnel_as(&self, account: &str) -> Result<Tunnel> {
        let client = Client::with(&self.certificate(account)?);
        Tunnel::open(client.connect(&self.lab.pod("attacker"), self.hbone())?)
    }

    /// Sends `bytes` through a fresh tunnel, and expects that the server ends it with this code in its GOAWAY and
    /// says why in its log.
    ///
    /// # Errors
    /// When the tunnel lives on, ends otherwise, or the log is silent.
    pub fn kills(&self, what: &str, bytes: &[u8], code: u32) -> Result<()> {
        let mut tunnel = self.tunnel()?;
        tunnel.settle()?;
        let address = tunnel.local_addr()?;
        let end = tunnel
            .send(bytes)
            .and_then(|()| tunnel.end())
            .with_context(|| what.to_owned())?;
        let codes = [code, code::PROTOCOL_ERROR];
        let said = end.code.is_some_and(|code| codes.contains(&code));
        ensure!(said, "{what}: {end:?}, expected code {code}");
        self.told(what, address, "tunnel failed")
    }

    /// Waits for the line about a connection from `address` in the log of the attacked ztunnel.
    ///
    /// # Errors
    /// When there is none.
    pub fn told(&self, what: &str, address: SocketAddr, text: &str) -> Result<()> {
        self.far
            .wait_log(&[&address.to_string(), text], DEADLINE)
            .map(drop)
            .with_context(|| format!("{what}: expected a line with {text:?}"))
    }

    /// How a tunnel ended that should not have been made.
    ///
    /// # Errors
    /// When it lives on.
    pub fn ends(&self, tls: Tls, bytes: &[u8]) -> Result<End> {
        let mut tunnel = Tunnel::silent(tls);
        // It may have been ended already.
        drop(tunnel.send(bytes));
        tunnel.end()
    }

    /// That both ztunnels are unharmed, and the load with them.
    ///
    /// # Errors
    /// When not so.
    pub fn unharmed(&self, witnesses: &[Witness<'_>; 2]) -> Result<()> {
        self.load.goes_on()?;
        for witness in witnesses {
            witness.unharmed()?;
            witness.bounded(MAX_GROWTH_BYTES)?;
        }
        Ok(())
    }

    /// Witnesses of both ztunnels.
    ///
    /// # Errors
    /// When one has ended.
    pub fn witnesses(&self) -> Result<[Witness<'_>; 2]> {
        Ok([Witness::of(&self.near)?, Witness::of(&self.far)?])
    }

    /// Runs a body between two looks at the others; its error brings the ends of the logs.
    ///
    /// # Errors
    /// The body's, or that somebody was harmed.
    pub fn play(self, body: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        self.lab.scenario(|| {
            let witnesses = self.witnesses()?;
            body(&self)?;
            self.unharmed(&witnesses)
        })?;
        self.load.stop()?;
        Ok(())
    }
}
