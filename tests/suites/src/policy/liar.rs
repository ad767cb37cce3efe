//! An HBONE client with a good certificate that asks for what it likes.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail};
use http::StatusCode;
use lab::{Lab, Leaf, Machine};

use crate::hostile::{Answer, Client, Tunnel, frames};

/// Asks `peer` (port 15008), as `identity`, for `authority` with any headers, from `machine`, which must not be
/// captured.
///
/// # Errors
///
/// When there is no answer.
pub fn connect(
    lab: &Lab,
    machine: &Machine,
    identity: &str,
    peer: IpAddr,
    authority: &str,
    headers: &[(&str, String)],
) -> Result<StatusCode> {
    let client = Client::with(&lab.ca().issue(&Leaf::new(identity))?);
    let mut tunnel = Tunnel::open(client.connect(machine, (peer, 15008).into())?)?;
    let head = [(":method", "CONNECT"), (":authority", authority)];
    let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
    let block = frames::block(&head.into_iter().chain(headers).collect::<Vec<_>>());
    let stream = tunnel.request(&block)?;
    match tunnel
        .answer(stream)
        .with_context(|| authority.to_owned())?
    {
        Answer::Status(status, _) => Ok(StatusCode::from_u16(status)?),
        Answer::Reset(code) => bail!("CONNECT {authority}: reset with code {code}"),
    }
}
