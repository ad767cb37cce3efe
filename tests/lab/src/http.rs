//! A minimal HTTP/1.1 client for admin, metrics and readiness endpoints.
//!
//! In: an address and a path. Out: status, headers, body. One request per connection.
//! Never: redirects, compression, keep-alive.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

#[cfg(test)]
mod tests;

/// How long connecting and each read may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is read: a config dump of the largest test mesh is far below.
const MAX_ANSWER_BYTES: u64 = 256 << 20;

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Header names in lower case, with values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's first value; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Sends one request without a body, from the namespace of the calling thread.
///
/// # Errors
///
/// When there is no connection, no answer in time, or the answer is not HTTP/1.
pub fn request(method: &str, address: SocketAddr, path: &str) -> Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)
        .with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream
        .take(MAX_ANSWER_BYTES)
        .read_to_end(&mut answer)
        .with_context(|| format!("read the answer of {address}{path}"))?;
    parse(&answer).with_context(|| format!("answer of {address}{path}"))
}

fn parse(answer: &[u8]) -> Result<Response> {
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .context("no end of the headers")?;
    let (head, body) = answer.split_at(end);
    let body = body.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).context("headers are not text")?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .context("no status line")?
        .parse()?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
    };
    response.body = if response
        .header("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    {
        join_chunks(body)?
    } else {
        match response
            .header("content-length")
            .map(str::parse::<usize>)
            .transpose()?
        {
            Some(length) if body.len() < length => {
                bail!("body ends after {} of {length} bytes", body.len())
            }
            Some(length) => body.get(..length).unwrap_or_default().to_vec(),
            None => body.to_vec(),
        }
    };
    Ok(response)
}

fn join_chunks(mut body: &[u8]) -> Result<Vec<u8>> {
    let mut joined = Vec::new();
    loop {
        let end = body
            .windows(2)
            .position(|bytes| bytes == b"\r\n")
            .context("chunk without a size")?;
        let size = std::str::from_utf8(body.get(..end).unwrap_or_default())?;
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)?;
        if size == 0 {
            return Ok(joined);
        }
        let start = end + 2;
        joined.extend_from_slice(
            body.get(start..start + size)
                .context("chunk is cut short")?,
        );
        body = body
            .get(start + size + 2..)
            .context("chunk without an end")?;
    }
}
