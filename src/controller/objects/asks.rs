//! What objects ask of the grants: the same for many of them, so kept once.

use std::{collections::HashSet, sync::Arc};

use crate::{
    api::IdentityKind,
    controller::grants::book::{Grants, Unit},
    lifecycle::{Grant, ObjectView},
};

/// What the grant of an object depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asks<S> {
    /// The object's namespace.
    pub namespace: S,
    unit: Unit<S>,
    service: S,
    identity: IdentityKind,
}

/// Each of them once.
#[derive(Debug, Default)]
pub struct AllAsks {
    known: HashSet<Arc<Asks<String>>>,
    /// When there are so many, those that no object has any more are dropped.
    tidy_at: usize,
}

impl<'a> Asks<&'a str> {
    /// Of an object of which is known what it addresses.
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

    /// What the grants say.
    pub fn grant(self, grants: &Grants) -> Grant {
        grants.grant(self.namespace, self.unit, self.service, self.identity)
    }

    /// To keep.
    pub fn to_owned(self) -> Asks<String> {
        Asks {
            namespace: self.namespace.to_owned(),
            unit: self.unit.to_owned(),
            service: self.service.to_owned(),
            identity: self.identity,
        }
    }
}

impl Asks<String> {
    /// To look up.
    pub fn as_str(&self) -> Asks<&str> {
        Asks {
            namespace: &self.namespace,
            unit: self.unit.as_str(),
            service: &self.service,
            identity: self.identity,
        }
    }
}

impl AllAsks {
    /// The one that is equal to it, and the same for all.
    pub fn share(&mut self, asks: Asks<String>) -> Arc<Asks<String>> {
        if let Some(known) = self.known.get(&asks) {
            return known.clone();
        }
        if self.known.len() >= self.tidy_at {
            self.known.retain(|asks| Arc::strong_count(asks) > 1);
            self.tidy_at = (self.known.len() * 2).max(LEAST_TIDY);
        }
        let asks = Arc::new(asks);
        self.known.insert(asks.clone());
        asks
    }
}

/// Fewer are not worth looking through.
const LEAST_TIDY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(n: usize) -> Asks<String> {
        Asks {
            namespace: format!("team-{n}"),
            unit: Unit::Under("projects/acme".into()),
            service: "dialogflow".into(),
            identity: IdentityKind::Operator,
        }
    }

    #[test]
    fn equal_ones_are_one_and_those_of_nobody_are_dropped() {
        let mut all = AllAsks::default();
        let kept = all.share(asks(0));
        assert!(Arc::ptr_eq(&kept, &all.share(asks(0))));
        for n in 1..1000 {
            all.share(asks(n));
        }
        assert!(all.known.len() <= LEAST_TIDY + 1, "{}", all.known.len());
        assert!(Arc::ptr_eq(&kept, &all.share(asks(0))));
    }
}
