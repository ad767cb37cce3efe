//! Places for TLS handshakes, of which no client has more than its part.
//!
//! In: the address of a client. Out: a place, once there is one. Never: knows of an address that waits for nothing.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// TLS handshakes at once. Each holds up to 64 KiB for whom nobody knows yet; those beyond wait, as long as a handshake
/// may take, with nothing but their socket.
const MAX_HANDSHAKES: usize = 1024;
/// The same of one address. Reason: an address is one workload's, whose ztunnel has a few tunnels to us; one that begins
/// handshakes and does not end them must not keep others out.
const MAX_HANDSHAKES_PER_ADDRESS: usize = 32;

/// All places.
#[derive(Debug)]
pub(super) struct Handshakes {
    all: Semaphore,
    /// **Shape:** as many as there are addresses with a handshake, or one that waits; bounded by open sockets.
    by_address: Mutex<HashMap<IpAddr, Part>>,
}

#[derive(Debug)]
struct Part {
    places: Arc<Semaphore>,
    /// Who has a place of it, or waits for one.
    users: usize,
}

/// The place of one handshake. **Shape:** dropped in this order.
#[derive(Debug)]
pub(super) struct Place<'h> {
    _of_all: SemaphorePermit<'h>,
    _of_address: OwnedSemaphorePermit,
    _user: User<'h>,
}

#[derive(Debug)]
struct User<'h> {
    handshakes: &'h Handshakes,
    address: IpAddr,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self {
            all: Semaphore::new(MAX_HANDSHAKES),
            by_address: Mutex::default(),
        }
    }
}

impl Handshakes {
    /// Waits for a place. First for one of the address, so that who waits for that takes nobody else's.
    ///
    /// # Errors
    /// Never: places are not closed.
    pub(super) async fn place(&self, address: IpAddr) -> Result<Place<'_>, AcquireError> {
        let (user, places) = self.enter(address.to_canonical());
        let of_address = places.acquire_owned().await?;
        Ok(Place {
            _of_all: self.all.acquire().await?,
            _of_address: of_address,
            _user: user,
        })
    }

    fn enter(&self, address: IpAddr) -> (User<'_>, Arc<Semaphore>) {
        let mut parts = self.by_address.lock();
        let part = parts.entry(address).or_insert_with(|| Part {
            places: Arc::new(Semaphore::new(MAX_HANDSHAKES_PER_ADDRESS)),
            users: 0,
        });
        part.users += 1;
        let user = User {
            handshakes: self,
            address,
        };
        (user, Arc::clone(&part.places))
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        let mut parts = self.handshakes.by_address.lock();
        if let Some(part) = parts.get_mut(&self.address) {
            part.users -= 1;
            if part.users == 0 {
                parts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests;
