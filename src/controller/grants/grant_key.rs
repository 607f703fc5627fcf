//! What the grants are asked for each object. It is the same for many objects, so it is kept once.

use std::{collections::HashSet, sync::Arc};

use super::book::{Grants, Unit};
use crate::{
    api::IdentityKind,
    lifecycle::{Grant, ObjectView},
};

/// Everything of an object that its grant depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrantKey<S> {
    /// The object's namespace.
    pub namespace: S,
    unit: Unit<S>,
    service: S,
    identity: IdentityKind,
}

/// Keeps each key once.
#[derive(Debug, Default)]
pub struct Interner {
    keys: HashSet<Arc<GrantKey<String>>>,
    /// At this size, keys that no object has any more are dropped.
    clean_up_at: usize,
}

impl<'a> GrantKey<&'a str> {
    /// The key of an object; `None` if its spec cannot be read or its target is not known.
    pub fn of(object: &'a ObjectView) -> Option<Self> {
        let spec = object.spec.as_ref().ok()?;
        let target = spec.target.as_ref().ok()?;
        Some(Self {
            namespace: &object.namespace,
            unit: Unit::of(target),
            service: &target.service,
            identity: spec.identity_kind(),
        })
    }

    /// Whether the grants allow it.
    pub fn grant(self, grants: &Grants) -> Grant {
        grants.grant(self.namespace, self.unit, self.service, self.identity)
    }

    /// An owned copy.
    pub fn to_owned(self) -> GrantKey<String> {
        GrantKey {
            namespace: self.namespace.to_owned(),
            unit: self.unit.to_owned(),
            service: self.service.to_owned(),
            identity: self.identity,
        }
    }
}

impl GrantKey<String> {
    /// Borrowed, for looking it up.
    pub fn as_str(&self) -> GrantKey<&str> {
        GrantKey {
            namespace: &self.namespace,
            unit: self.unit.as_str(),
            service: &self.service,
            identity: self.identity,
        }
    }
}

impl Interner {
    /// The shared key that is equal to this one.
    pub fn intern(&mut self, key: GrantKey<String>) -> Arc<GrantKey<String>> {
        if let Some(shared) = self.keys.get(&key) {
            return shared.clone();
        }
        if self.keys.len() >= self.clean_up_at {
            self.keys.retain(|key| Arc::strong_count(key) > 1);
            self.clean_up_at = (self.keys.len() * 2).max(LEAST_CLEAN_UP);
        }
        let key = Arc::new(key);
        self.keys.insert(key.clone());
        key
    }
}

/// Fewer keys are not worth cleaning up.
const LEAST_CLEAN_UP: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> GrantKey<String> {
        GrantKey {
            namespace: format!("team-{n}"),
            unit: Unit::Under("projects/acme".into()),
            service: "dialogflow".into(),
            identity: IdentityKind::Operator,
        }
    }

    #[test]
    fn equal_keys_are_shared_and_unused_ones_are_dropped() {
        let mut interner = Interner::default();
        let kept = interner.intern(key(0));
        assert!(Arc::ptr_eq(&kept, &interner.intern(key(0))));
        for n in 1..1000 {
            interner.intern(key(n));
        }
        assert!(
            interner.keys.len() <= LEAST_CLEAN_UP + 1,
            "{}",
            interner.keys.len()
        );
        assert!(Arc::ptr_eq(&kept, &interner.intern(key(0))));
    }
}
