//! A persistent vector of workloads that knows the weight of each of its parts.
//!
//! **Shape:** every leaf but the last holds 32 workloads, every branch but those on the right edge 32 nodes, and
//! all leaves are at one depth. Nodes are shared between clones and changed in place where nobody else holds them.

use std::{ops::AddAssign, slice, sync::Arc};

use super::weight;
use crate::{service::HealthPolicy, workload::Workload};

/// How many slots a node has, as a power of two.
const BITS: u32 = 5;
const WIDTH: usize = 1 << BITS;

/// The weight of a part, under either health policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    healthy: u64,
    all: u64,
}

impl Weight {
    pub(super) fn of(self, policy: HealthPolicy) -> u64 {
        match policy {
            HealthPolicy::OnlyHealthy => self.healthy,
            HealthPolicy::AllowAll => self.all,
        }
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        // A sum of 32-bit capacities: more than 2^32 workloads do not fit into memory.
        self.healthy += other.healthy;
        self.all += other.all;
    }
}

#[derive(Clone)]
struct Slot<T> {
    weight: Weight,
    value: Arc<T>,
}

#[derive(Clone)]
enum Node {
    Leaf(Vec<Slot<Workload>>),
    Branch(Vec<Slot<Self>>),
}

#[derive(Clone)]
pub(super) struct Tree {
    root: Slot<Node>,
    /// How many levels of branches stand above the leaves.
    height: u32,
    len: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            root: Node::Leaf(Vec::new()).into_slot(),
            height: 0,
            len: 0,
        }
    }
}

impl Tree {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn weight(&self) -> Weight {
        self.root.weight
    }

    pub(super) fn get(&self, index: usize) -> Option<&Arc<Workload>> {
        let mut node = &*self.root.value;
        let mut level = self.height;
        loop {
            match node {
                Node::Leaf(slots) => return slots.get(index & (WIDTH - 1)).map(|slot| &slot.value),
                Node::Branch(slots) => {
                    node = &slots.get((index >> (level * BITS)) & (WIDTH - 1))?.value;
                    level -= 1;
                }
            }
        }
    }

    /// The workload within whose weight the `point`th unit falls, counted from the first workload on.
    pub(super) fn at(&self, policy: HealthPolicy, mut point: u64) -> Option<&Arc<Workload>> {
        let mut node = &*self.root.value;
        loop {
            match node {
                Node::Leaf(slots) => return find(slots, policy, &mut point),
                Node::Branch(slots) => node = find(slots, policy, &mut point)?,
            }
        }
    }

    pub(super) fn set(&mut self, index: usize, workload: Arc<Workload>) {
        if index < self.len {
            self.root.put(self.height, index, workload);
        }
    }

    pub(super) fn push(&mut self, workload: Arc<Workload>) {
        if self.len == WIDTH << (self.height * BITS) {
            self.root = Node::Branch(vec![self.root.clone()]).into_slot();
            self.height += 1;
        }
        self.root.put(self.height, self.len, workload);
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Arc<Workload>> {
        let last = self.root.pop()?;
        self.len -= 1;
        while let Node::Branch(slots) = &*self.root.value
            && let [only] = &**slots
        {
            self.root = only.clone();
            self.height -= 1;
        }
        Some(last)
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        let mut iter = Iter {
            stack: Vec::new(),
            leaf: [].iter(),
        };
        iter.enter(&self.root.value);
        iter
    }
}

fn find<'a, T>(slots: &'a [Slot<T>], policy: HealthPolicy, point: &mut u64) -> Option<&'a Arc<T>> {
    for slot in slots {
        let weight = slot.weight.of(policy);
        if *point < weight {
            return Some(&slot.value);
        }
        *point -= weight;
    }
    None
}

impl Node {
    fn into_slot(self) -> Slot<Self> {
        let mut slot = Slot {
            weight: Weight::default(),
            value: Arc::new(self),
        };
        slot.weigh();
        slot
    }
}

impl Slot<Workload> {
    fn new(workload: Arc<Workload>) -> Self {
        let weight = Weight {
            healthy: weight(&workload, HealthPolicy::OnlyHealthy),
            all: weight(&workload, HealthPolicy::AllowAll),
        };
        Self {
            weight,
            value: workload,
        }
    }
}

impl Slot<Node> {
    fn weigh(&mut self) {
        fn sum<T>(slots: &[Slot<T>]) -> Weight {
            let mut sum = Weight::default();
            for slot in slots {
                sum += slot.weight;
            }
            sum
        }
        self.weight = match &*self.value {
            Node::Leaf(slots) => sum(slots),
            Node::Branch(slots) => sum(slots),
        };
    }

    /// Puts a workload at an index that exists, or at the first that does not.
    fn put(&mut self, level: u32, index: usize, workload: Arc<Workload>) {
        let digit = (index >> (level * BITS)) & (WIDTH - 1);
        match Arc::make_mut(&mut self.value) {
            Node::Leaf(slots) => match slots.get_mut(digit) {
                Some(slot) => *slot = Slot::new(workload),
                None => slots.push(Slot::new(workload)),
            },
            Node::Branch(slots) => {
                if digit == slots.len() {
                    let node = if level == 1 {
                        Node::Leaf(Vec::new())
                    } else {
                        Node::Branch(Vec::new())
                    };
                    slots.push(node.into_slot());
                }
                if let Some(slot) = slots.get_mut(digit) {
                    slot.put(level - 1, index, workload);
                }
            }
        }
        self.weigh();
    }

    /// Takes the last workload out, and every node that is empty then.
    fn pop(&mut self) -> Option<Arc<Workload>> {
        let last = match Arc::make_mut(&mut self.value) {
            Node::Leaf(slots) => slots.pop()?.value,
            Node::Branch(slots) => {
                let slot = slots.last_mut()?;
                let last = slot.pop()?;
                if slot.value.is_empty() {
                    slots.pop();
                }
                last
            }
        };
        self.weigh();
        Some(last)
    }
}

impl Node {
    fn is_empty(&self) -> bool {
        match self {
            Self::Leaf(slots) => slots.is_empty(),
            Self::Branch(slots) => slots.is_empty(),
        }
    }
}

/// All workloads, by index.
pub(super) struct Iter<'a> {
    stack: Vec<slice::Iter<'a, Slot<Node>>>,
    leaf: slice::Iter<'a, Slot<Workload>>,
}

impl<'a> Iter<'a> {
    fn enter(&mut self, node: &'a Node) {
        match node {
            Node::Leaf(slots) => self.leaf = slots.iter(),
            Node::Branch(slots) => self.stack.push(slots.iter()),
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Arc<Workload>;

    fn next(&mut self) -> Option<&'a Arc<Workload>> {
        loop {
            if let Some(slot) = self.leaf.next() {
                return Some(&slot.value);
            }
            match self.stack.last_mut()?.next() {
                Some(slot) => self.enter(&slot.value),
                None => {
                    self.stack.pop();
                }
            }
        }
    }
}
