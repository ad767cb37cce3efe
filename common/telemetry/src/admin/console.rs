//! The admin endpoint, on the loopback address: what is configured, log levels, shutdown.

use std::{convert::Infallible, fmt, sync::Arc};

use http::{Method, Request, StatusCode, Uri};
use serde_json::Value;
use tokio::{net::TcpListener, task};

use super::server::{Answer, Handler, not_found, of_type, reads, serve, text, wrong_method};
use crate::logging::Logging;

/// What the admin endpoint shows and does.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

struct Inner {
    logging: Logging,
    config_dump: Box<dyn Fn() -> Value + Send + Sync>,
    quit: Box<dyn Fn() + Send + Sync>,
    /// One dump is made at a time: it may be as large as the mesh.
    dumping: tokio::sync::Mutex<()>,
}

const INDEX: &str = r#"<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Admin</title></head>
<body>
<h1>Admin</h1>
<table>
<tr><td><a href="/config_dump">GET /config_dump</a></td><td>what is configured, as JSON</td></tr>
<tr><td><a href="/logging">GET /logging</a></td><td>the log levels</td></tr>
<tr><td>POST /logging?level=access:debug,info</td><td>changes log levels</td></tr>
<tr><td>POST /logging?reset</td><td>goes back to the log levels of the start</td></tr>
<tr><td>POST /quitquitquit</td><td>shuts down</td></tr>
</table>
</body>
</html>
"#;

impl Console {
    /// An admin endpoint. `config_dump` runs on a thread that may block; `quit` asks for an orderly shutdown.
    #[must_use]
    pub fn new(
        logging: Logging,
        config_dump: impl Fn() -> Value + Send + Sync + 'static,
        quit: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let (config_dump, quit) = (Box::new(config_dump), Box::new(quit));
        Self(Arc::new(Inner {
            logging,
            config_dump,
            quit,
            dumping: tokio::sync::Mutex::default(),
        }))
    }

    async fn config_dump(&self) -> Answer {
        let _one = self.0.dumping.lock().await;
        let console = self.clone();
        let dump =
            task::spawn_blocking(move || serde_json::to_vec_pretty(&(console.0.config_dump)()));
        match dump.await {
            Ok(Ok(body)) => of_type(StatusCode::OK, "application/json", body),
            Ok(Err(error)) => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("no dump could be made: {error}\n"),
            ),
            Err(error) => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("no dump could be made: {error}\n"),
            ),
        }
    }

    fn logging(&self, method: &Method, uri: &Uri) -> Answer {
        let query = uri.query().unwrap_or_default();
        if *method != Method::POST {
            return if reads(method) && query.is_empty() {
                self.level()
            } else {
                // Reading must not change anything, or a link could.
                wrong_method("GET without parameters, POST")
            };
        }
        let mut reset = false;
        let mut levels = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match (name, decoded(value)) {
                ("reset", _) => reset = true,
                ("level", Some(value)) => levels.push(value),
                ("level", None) => return bad("the level is not percent-encoded UTF-8"),
                _ => return bad("unknown parameter: expected level=target:level,level or reset"),
            }
        }
        let before = self.0.logging.level();
        if reset {
            self.0.logging.reset();
        }
        if let Err(error) = levels
            .iter()
            .try_for_each(|levels| self.0.logging.set_level(levels))
        {
            // All or nothing: what was in force is written in the same syntax.
            let restored = self.0.logging.set_level(&before);
            debug_assert!(restored.is_ok(), "the levels in force can be read");
            return bad(&error);
        }
        self.level()
    }

    fn level(&self) -> Answer {
        text(
            StatusCode::OK,
            format!("current log level is {}\n", self.0.logging.level()),
        )
    }
}

impl Handler for Console {
    async fn answer(&self, request: Request<()>) -> Answer {
        let method = request.method();
        match request.uri().path() {
            "/" if reads(method) => of_type(StatusCode::OK, "text/html; charset=utf-8", INDEX),
            "/config_dump" if reads(method) => self.config_dump().await,
            "/" | "/config_dump" => wrong_method("GET"),
            "/logging" => self.logging(method, request.uri()),
            "/quitquitquit" if *method == Method::POST => {
                (self.0.quit)();
                text(StatusCode::OK, "shutdown now\n")
            }
            "/quitquitquit" => wrong_method("POST"),
            _ => not_found(),
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

/// Serves the admin endpoint until it is dropped.
pub async fn serve_admin(listener: TcpListener, console: Console) -> Infallible {
    serve(listener, "admin", console).await
}

fn bad(error: &(impl fmt::Display + ?Sized)) -> Answer {
    text(StatusCode::BAD_REQUEST, format!("{error}\n"))
}

/// Undoes percent-encoding. Source: RFC 3986 §2.1.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'%' {
            let digit = |byte: Option<u8>| {
                char::from(byte?)
                    .to_digit(16)
                    .and_then(|digit| u8::try_from(digit).ok())
            };
            digit(bytes.next())? << 4 | digit(bytes.next())?
        } else {
            byte
        });
    }
    String::from_utf8(out).ok()
}
