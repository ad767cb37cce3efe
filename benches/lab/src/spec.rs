//! What a subject is to be: where its pods are, what its bytes go through.
//!
//! In: a part and a name. Out: everything that is needed to build it, and what it must then prove.

use lab::Config;

/// Where client and server are. The client is always a pod on node 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The server is a pod on node 2.
    Nodes,
    /// The server is a pod on node 1, too.
    Node,
    /// The server is a host outside, which no mesh knows.
    Outside,
}

/// Who captures the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capturer {
    /// The lab's agent, by Istio's rules.
    Agent,
    /// ztunnel, by the same rules.
    Iptables,
    /// ztunnel, by programs in the kernel. Where these do not work the subject is left out.
    Ebpf,
}

/// What two pods of one node go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SameNode {
    /// Joined in one ztunnel.
    Join,
    /// A tunnel of one ztunnel to itself.
    Hbone,
}

/// What bytes go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing: the pods are not captured.
    Raw,
    /// The ztunnel of each pod's node.
    Ztunnels {
        /// The program and its arguments.
        words: Vec<String>,
        /// Who captures.
        capturer: Capturer,
        /// Only of [`Place::Node`].
        same_node: SameNode,
    },
}

/// A subject before it is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Its name in the table.
    pub(crate) name: String,
    /// Where its ends are.
    pub(crate) place: Place,
    /// What is between them.
    pub(crate) way: Way,
    /// How many policies apply to the server, in a file of the mesh; `None` is a mesh of a controller, without any.
    pub(crate) policies: Option<usize>,
}

impl Capturer {
    /// What the lab is told. `auto` tells why it does not take programs in the kernel, where `ebpf` just ends.
    pub(crate) fn of_lab(self) -> lab::Capture {
        match self {
            Self::Agent => lab::Capture::Agent,
            Self::Iptables => lab::Capture::Iptables,
            Self::Ebpf => lab::Capture::Auto,
        }
    }

    /// How ztunnel calls what it does, in `ambit_capture_mode`.
    pub(crate) fn mode(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Iptables => "iptables",
            Self::Ebpf => "ebpf",
        }
    }
}

impl SameNode {
    /// The value of `SAME_NODE`.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Hbone => "hbone",
        }
    }
}

impl Spec {
    /// A subject without ztunnels.
    pub(crate) fn raw(name: &str, place: Place) -> Self {
        Self {
            name: name.to_owned(),
            place,
            way: Way::Raw,
            policies: None,
        }
    }

    /// A subject with a program on each node, captured by the agent.
    pub(crate) fn through(name: &str, place: Place, words: &[String]) -> Self {
        let way = Way::Ztunnels {
            words: words.to_vec(),
            capturer: Capturer::Agent,
            same_node: SameNode::Join,
        };
        Self {
            name: name.to_owned(),
            place,
            way,
            policies: None,
        }
    }

    /// The same, captured by somebody else.
    #[must_use]
    pub(crate) fn captured(mut self, by: Capturer) -> Self {
        if let Way::Ztunnels { capturer, .. } = &mut self.way {
            *capturer = by;
        }
        self
    }

    /// The same, by a tunnel of the ztunnel to itself.
    #[must_use]
    pub(crate) fn by_tunnel(mut self) -> Self {
        if let Way::Ztunnels { same_node, .. } = &mut self.way {
            *same_node = SameNode::Hbone;
        }
        self
    }

    /// The same, with policies.
    #[must_use]
    pub(crate) fn policies(mut self, count: usize) -> Self {
        self.policies = Some(count);
        self
    }

    /// Where the lab's ztunnels have their configuration from.
    pub(crate) fn config(&self) -> Config {
        if self.policies.is_some() {
            Config::File
        } else {
            Config::Manifests
        }
    }

    /// What `connection_security_policy` must say of everything that its ztunnels carry.
    pub(crate) fn security(&self) -> &'static str {
        match (&self.way, self.place) {
            (_, Place::Outside) | (Way::Raw, _) => "unknown",
            (Way::Ztunnels { .. }, Place::Nodes) => "mutual_tls",
            (Way::Ztunnels { same_node, .. }, Place::Node) => match same_node {
                SameNode::Join => "same_node",
                SameNode::Hbone => "mutual_tls",
            },
        }
    }

    /// What was started, for the reader.
    pub(crate) fn command(&self) -> String {
        let Way::Ztunnels {
            words,
            capturer,
            same_node,
        } = &self.way
        else {
            return "no ztunnel, pods not captured".to_owned();
        };
        let mut line = format!("CAPTURE={}", capturer.mode());
        if self.place == Place::Node {
            line.push_str(&format!(" SAME_NODE={}", same_node.variable()));
        }
        if let Some(policies) = self.policies {
            line.push_str(&format!(" policies={policies}"));
        }
        format!("{line} {}", words.join(" "))
    }
}

#[cfg(test)]
mod tests;
