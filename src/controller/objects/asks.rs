//! What objects ask of the grants: the same for many of them, so kept once.

use std::{collections::HashSet, sync::Arc};

use crate::{
    api::IdentityKind,
    controller::grants::{Grants, Unit},
    lifecycle::{Grant, ObjectView},
};

/// What the grant of an object depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Asks {
    /// The object's namespace.
    pub namespace: String,
    unit: Unit<String>,
    service: String,
    identity: IdentityKind,
}

/// Each of them once.
#[derive(Debug, Default)]
pub struct AllAsks {
    known: HashSet<Arc<Asks>>,
    /// When there are so many, those that no object has any more are dropped.
    tidy_at: usize,
}

impl Asks {
    /// Of an object of which is known what it addresses.
    pub fn of(object: &ObjectView) -> Option<Self> {
        let spec = object.spec.as_ref().ok()?;
        let target = spec.target.as_ref().ok()?;
        Some(Self {
            namespace: object.namespace.clone(),
            unit: Unit::of(target).to_owned(),
            service: target.service.clone(),
            identity: spec.identity_kind(),
        })
    }

    /// What the grants say.
    pub fn grant(&self, grants: &Grants) -> Grant {
        grants.grant(
            &self.namespace,
            self.unit.as_str(),
            &self.service,
            self.identity,
        )
    }
}

impl AllAsks {
    /// The one that is equal to it, and the same for all.
    pub fn share(&mut self, asks: Asks) -> Arc<Asks> {
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

    fn asks(n: usize) -> Asks {
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
