//! Layer-4 authorization, compiled when it arrives.
//!
//! In: policies as delivered. Out: the first policy that matches a connection, by action.
//! Never: decides (that is `decision::authorize`), walks all policies for a connection, recompiles them for a change.
//!
//! Reading order: `key` (conditions as bit strings), [`query`] (a connection laid out for them), `trie` and
//! `sorted` (persistent containers), `rule` (one rule), `bucket` and `rules` (how rules are found).

use std::sync::Arc;

use crate::{
    authorization::{Action, Authorization, PolicyKey, Scope},
    name::Namespace,
    pmap::PersistentMap,
    workload::Workload,
};

mod applicable;
mod bucket;
mod key;
mod query;
mod rule;
mod rules;
mod sorted;
mod trie;

pub use applicable::Applicable;
use bucket::{Compiled, Entry};
pub use query::Query;
use rule::Rule;
use rules::Rules;

/// All policies, compiled. A clone is O(1) and stays as it is.
///
/// A change costs what the policy itself costs, whatever the number of others. To ask about a connection costs
/// about the logarithm of that number for each thing that policies may look at, plus the rules that require
/// something that holds and are matched as a whole.
#[derive(Clone, Debug, Default)]
pub struct PolicyIndex {
    policies: PersistentMap<PolicyKey, Arc<Compiled>>,
    global: Arc<Level>,
    namespaces: PersistentMap<Namespace, Arc<Level>>,
    generation: u64,
}

/// The policies of one scope.
#[derive(Clone, Debug, Default)]
struct Level {
    enforced: Actions,
    dry_run: Actions,
}

#[derive(Clone, Debug, Default)]
struct Actions {
    allow: Set,
    deny: Set,
}

#[derive(Clone, Debug, Default)]
struct Set {
    /// How many, those included that can never match.
    policies: usize,
    rules: Rules,
}

/// Whether a policy has consequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// It has.
    Enforced,
    /// It is evaluated for the log only.
    DryRun,
}

impl Level {
    fn set(&self, mode: Mode, action: Action) -> &Set {
        let actions = match mode {
            Mode::Enforced => &self.enforced,
            Mode::DryRun => &self.dry_run,
        };
        match action {
            Action::Allow => &actions.allow,
            Action::Deny => &actions.deny,
        }
    }

    fn set_mut(&mut self, mode: Mode, action: Action) -> &mut Set {
        let actions = match mode {
            Mode::Enforced => &mut self.enforced,
            Mode::DryRun => &mut self.dry_run,
        };
        match action {
            Action::Allow => &mut actions.allow,
            Action::Deny => &mut actions.deny,
        }
    }

    fn is_empty(&self) -> bool {
        [&self.enforced, &self.dry_run]
            .iter()
            .all(|actions| actions.allow.policies + actions.deny.policies == 0)
    }
}

impl Set {
    fn insert(&mut self, policy: &Arc<Compiled>) {
        self.policies += 1;
        for rule in 0..policy.rules.len() {
            self.rules.insert(&Entry {
                policy: Arc::clone(policy),
                rule,
            });
        }
    }

    fn remove(&mut self, policy: &Arc<Compiled>) {
        self.policies -= 1;
        for rule in 0..policy.rules.len() {
            self.rules.remove(&Entry {
                policy: Arc::clone(policy),
                rule,
            });
        }
    }
}

impl Compiled {
    fn new(authorization: Arc<Authorization>, found_in: Option<&Set>) -> Self {
        let mut rules: Vec<Rule> = authorization
            .rules
            .iter()
            .filter_map(Rule::compile)
            .collect();
        if let Some(set) = found_in {
            for rule in &mut rules {
                rule.choose_cover(|key| set.rules.load(key));
            }
        }
        Self {
            authorization,
            rules,
        }
    }

    fn mode(&self) -> Mode {
        mode(&self.authorization)
    }
}

fn mode(policy: &Authorization) -> Mode {
    if policy.dry_run {
        Mode::DryRun
    } else {
        Mode::Enforced
    }
}

impl PolicyIndex {
    /// Adds a policy or replaces the one of its name. The same policy again changes nothing.
    pub fn insert(&mut self, policy: Arc<Authorization>) {
        if let Some(old) = self.policies.get(&policy.key) {
            if *old.authorization == *policy {
                return;
            }
            let key = policy.key.clone();
            self.take_out(&key);
        }
        let (mode, action) = (mode(&policy), policy.action);
        let compiled = match policy.scope {
            Scope::Global => insert_into(Arc::make_mut(&mut self.global), mode, action, policy),
            Scope::Namespace => {
                let namespace = policy.key.namespace.clone();
                let mut level = self.namespaces.remove(&namespace).unwrap_or_default();
                let compiled = insert_into(Arc::make_mut(&mut level), mode, action, policy);
                self.namespaces.insert(namespace, level);
                compiled
            }
            Scope::WorkloadSelector => Arc::new(Compiled::new(policy, None)),
        };
        self.policies
            .insert(compiled.authorization.key.clone(), compiled);
        self.generation += 1;
    }

    /// Takes a policy out.
    pub fn remove(&mut self, key: &PolicyKey) {
        if self.take_out(key) {
            self.generation += 1;
        }
    }

    fn take_out(&mut self, key: &PolicyKey) -> bool {
        let Some(old) = self.policies.remove(key) else {
            return false;
        };
        let (mode, action) = (old.mode(), old.authorization.action);
        match old.authorization.scope {
            Scope::Global => Arc::make_mut(&mut self.global)
                .set_mut(mode, action)
                .remove(&old),
            Scope::Namespace => {
                if let Some(mut level) = self.namespaces.remove(&key.namespace) {
                    Arc::make_mut(&mut level).set_mut(mode, action).remove(&old);
                    if !level.is_empty() {
                        self.namespaces.insert(key.namespace.clone(), level);
                    }
                }
            }
            Scope::WorkloadSelector => {}
        }
        true
    }

    /// The policy of a name.
    #[must_use]
    pub fn get(&self, key: &PolicyKey) -> Option<&Arc<Authorization>> {
        self.policies
            .get(key)
            .map(|compiled| &compiled.authorization)
    }

    /// All policies, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Authorization>> {
        self.policies
            .values()
            .map(|compiled| &compiled.authorization)
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there is no policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Counts changes: of two indexes of which one grew out of the other, equal means the same policies.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The policies that apply to a workload: those of the mesh, those of its namespace, and those that it lists.
    ///
    /// A listed policy that is not known, or whose scope is another, is as if it were not listed: the source of
    /// configuration delivers policies before the workloads that list them.
    #[must_use]
    pub fn applicable<'a>(&'a self, destination: &Workload) -> Applicable<'a> {
        let listed = destination
            .authorization_policies
            .iter()
            .filter_map(|key| self.policies.get(key));
        Applicable {
            levels: [
                Some(&self.global),
                self.namespaces.get(&destination.namespace),
            ],
            listed: listed
                .filter(|policy| policy.authorization.scope == Scope::WorkloadSelector)
                .collect(),
        }
    }
}

/// Compiles a policy for the place that it goes to, and puts it there.
fn insert_into(
    level: &mut Level,
    mode: Mode,
    action: Action,
    policy: Arc<Authorization>,
) -> Arc<Compiled> {
    let set = level.set_mut(mode, action);
    let compiled = Arc::new(Compiled::new(policy, Some(set)));
    set.insert(&compiled);
    compiled
}

#[cfg(test)]
mod tests;
