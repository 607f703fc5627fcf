//! Which labels of namespaces are wanted, and where they go.

use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::controller::{
    api_server::raw_object::RawObject,
    grants::{
        book::GrantBook,
        namespace_labels::{LabelsRead, NamespaceLabels},
    },
};

/// The URL path of all namespaces.
pub const PATH: &str = "/api/v1/namespaces";

/// The keys that the selectors of all grants depend on; `None` until the grants were read.
pub type LabelKeys = Option<BTreeSet<String>>;

/// Where the labels go.
#[derive(Clone)]
pub struct LabelTarget {
    /// Gets the labels.
    pub book: GrantBook,
    /// Is raised by one after each change of a wanted label.
    pub changed: watch::Sender<u64>,
    /// The step of the readiness that is done when the grants were read, and the labels that they depend on.
    pub step: &'static str,
}

impl LabelTarget {
    /// Replaces the labels.
    pub fn put(&self, labels: NamespaceLabels) {
        self.book.replace_labels(labels);
        self.changed.send_modify(|version| *version += 1);
    }
}

/// The keys that are wanted now.
pub fn wanted(keys: &mut watch::Receiver<LabelKeys>) -> BTreeSet<String> {
    keys.borrow_and_update().clone().unwrap_or_default()
}

/// Notes the labels of a namespace. Returns whether a wanted one has changed.
pub fn note(read: &mut LabelsRead, object: RawObject) -> bool {
    let metadata = object.metadata;
    read.note(
        metadata.name.as_deref().unwrap_or_default(),
        metadata.uid.unwrap_or_default(),
        metadata.labels.unwrap_or_default(),
    )
}
