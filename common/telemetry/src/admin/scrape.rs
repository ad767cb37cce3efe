//! The metrics endpoint.

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use tokio::{net::TcpListener, sync::Mutex, task};

use super::server::{Answer, Handler, not_found, of_type, reads, serve, text, wrong_method};
use crate::{metrics::Exposition, recorder::Telemetry};

/// How long a rendering is given to others who ask. With the bound on a connection's life it also bounds how
/// many renderings can be in memory, however many clients read them slowly.
const FRESH: Duration = Duration::from_secs(1);

#[derive(Clone)]
struct Scrape {
    telemetry: Telemetry,
    latest: Arc<[Mutex<Option<Rendering>>; 2]>,
}

struct Rendering {
    at: Instant,
    text: Bytes,
}

impl Scrape {
    async fn render(&self, exposition: Exposition) -> Answer {
        let latest = match exposition {
            Exposition::OpenMetrics => &self.latest[0],
            Exposition::Text => &self.latest[1],
        };
        // Held while rendering: one at a time, and those who wait share it.
        let mut latest = latest.lock().await;
        let now = net::clock::now();
        let text = match latest.as_ref() {
            Some(fresh) if now.saturating_duration_since(fresh.at) < FRESH => fresh.text.clone(),
            Some(_) | None => {
                // The control runtime has one thread, and a large mesh takes a while to write down.
                let telemetry = self.telemetry.clone();
                let rendered =
                    task::spawn_blocking(move || Bytes::from(telemetry.expose(exposition, now)));
                let Ok(rendered) = rendered.await else {
                    return text(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "metrics could not be written\n",
                    );
                };
                *latest = Some(Rendering {
                    at: now,
                    text: rendered.clone(),
                });
                rendered
            }
        };
        of_type(StatusCode::OK, exposition.content_type(), text)
    }
}

impl Handler for Scrape {
    async fn answer(&self, request: Request<()>) -> Answer {
        match request.uri().path() {
            "/metrics" | "/stats/prometheus" if reads(request.method()) => {
                self.render(asked_for(request.headers())).await
            }
            "/metrics" | "/stats/prometheus" => wrong_method("GET"),
            _ => not_found(),
        }
    }
}

fn asked_for(headers: &HeaderMap) -> Exposition {
    let ranges: Vec<&str> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    Exposition::negotiate(&ranges.join(","))
}

/// Serves `/metrics` and `/stats/prometheus` until it is dropped.
pub async fn serve_metrics(listener: TcpListener, telemetry: Telemetry) -> Infallible {
    let latest = Arc::new([const { Mutex::const_new(None) }; 2]);
    serve(listener, "metrics", Scrape { telemetry, latest }).await
}
