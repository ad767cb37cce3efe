//! What is spoken on a port, from what people say of it (RT-01).

use crate::objects::AppProtocol;

/// Ports whose servers speak first, so that nothing could be found out by waiting for the client:
/// SMTP, DNS, MySQL, MongoDB.
const SERVER_FIRST: [u16; 4] = [25, 53, 3306, 27017];

/// From `appProtocol`, or else from the name's prefix, or else from the number.
pub(super) fn of_port(app_protocol: Option<&str>, name: &str, port: u16) -> AppProtocol {
    let said = match app_protocol {
        Some("kubernetes.io/h2c") => Some(AppProtocol::Http2),
        Some("kubernetes.io/ws") => Some(AppProtocol::Http11),
        Some("kubernetes.io/wss") => Some(AppProtocol::Tls),
        Some(word) => of_prefix(word),
        None => of_prefix(name),
    };
    match said {
        Some(protocol) => protocol,
        None if SERVER_FIRST.contains(&port) => AppProtocol::Tcp,
        None => AppProtocol::Unknown,
    }
}

/// From a name such as `grpc-web-admin`: all of it, or what its first hyphen ends.
fn of_prefix(name: &str) -> Option<AppProtocol> {
    let name = name.to_ascii_lowercase();
    if name == "grpc-web" || name.starts_with("grpc-web-") {
        return Some(AppProtocol::Grpc);
    }
    of_word(name.split('-').next().unwrap_or(&name))
}

/// From one word of Istio's, in lower case; `None` for others.
pub(super) fn of_word(word: &str) -> Option<AppProtocol> {
    match word {
        "http" | "http_proxy" => Some(AppProtocol::Http11),
        "http2" => Some(AppProtocol::Http2),
        "grpc" | "grpc-web" => Some(AppProtocol::Grpc),
        "https" | "tls" => Some(AppProtocol::Tls),
        "tcp" | "mysql" | "redis" | "mongo" => Some(AppProtocol::Tcp),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
