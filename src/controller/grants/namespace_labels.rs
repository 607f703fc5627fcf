//! The labels of all namespaces, as far as the selectors of grants depend on them. Pure.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::label_selector::{LabelSelector, Labels};

/// What is known of the labels. By default nothing, so that no selector matches.
#[derive(Clone, Debug, Default)]
pub struct NamespaceLabels {
    /// The keys whose labels were read for all namespaces.
    keys: BTreeSet<String>,
    /// `None` if the labels of a namespace cannot be read.
    by_namespace: HashMap<Arc<str>, Option<Arc<Labels>>>,
    /// The labels of no namespace can be read.
    is_lost: bool,
}

impl NamespaceLabels {
    /// The labels with these keys, of all namespaces.
    pub fn new(
        keys: BTreeSet<String>,
        by_namespace: impl IntoIterator<Item = (Arc<str>, Option<Arc<Labels>>)>,
    ) -> Self {
        Self {
            keys,
            by_namespace: by_namespace.into_iter().collect(),
            is_lost: false,
        }
    }

    /// The labels could not be read for too long: no selector matches, and it is not known which would.
    pub fn lost() -> Self {
        Self {
            is_lost: true,
            ..Self::default()
        }
    }

    /// Whether the labels of a namespace cannot be read, so that it is not known what it matches.
    pub fn are_lost_of(&self, namespace: &str) -> bool {
        self.is_lost || matches!(self.by_namespace.get(namespace), Some(None))
    }

    /// Whether a namespace is known to match. A namespace whose labels were not read matches nothing, not even `DoesNotExist`.
    pub fn match_selector(&self, namespace: &str, selector: &LabelSelector) -> bool {
        selector.keys().all(|key| self.keys.contains(key))
            && self.by_namespace.get(namespace).is_some_and(|labels| {
                labels
                    .as_ref()
                    .is_some_and(|labels| selector.matches(labels))
            })
    }
}

/// The labels while they are read. Of each namespace it keeps the name, the uid, and the labels with the wanted keys.
#[derive(Debug, Default)]
pub struct LabelsRead {
    /// The keys that selectors depend on.
    wanted: BTreeSet<String>,
    /// The wanted keys that were read of all namespaces.
    complete: BTreeSet<String>,
    namespaces: HashMap<Arc<str>, Namespace>,
}

#[derive(Debug, PartialEq, Eq)]
struct Namespace {
    uid: String,
    /// `None` if they cannot be read.
    labels: Option<Arc<Labels>>,
}

impl LabelsRead {
    /// Sets which labels are wanted from now on. Labels that were read before lack new keys, until all namespaces were read again.
    pub fn want(&mut self, keys: BTreeSet<String>) {
        self.complete.retain(|key| keys.contains(key));
        self.wanted = keys;
    }

    /// Whether all wanted labels were read of all namespaces.
    pub fn is_complete(&self) -> bool {
        self.complete == self.wanted
    }

    /// All namespaces have been read since the keys were wanted.
    pub fn set_complete(&mut self) {
        self.complete = self.wanted.clone();
    }

    /// A namespace has these labels now. Returns whether a wanted one has changed.
    pub fn note(&mut self, name: &str, uid: String, mut labels: Labels) -> bool {
        labels.retain(|key, _| self.wanted.contains(key));
        self.set(
            name,
            Namespace {
                uid,
                labels: Some(Arc::new(labels)),
            },
        )
    }

    /// The labels of a namespace cannot be read. Returns whether anything has changed.
    pub fn lose(&mut self, name: &str) -> bool {
        self.set(
            name,
            Namespace {
                uid: String::new(),
                labels: None,
            },
        )
    }

    fn set(&mut self, name: &str, namespace: Namespace) -> bool {
        if self.namespaces.get(name) == Some(&namespace) {
            return false;
        }
        self.namespaces.insert(name.into(), namespace);
        true
    }

    /// The namespace with this uid is gone. Another one may have its name by now. Returns whether anything has changed.
    pub fn forget(&mut self, name: &str, uid: &str) -> bool {
        let is_it = |namespace: &Namespace| namespace.uid == uid;
        self.namespaces.get(name).is_some_and(is_it) && self.forget_name(name)
    }

    /// There is no namespace of this name. Returns whether anything has changed.
    pub fn forget_name(&mut self, name: &str) -> bool {
        self.namespaces.remove(name).is_some()
    }

    /// There are no other namespaces than those with these uids.
    pub fn retain(&mut self, uids: &HashSet<String>) {
        self.namespaces
            .retain(|_, namespace| uids.contains(&namespace.uid));
    }

    /// What is known.
    pub fn known(&self) -> NamespaceLabels {
        let namespaces = self.namespaces.iter();
        NamespaceLabels::new(
            self.complete.clone(),
            namespaces.map(|(name, namespace)| (name.clone(), namespace.labels.clone())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{LabelOperator, LabelRequirement, NamespaceSelector};

    #[test]
    fn a_namespace_or_a_key_that_was_not_read_matches_nothing() {
        let absent = |key: &str| {
            let requirement = LabelRequirement {
                key: key.to_owned(),
                operator: LabelOperator::DoesNotExist,
                values: BTreeSet::new(),
            };
            let selector = NamespaceSelector {
                match_expressions: vec![requirement],
                ..NamespaceSelector::default()
            };
            LabelSelector::new(&selector).unwrap()
        };
        let read = [
            (Arc::from("team"), Some(Arc::new(Labels::new()))),
            (Arc::from("unreadable"), None),
        ];
        let labels = NamespaceLabels::new(BTreeSet::from(["a".to_owned()]), read);
        assert!(labels.match_selector("team", &absent("a")));
        assert!(!labels.match_selector("team", &absent("b")), "a key");
        for (namespace, are_lost) in [("other", false), ("unreadable", true)] {
            assert!(
                !labels.match_selector(namespace, &absent("a")),
                "{namespace}"
            );
            assert_eq!(labels.are_lost_of(namespace), are_lost, "{namespace}");
        }
        for labels in [NamespaceLabels::default(), NamespaceLabels::lost()] {
            assert!(!labels.match_selector("team", &absent("a")));
        }
    }

    fn set(keys: &[&str]) -> BTreeSet<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    fn labels(of: &[&str]) -> Labels {
        of.iter()
            .map(|key| ((*key).to_owned(), "yes".to_owned()))
            .collect()
    }

    fn having(key: &str) -> LabelSelector {
        let selector = NamespaceSelector {
            match_labels: labels(&[key]),
            ..NamespaceSelector::default()
        };
        LabelSelector::new(&selector).unwrap()
    }

    #[test]
    fn only_wanted_labels_are_kept_and_only_their_changes_count() {
        let mut read = LabelsRead::default();
        read.want(set(&["a"]));
        assert!(read.note("team", "u".into(), labels(&["a", "b"])));
        assert!(!read.note("team", "u".into(), labels(&["a", "c"])));
        let kept = read.namespaces["team"].labels.as_deref();
        assert_eq!(kept, Some(&labels(&["a"])));
        assert!(read.note("team", "u".into(), labels(&["c"])));
    }

    #[test]
    fn a_key_counts_once_all_namespaces_were_read_with_it() {
        let mut read = LabelsRead::default();
        read.want(set(&["a"]));
        read.note("team", "u".into(), labels(&["a", "b"]));
        assert!(!read.is_complete() && !read.known().match_selector("team", &having("a")));
        read.set_complete();
        assert!(read.is_complete() && read.known().match_selector("team", &having("a")));

        read.want(set(&["a", "b"]));
        assert!(!read.is_complete());
        assert!(
            read.known().match_selector("team", &having("a")),
            "it stays"
        );
        read.note("team", "u".into(), labels(&["a", "b"]));
        assert!(!read.known().match_selector("team", &having("b")));
        read.set_complete();
        assert!(read.known().match_selector("team", &having("b")));

        read.want(set(&["b"]));
        assert!(read.is_complete());
        assert!(!read.known().match_selector("team", &having("a")));
    }

    #[test]
    fn a_namespace_that_is_created_again_has_only_its_own_labels() {
        let mut read = LabelsRead::default();
        read.want(set(&["a"]));
        read.note("team", "old".into(), labels(&["a"]));
        read.set_complete();
        // The end of the old one is seen after the beginning of the new one.
        read.note("team", "new".into(), labels(&[]));
        assert!(!read.known().match_selector("team", &having("a")));
        assert!(!read.forget("team", "old"));
        read.note("team", "new".into(), labels(&["a"]));
        assert!(read.known().match_selector("team", &having("a")));
        assert!(read.forget("team", "new"));
        assert!(!read.known().match_selector("team", &having("a")));
        read.note("team", "new".into(), labels(&["a"]));
        read.retain(&HashSet::from(["other".to_owned()]));
        assert!(
            !read.known().match_selector("team", &having("a")),
            "not listed"
        );
    }
}
