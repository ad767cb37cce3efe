//! Tokens that `controller token` makes: random, kept as hashes in `tokens` of the state folder.
//!
//! ```text
//! <SHA-256 of the token> <namespace> <service account> <node or -> <RFC 3339 end or ->
//! ```
//! A line that is removed revokes its token. Lines that begin with `#` are remarks.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use identity::{pem::base64, tls};

use super::{Caller, PREFIX, TokenError, keep::Kept};
use crate::ca::{
    StateError,
    digest::{hex, sha256, unhex},
    state::{self, SECRET, StateDir},
};

/// The file's name.
const FILE: &str = "tokens";

/// The most tokens: one for each node and waypoint, far above the largest mesh.
const MAX_TOKENS: usize = 100_000;

/// A line is some 150 bytes.
const MAX_BYTES: u64 = 32 << 20;

/// The longest name. Source: RFC 1123 §2.1, Kubernetes object names.
const MAX_NAME_BYTES: usize = 253;

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// A name that no object has.
    #[error("{field} {found:?} is not a name, expected lower-case letters, digits, `-`{}", if *.field == "namespace" { "" } else { " and `.`" })]
    Name {
        /// Which.
        field: &'static str,
        /// What was given.
        found: String,
    },
    /// A life that ends nowhere.
    #[error("the token's end is beyond the calendar")]
    End,
    /// Too many.
    #[error("the tokens file holds {MAX_TOKENS} tokens already")]
    TooMany,
    /// The random source failed.
    #[error("no random bytes for a token")]
    Random,
}

/// Makes a token for a service account, perhaps bound to a node and with an end, and returns it; only its hash
/// is kept. A running controller knows it within a tenth of a second. Tokens whose end has passed are removed.
///
/// # Errors
/// [`CreateError`].
pub fn create(
    state_dir: &Path,
    namespace: &str,
    service_account: &str,
    node: Option<&str>,
    ttl: Option<Duration>,
    now: SystemTime,
) -> Result<String, CreateError> {
    let name = |field, text: &str, good: bool| {
        if good {
            Ok(())
        } else {
            let found = crate::words::quoted(text);
            Err(CreateError::Name { field, found })
        }
    };
    name("namespace", namespace, is_label(namespace))?;
    name("service account", service_account, is_name(service_account))?;
    if let Some(node) = node {
        name("node", node, is_name(node))?;
    }
    let end = match ttl {
        None => "-".to_owned(),
        Some(ttl) => now
            .checked_add(ttl)
            .and_then(|end| jiff::Timestamp::try_from(end).ok())
            .ok_or(CreateError::End)?
            .to_string(),
    };

    let mut random = [0; 32];
    tls::provider()
        .secure_random
        .fill(&mut random)
        .map_err(|_| CreateError::Random)?;
    let token = format!("{PREFIX}{}", base64url(&random));

    let state = StateDir::open(state_dir)?;
    let _edit = state.edit()?;
    let bytes = state.read(FILE, MAX_BYTES)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lives = |line: &&str| {
        Line::parse(line).is_none_or(|line| line.caller.expires.is_none_or(|end| end > now))
    };
    let mut lines: Vec<&str> = text.lines().filter(lives).collect();
    if lines.len() >= MAX_TOKENS {
        return Err(CreateError::TooMany);
    }
    let hash = hex(&sha256(token.as_bytes()));
    let node = node.unwrap_or("-");
    let line = format!("{hash} {namespace} {service_account} {node} {end}");
    lines.push(&line);
    let mut text = lines.join("\n");
    text.push('\n');
    state.write(FILE, SECRET, text.as_bytes())?;
    Ok(token)
}

/// One line.
struct Line {
    hash: [u8; 32],
    caller: Caller,
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split_ascii_whitespace();
        let (hash, namespace, account, node, end, None) = (
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next(),
        ) else {
            return None;
        };
        let node = match node {
            "-" => None,
            node if is_name(node) => Some(Arc::from(node)),
            _ => return None,
        };
        let expires = match end {
            "-" => None,
            end => Some(end.parse::<jiff::Timestamp>().ok()?.into()),
        };
        if !is_label(namespace) || !is_name(account) {
            return None;
        }
        Some(Self {
            hash: unhex(hash)?.try_into().ok()?,
            caller: Caller {
                namespace: namespace.into(),
                service_account: account.into(),
                node,
                expires,
            },
        })
    }
}

type Table = HashMap<[u8; 32], Caller>;

/// The tokens file.
#[derive(Debug)]
pub(super) struct Tokens {
    kept: Kept<Table>,
}

impl Tokens {
    pub(super) fn new(state_dir: &Path) -> Self {
        let path = state_dir.join(FILE);
        let at = path.clone();
        Self {
            kept: Kept::new(
                &path,
                MAX_BYTES,
                state::read_own,
                Table::new(),
                move |bytes| {
                    // Who can write to it can be anybody in the mesh; one that is gone takes its tokens with it.
                    Ok(table(bytes.unwrap_or_default(), &at.display().to_string()))
                },
            ),
        }
    }

    pub(super) fn refresh(&self, instant: Instant, now: SystemTime) {
        self.kept.refresh(instant, now);
    }

    pub(super) fn authenticate(
        &self,
        token: &str,
        instant: Instant,
        now: SystemTime,
    ) -> Result<Caller, TokenError> {
        // Who cannot compute the hash of a token of the file learns nothing from how long the look-up takes.
        let hash = sha256(token.as_bytes());
        let table = self.kept.load(instant, now);
        let caller = table.get(&hash).ok_or(TokenError::Unknown)?;
        match caller.expires {
            Some(at) if at <= now => Err(TokenError::Expired { at }),
            Some(_) | None => Ok(caller.clone()),
        }
    }
}

/// The tokens of a file. A line that cannot be read costs only its own token.
fn table(bytes: &[u8], path: &str) -> Table {
    let text = String::from_utf8_lossy(bytes);
    let mut table = Table::new();
    for (number, line) in (1u32..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if table.len() >= MAX_TOKENS {
            tracing::error!(
                file = path,
                max = MAX_TOKENS,
                "too many tokens, the rest is not believed"
            );
            break;
        }
        match Line::parse(line) {
            Some(line) => {
                table.insert(line.hash, line.caller);
            }
            // Its text is not shown: somebody may have put a token there.
            None => tracing::error!(
                file = path,
                line = number,
                "not `<SHA-256> <namespace> <service account> <node or -> <end or ->`, the line is left out"
            ),
        }
    }
    table
}

/// A DNS label. Source: RFC 1123 §2.1.
fn is_label(text: &str) -> bool {
    text.len() <= 63 && !text.contains('.') && is_name(text)
}

/// A DNS name of lower-case labels. Source: Kubernetes object names.
pub(super) fn is_name(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    text.len() <= MAX_NAME_BYTES
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// Source: RFC 4648 §5, without padding.
pub(super) fn base64url(bytes: &[u8]) -> String {
    base64(bytes)
        .chars()
        .filter_map(|c| match c {
            '+' => Some('-'),
            '/' => Some('_'),
            '=' => None,
            other => Some(other),
        })
        .collect()
}
