//! A persistent vector of what has weight, workloads or groups of them, that knows the weight of each of its parts.
//!
//! **Shape:** every leaf but the last holds 32 items, every branch but those on the right edge 32 nodes, and
//! all leaves are at one depth. Nodes are shared between clones and changed in place where nobody else holds them.

use std::{ops::AddAssign, slice, sync::Arc};

use crate::service::HealthPolicy;

/// How many slots a node has, as a power of two.
const BITS: u32 = 5;
const WIDTH: usize = 1 << BITS;

/// The weight of a part, under either health policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) healthy: u64,
    pub(super) all: u64,
}

/// What has a share of a service's connections.
pub(super) trait Weighed: Clone {
    fn weight(&self) -> Weight;
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

struct Slot<T> {
    weight: Weight,
    value: Arc<T>,
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self {
            weight: self.weight,
            value: Arc::clone(&self.value),
        }
    }
}

#[derive(Clone)]
enum Node<T> {
    Leaf(Vec<Slot<T>>),
    Branch(Vec<Slot<Self>>),
}

#[derive(Clone)]
pub(super) struct Tree<T> {
    root: Slot<Node<T>>,
    /// How many levels of branches stand above the leaves.
    height: u32,
    len: usize,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self {
            root: Node::Leaf(Vec::new()).into_slot(),
            height: 0,
            len: 0,
        }
    }
}

impl<T> Tree<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn weight(&self) -> Weight {
        self.root.weight
    }

    pub(super) fn get(&self, index: usize) -> Option<&Arc<T>> {
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

    /// The item within whose weight the `point`th unit falls, counted from the first item on, and which of its units
    /// that is.
    pub(super) fn at(&self, policy: HealthPolicy, mut point: u64) -> Option<(&Arc<T>, u64)> {
        let mut node = &*self.root.value;
        loop {
            match node {
                Node::Leaf(slots) => {
                    return find(slots, policy, &mut point).map(|item| (item, point));
                }
                Node::Branch(slots) => node = find(slots, policy, &mut point)?,
            }
        }
    }

    pub(super) fn iter(&self) -> Iter<'_, T> {
        let mut iter = Iter {
            stack: Vec::new(),
            leaf: [].iter(),
        };
        iter.enter(&self.root.value);
        iter
    }
}

impl<T: Weighed> Tree<T> {
    pub(super) fn set(&mut self, index: usize, item: Arc<T>) {
        if index < self.len {
            self.root.put(self.height, index, item);
        }
    }

    /// Changes one item; `None` where there is none.
    pub(super) fn change<R>(&mut self, index: usize, by: impl FnOnce(&mut T) -> R) -> Option<R> {
        if index >= self.len {
            return None;
        }
        self.root.change(self.height, index, by)
    }

    pub(super) fn push(&mut self, item: Arc<T>) {
        if self.len == WIDTH << (self.height * BITS) {
            self.root = Node::Branch(vec![self.root.clone()]).into_slot();
            self.height += 1;
        }
        self.root.put(self.height, self.len, item);
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<Arc<T>> {
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

    /// Takes out the item at an index. The last one moves there, and is returned.
    pub(super) fn swap_remove(&mut self, index: usize) -> Option<Arc<T>> {
        let last = self.pop()?;
        if index == self.len {
            return None;
        }
        self.set(index, Arc::clone(&last));
        Some(last)
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

impl<T> Node<T> {
    fn into_slot(self) -> Slot<Self> {
        let mut slot = Slot {
            weight: Weight::default(),
            value: Arc::new(self),
        };
        slot.weigh();
        slot
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Leaf(slots) => slots.is_empty(),
            Self::Branch(slots) => slots.is_empty(),
        }
    }
}

impl<T: Weighed> Slot<T> {
    fn new(item: Arc<T>) -> Self {
        Self {
            weight: item.weight(),
            value: item,
        }
    }
}

impl<T> Slot<Node<T>> {
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
}

impl<T: Weighed> Slot<Node<T>> {
    /// Puts an item at an index that exists, or at the first that does not.
    fn put(&mut self, level: u32, index: usize, item: Arc<T>) {
        let digit = (index >> (level * BITS)) & (WIDTH - 1);
        match Arc::make_mut(&mut self.value) {
            Node::Leaf(slots) => match slots.get_mut(digit) {
                Some(slot) => *slot = Slot::new(item),
                None => slots.push(Slot::new(item)),
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
                    slot.put(level - 1, index, item);
                }
            }
        }
        self.weigh();
    }

    fn change<R>(&mut self, level: u32, index: usize, by: impl FnOnce(&mut T) -> R) -> Option<R> {
        let digit = (index >> (level * BITS)) & (WIDTH - 1);
        let changed = match Arc::make_mut(&mut self.value) {
            Node::Leaf(slots) => {
                let slot = slots.get_mut(digit)?;
                let changed = by(Arc::make_mut(&mut slot.value));
                slot.weight = slot.value.weight();
                changed
            }
            Node::Branch(slots) => slots.get_mut(digit)?.change(level - 1, index, by)?,
        };
        self.weigh();
        Some(changed)
    }

    /// Takes the last item out, and every node that is empty then.
    fn pop(&mut self) -> Option<Arc<T>> {
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

/// All items, by index.
pub(super) struct Iter<'a, T> {
    stack: Vec<slice::Iter<'a, Slot<Node<T>>>>,
    leaf: slice::Iter<'a, Slot<T>>,
}

impl<'a, T> Iter<'a, T> {
    fn enter(&mut self, node: &'a Node<T>) {
        match node {
            Node::Leaf(slots) => self.leaf = slots.iter(),
            Node::Branch(slots) => self.stack.push(slots.iter()),
        }
    }
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a Arc<T>;

    fn next(&mut self) -> Option<&'a Arc<T>> {
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
