//! What the CancellationGrants allow together, and the one place where everybody looks it up.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use crate::{
    api::{CancellationGrantSpec, IdentityKind},
    lifecycle::Grant,
};

/// The entry that stands for all.
const ALL: &str = "*";

/// Every grant, found by namespace. Grants add up: one of them has to have all four at once.
#[derive(Debug, Default)]
pub struct Grants {
    by_namespace: HashMap<String, Vec<Arc<Row>>>,
    for_all_namespaces: Vec<Arc<Row>>,
}

#[derive(Debug)]
struct Row {
    all_projects: bool,
    projects: BTreeSet<String>,
    services: BTreeSet<String>,
    identities: BTreeSet<IdentityKind>,
}

impl Grants {
    /// All grants that there are.
    pub fn new<'a>(specs: impl IntoIterator<Item = &'a CancellationGrantSpec>) -> Self {
        let mut grants = Self::default();
        for spec in specs {
            let row = Arc::new(Row {
                all_projects: spec.projects.contains(ALL),
                projects: spec.projects.clone(),
                services: spec.services.clone(),
                identities: spec.identities.clone(),
            });
            if spec.namespaces.contains(ALL) {
                grants.for_all_namespaces.push(row);
                continue;
            }
            for namespace in &spec.namespaces {
                grants
                    .by_namespace
                    .entry(namespace.clone())
                    .or_default()
                    .push(row.clone());
            }
        }
        grants
    }

    /// Whether one grant has this namespace, project, service and identity.
    ///
    /// `*` projects never lend the operator's own rights, even if an older CRD let such a grant through.
    pub fn allows(
        &self,
        namespace: &str,
        project: &str,
        service: &str,
        identity: IdentityKind,
    ) -> bool {
        let own = self.by_namespace.get(namespace).into_iter().flatten();
        own.chain(&self.for_all_namespaces).any(|row| {
            let project_allowed = row.projects.contains(project)
                || (row.all_projects && identity == IdentityKind::ServiceAccount);
            project_allowed && row.services.contains(service) && row.identities.contains(&identity)
        })
    }

    /// The same as the life cycle has it.
    pub fn grant(
        &self,
        namespace: &str,
        project: &str,
        service: &str,
        identity: IdentityKind,
    ) -> Grant {
        if self.allows(namespace, project, service, identity) {
            Grant::Granted
        } else {
            Grant::NotGranted
        }
    }
}

/// The grants as last read; shared by the dispatcher and by everything that is about to make a call.
///
/// Empty until the first list: whoever asks earlier gets a no. When the watch is lost, the last known ones stay.
#[derive(Clone, Debug, Default)]
pub struct GrantBook(Arc<RwLock<Arc<Grants>>>);

impl GrantBook {
    /// The grants now.
    pub fn now(&self) -> Arc<Grants> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces them all.
    pub fn replace(&self, grants: Grants) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(grants);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use IdentityKind::{Operator, ServiceAccount};

    fn grant(
        namespaces: &[&str],
        projects: &[&str],
        identities: &[IdentityKind],
    ) -> CancellationGrantSpec {
        let set = |entries: &[&str]| entries.iter().map(|e| (*e).to_owned()).collect();
        CancellationGrantSpec {
            namespaces: set(namespaces),
            projects: set(projects),
            services: set(&["dialogflow"]),
            identities: identities.iter().copied().collect(),
        }
    }

    #[test]
    fn all_four_must_stand_in_one_grant() {
        let grants = Grants::new(&[
            grant(&["a"], &["p"], &[Operator]),
            grant(&["b"], &["q"], &[ServiceAccount]),
        ]);
        assert!(grants.allows("a", "p", "dialogflow", Operator));
        assert!(grants.allows("b", "q", "dialogflow", ServiceAccount));
        for (namespace, project, service, identity) in [
            ("a", "q", "dialogflow", Operator),
            ("b", "p", "dialogflow", Operator),
            ("a", "p", "dialogflow", ServiceAccount),
            ("a", "p", "speech", Operator),
            ("", "p", "dialogflow", Operator),
            ("A", "p", "dialogflow", Operator),
        ] {
            assert!(
                !grants.allows(namespace, project, service, identity),
                "{namespace} {project} {service} {identity:?}"
            );
        }
    }

    #[test]
    fn a_star_is_everything_but_the_operators_projects() {
        let grants = Grants::new(&[
            grant(&["*"], &["p"], &[Operator]),
            grant(&["a", "*"], &["*", "r"], &[Operator, ServiceAccount]),
        ]);
        assert!(grants.allows("anything", "p", "dialogflow", Operator));
        assert!(grants.allows("anything", "whatever", "dialogflow", ServiceAccount));
        assert!(!grants.allows("a", "whatever", "dialogflow", Operator));
        assert!(!grants.allows("a", "*", "speech", ServiceAccount));
        // Named beside the star, it is lent by name.
        assert!(grants.allows("a", "r", "dialogflow", Operator));
    }

    #[test]
    fn globs_match_nothing() {
        let grants = Grants::new(&[grant(&["team-*"], &["acme-*"], &[Operator, ServiceAccount])]);
        assert!(!grants.allows("team-a", "acme-prod", "dialogflow", Operator));
    }

    #[test]
    fn nothing_is_allowed_before_the_grants_were_read() {
        let book = GrantBook::default();
        assert!(!book.now().allows("a", "p", "dialogflow", Operator));
        book.replace(Grants::new(&[grant(&["a"], &["p"], &[Operator])]));
        assert!(book.now().allows("a", "p", "dialogflow", Operator));
        book.replace(Grants::default());
        assert!(!book.now().allows("a", "p", "dialogflow", Operator));
    }
}
