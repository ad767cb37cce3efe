//! A trie of bytes: finds every key that a text is or begins with in one walk.
//!
//! In: keys and values, when policies are compiled. Out: values. Never: changes afterwards, recurses.
//!
//! **Shape:** a node stands for the bytes on the way to it; ways without a branch are one label.

/// Values by key.
#[derive(Clone, Debug)]
pub(super) struct Trie<V> {
    nodes: Vec<Node<V>>,
}

#[derive(Clone, Debug)]
struct Node<V> {
    /// Behind the byte that leads here.
    label: Box<[u8]>,
    /// For texts that begin with the key.
    begins: Option<V>,
    /// For texts that are the key.
    whole: Option<V>,
    /// By their first byte, sorted.
    children: Vec<(u8, usize)>,
}

impl<V> Node<V> {
    fn new(label: &[u8]) -> Self {
        Self {
            label: label.into(),
            begins: None,
            whole: None,
            children: Vec::new(),
        }
    }

    fn child(&self, byte: u8) -> Result<usize, usize> {
        self.children
            .binary_search_by_key(&byte, |(first, _)| *first)
    }
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(&[])],
        }
    }
}

impl<V> Trie<V> {
    /// The value for texts that are `key` or, unless `whole`, begin with it.
    pub(super) fn entry(&mut self, key: &[u8], whole: bool) -> &mut Option<V> {
        let node = self.locate(key);
        let node = &mut self.nodes[node];
        if whole {
            &mut node.whole
        } else {
            &mut node.begins
        }
    }

    /// The node of a key, made if it is not there.
    fn locate(&mut self, key: &[u8]) -> usize {
        let (mut at, mut rest) = (0, key);
        loop {
            let label = &self.nodes[at].label;
            let common = label.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if common < label.len() {
                self.split(at, common);
            }
            rest = rest.get(common..).unwrap_or_default();
            let Some((first, behind)) = rest.split_first() else {
                return at;
            };
            match self.nodes[at].child(*first) {
                Ok(place) => {
                    at = self.nodes[at].children[place].1;
                    rest = behind;
                }
                Err(place) => {
                    let new = self.nodes.len();
                    self.nodes.push(Node::new(behind));
                    self.nodes[at].children.insert(place, (*first, new));
                    return new;
                }
            }
        }
    }

    /// Cuts a label: what comes behind `length` bytes of it becomes a node below, with all that the node had.
    fn split(&mut self, at: usize, length: usize) {
        let below = self.nodes.len();
        let node = &mut self.nodes[at];
        let (label, cut) = node.label.split_at(length);
        let Some((first, behind)) = cut.split_first() else {
            return;
        };
        let (first, mut top, behind) = (*first, Node::new(label), Box::from(behind));
        top.children.push((first, below));
        let mut lower = std::mem::replace(node, top);
        lower.label = behind;
        self.nodes.push(lower);
    }

    /// Calls `found` with every value whose key the text is or begins with.
    pub(super) fn visit(&self, text: impl IntoIterator<Item = u8>, mut found: impl FnMut(&V)) {
        let mut text = text.into_iter();
        let mut node = &self.nodes[0];
        loop {
            if node.label.iter().any(|byte| text.next() != Some(*byte)) {
                return;
            }
            if let Some(value) = &node.begins {
                found(value);
            }
            let Some(byte) = text.next() else {
                if let Some(value) = &node.whole {
                    found(value);
                }
                return;
            };
            match node.child(byte) {
                Ok(place) => node = &self.nodes[node.children[place].1],
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests;
