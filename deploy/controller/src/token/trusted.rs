//! Who may ask for certificates of others (ID-03).

use std::{collections::HashSet, str::FromStr};

use super::{Caller, file::is_name};

/// The service accounts of node proxies. Source: Istio `CA_TRUSTED_NODE_ACCOUNTS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedNodes {
    accounts: HashSet<(String, String)>,
}

/// Why a list of service accounts cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} is not a service account, expected NAMESPACE/NAME, several separated by commas")]
pub struct InvalidTrustedNodes {
    /// What was found.
    pub entry: String,
}

impl TrustedNodes {
    /// Whether this caller's service account is one of them.
    #[must_use]
    pub fn contains(&self, caller: &Caller) -> bool {
        self.accounts.iter().any(|(namespace, name)| {
            *namespace == *caller.namespace && *name == *caller.service_account
        })
    }
}

impl Default for TrustedNodes {
    fn default() -> Self {
        Self {
            accounts: HashSet::from([("istio-system".to_owned(), "ztunnel".to_owned())]),
        }
    }
}

/// `NAMESPACE/NAME,NAMESPACE/NAME`; an empty text trusts nobody.
impl FromStr for TrustedNodes {
    type Err = InvalidTrustedNodes;

    fn from_str(text: &str) -> Result<Self, InvalidTrustedNodes> {
        let accounts = text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| {
                entry
                    .split_once('/')
                    .filter(|(namespace, name)| is_name(namespace) && is_name(name))
                    .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
                    .ok_or_else(|| InvalidTrustedNodes {
                        entry: entry.to_owned(),
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { accounts })
    }
}
