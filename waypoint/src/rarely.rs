//! What seldom happens, beside what happens all the time.
//!
//! In: a future that waits for a change of the process or of the mesh. Out: the same, which costs next to nothing while
//! nothing has changed. Never: changes when it is ready.
//!
//! A task that carries requests is woken for each of them. Whatever else it waits for would be asked each time, and each
//! answer takes a lock of what it waits for.

use futures_util::{StreamExt as _, stream::FuturesUnordered};

/// Polls `future` when it is woken, and not when its task is. Cancelling is dropping, as ever.
pub(crate) async fn rarely<F: Future>(future: F) -> F::Output {
    let mut only: FuturesUnordered<F> = std::iter::once(future).collect();
    match only.next().await {
        Some(output) => output,
        // It is not empty before it has said something.
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
