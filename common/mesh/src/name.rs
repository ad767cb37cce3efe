//! Newtypes for every identifier, so that two kinds of name can never be swapped.
//!
//! All are cheap to clone (one reference count) and compare as their text.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether nothing was given.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self(Arc::from(""))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )*};
}

names! {
    /// The unique name of a workload, for example `Kubernetes//Pod/default/client-1`.
    Uid;
    /// The name of one object within its namespace.
    Name;
    /// A Kubernetes namespace.
    Namespace;
    /// A Kubernetes service account, without its namespace.
    ServiceAccount;
    /// The trust domain of a SPIFFE ID, for example `cluster.local`.
    TrustDomain;
    /// A fully qualified service hostname, lower case, for example `reviews.default.svc.cluster.local`.
    Hostname;
    /// A network, in the sense of `topology.istio.io/network`; empty is the network without a name.
    Network;
    /// A node's name, as in `spec.nodeName`.
    NodeName;
    /// A cluster, as in `CLUSTER_ID`.
    ClusterId;
}
