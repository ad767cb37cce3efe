//! What operators see: metrics, readiness, the state of objects, of proxies and of what they are told.
//!
//! In: requests on the admin address. Out: text and JSON. Never: a token, a key, or a change of anything but log levels.

use std::{convert::Infallible, fmt, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use prometheus_client::registry::Registry;
use serde_json::Value;
use telemetry::{
    admin::{self, Answer, Console, Handler, of_type, reads, text, wrong_method},
    metrics::Exposition,
};
use tokio::{net::TcpListener, sync::Mutex, task};

/// A page that is made anew for each request.
pub type Page = Box<dyn Fn() -> Value + Send + Sync>;

/// The pages.
#[derive(Clone)]
pub struct Admin(Arc<Inner>);

struct Inner {
    registry: Registry,
    /// Whether the first configuration is served, and otherwise why not.
    ready: Box<dyn Fn() -> Result<(), &'static str> + Send + Sync>,
    /// Path, what it shows, and how it is made.
    pages: Vec<(&'static str, &'static str, Page)>,
    /// Log levels and the end of the process.
    console: Console,
    /// One page is made at a time: some are as large as the mesh.
    making: Mutex<()>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// An endpoint without pages that answers `ready` as it is told.
    #[must_use]
    pub fn new(
        registry: Registry,
        console: Console,
        ready: impl Fn() -> Result<(), &'static str> + Send + Sync + 'static,
        pages: Vec<(&'static str, &'static str, Page)>,
    ) -> Self {
        Self(Arc::new(Inner {
            registry,
            ready: Box::new(ready),
            pages,
            console,
            making: Mutex::default(),
        }))
    }

    /// Serves until it is dropped.
    pub async fn serve(self, listener: TcpListener) -> Infallible {
        admin::serve(listener, "admin", self).await
    }

    fn index(&self) -> String {
        let mut rows = String::new();
        let fixed = [
            ("/metrics", "metrics of this controller"),
            ("/ready", "whether the first configuration is served"),
            ("/version", "what is running"),
            ("/logging", "log levels; POST ?level=... changes them"),
        ];
        let pages = self.0.pages.iter().map(|(path, what, _)| (*path, *what));
        for (path, what) in fixed.into_iter().chain(pages) {
            rows.push_str(&format!(
                "<tr><td><a href=\"{path}\">{path}</a></td><td>{what}</td></tr>\n"
            ));
        }
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Controller</title></head>\n\
             <body>\n<h1>Controller</h1>\n<table>\n{rows}</table>\n</body>\n</html>\n"
        )
    }

    async fn page(&self, position: usize) -> Answer {
        let _one = self.0.making.lock().await;
        let admin = self.clone();
        let made = task::spawn_blocking(move || {
            let page = admin.0.pages.get(position);
            page.map(|(_, _, page)| serde_json::to_vec_pretty(&page()))
        });
        match made.await {
            Ok(Some(Ok(mut body))) => {
                body.push(b'\n');
                of_type(StatusCode::OK, "application/json", body)
            }
            Ok(Some(Err(_)) | None) | Err(_) => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the page could not be made\n",
            ),
        }
    }

    fn metrics(&self, request: &Request<()>) -> Answer {
        let ranges: Vec<&str> = request
            .headers()
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let exposition = Exposition::negotiate(&ranges.join(","));
        let body = Bytes::from(exposition.render(&self.0.registry));
        of_type(StatusCode::OK, exposition.content_type(), body)
    }
}

impl Handler for Admin {
    async fn answer(&self, request: Request<()>) -> Answer {
        let path = request.uri().path();
        if matches!(path, "/logging" | "/quitquitquit") {
            return self.0.console.answer(request).await;
        }
        if !reads(request.method()) {
            return wrong_method("GET");
        }
        match path {
            "/" | "/debug" => of_type(StatusCode::OK, "text/html; charset=utf-8", self.index()),
            "/metrics" => self.metrics(&request),
            "/ready" => match (self.0.ready)() {
                Ok(()) => text(StatusCode::OK, "ready\n"),
                Err(why) => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("not ready: {why}\n"),
                ),
            },
            "/version" => text(StatusCode::OK, concat!(env!("CARGO_PKG_VERSION"), "\n")),
            path => {
                let found = self.0.pages.iter().position(|(known, _, _)| *known == path);
                match found {
                    Some(position) => self.page(position).await,
                    None => admin::not_found(),
                }
            }
        }
    }
}
