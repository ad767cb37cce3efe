//! Peers that do what they should not, made by hand, and the witnesses that nobody else is harmed.
//!
//! In: a lab. Out: TLS clients and servers with any certificate, HTTP/2 frames that are right or wrong, a load that
//! goes on in the background, and the answer whether a ztunnel is still the one that was started.
//! Never: uses the HTTP/2 crate that it tries: what is judged must not be its own judge.
//!
//! Reading order: [`tls`] (who shows what), [`frames`] (bytes), [`tunnel`] (a client of 15008), [`impostor`] (a
//! server on 15008), [`watch`] (the others), [`scene`] (the place).

pub mod frames;
pub mod impostor;
pub mod scene;
pub mod tls;
pub mod tunnel;
pub mod watch;

use std::time::Duration;

pub use frames::Frame;
pub use impostor::Impostor;
pub use scene::Scene;
pub use tls::Client;
pub use tunnel::{Answer, End, Tunnel};
pub use watch::{Load, Witness, told_anew};

/// How long anything may take that usually takes milliseconds: the machine is shared.
pub const DEADLINE: Duration = Duration::from_secs(20);
