//! Texts that paths are or begin with, sorted.
//!
//! In: texts and what is found by them. Out: of a path, what is found by it and by all texts that it begins with.
//! Never: walks texts that it does not begin with.
//!
//! The greatest text that is not behind the path is found by bisection. Every text that the path begins with is that
//! one, or the beginning of that one; each text knows the longest other one that it begins with.

use std::{cmp::Ordering, collections::BTreeMap};

/// Positions, ascending.
pub(super) type Positions = Vec<usize>;

/// Texts, sorted. **Shape:** if case is ignored, all are in lower case.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    nodes: Vec<Node>,
    ignore_case: bool,
}

#[derive(Clone, Debug)]
struct Node {
    text: Box<str>,
    /// The longest other text that this one begins with.
    parent: Option<usize>,
    found: Found,
}

/// What is found by one text.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// By paths that are it.
    pub(super) exact: Positions,
    /// By paths that begin with it.
    pub(super) prefix: Positions,
}

impl Paths {
    pub(super) fn new(found_by_text: BTreeMap<&str, Found>, ignore_case: bool) -> Self {
        let mut nodes: Vec<Node> = Vec::with_capacity(found_by_text.len());
        // The node before, what it begins with, and so on.
        let mut open: Vec<usize> = Vec::new();
        for (text, found) in found_by_text {
            while let Some(last) = open.last()
                && !nodes
                    .get(*last)
                    .is_some_and(|node| text.starts_with(&*node.text))
            {
                open.pop();
            }
            let parent = open.last().copied();
            open.push(nodes.len());
            nodes.push(Node {
                text: text.into(),
                parent,
                found,
            });
        }
        Self { nodes, ignore_case }
    }

    /// Visits what is found by a path: by itself, then by what it begins with, the longest first.
    pub(super) fn visit<'a>(&'a self, path: &str, mut visit: impl FnMut(&'a [usize])) {
        let path = path.as_bytes();
        let before = self
            .nodes
            .partition_point(|node| self.order(node.text.as_bytes(), path).is_le());
        let mut at = before.checked_sub(1);
        let shared = at
            .and_then(|at| self.nodes.get(at))
            .map_or(0, |node| self.shared(node.text.as_bytes(), path));
        while let Some(node) = at.and_then(|at| self.nodes.get(at)) {
            if node.text.len() <= shared {
                if node.text.len() == path.len() {
                    visit(&node.found.exact);
                }
                visit(&node.found.prefix);
            }
            at = node.parent;
        }
    }

    fn order(&self, text: &[u8], path: &[u8]) -> Ordering {
        if self.ignore_case {
            text.iter()
                .copied()
                .cmp(path.iter().map(u8::to_ascii_lowercase))
        } else {
            text.cmp(path)
        }
    }

    /// How many bytes the two begin with alike.
    fn shared(&self, text: &[u8], path: &[u8]) -> usize {
        let alike = |(a, b): &(&u8, &u8)| {
            if self.ignore_case {
                a.eq_ignore_ascii_case(b)
            } else {
                a == b
            }
        };
        text.iter().zip(path).take_while(alike).count()
    }
}
