//! The cancellations that this process knows, each with what the dispatcher keeps beside the life cycle's own knowledge.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use tokio_util::time::delay_queue;

use super::standing::Standing;
use crate::{
    google::token::Token,
    lifecycle::{Cancellation, Grant},
    telemetry::{metrics::Metrics, series::WaitsFor},
};

/// Stands for one object in this process, and never for another: late answers to a forgotten one reach nobody.
pub type Id = u64;

/// One unfinished object.
#[derive(Debug)]
pub struct Entry {
    /// What is known of it.
    pub known: Cancellation,
    /// When it is to be woken.
    pub timer: Option<delay_queue::Key>,
    /// What the grants said at the last step.
    pub grant: Grant,
    /// The last token that Google did not accept.
    pub refused: Option<Token>,
    /// Effects that wait or are under way, not answered yet.
    pub unanswered: usize,
    /// Those of them that are requests to the API server.
    pub api_requests: usize,
    /// A cancel request was sent, and what came of it is not stored yet.
    pub unrecorded_cancel: bool,
    /// The watch says that it is finished or gone, but a write's answer is still to come.
    pub leaving: bool,
    /// What is counted of it.
    pub standing: Standing,
}

/// An object in the table.
#[derive(Debug)]
pub enum Slot {
    /// Under way.
    Active(Box<Entry>),
    /// Nothing is left to do. Kept until the watch says so too, because it may still show it as it was before.
    Over {
        /// Its namespace.
        namespace: String,
    },
}

/// All of them, by id and by uid.
#[derive(Debug, Default)]
pub struct Objects {
    slots: HashMap<Id, Slot>,
    by_uid: HashMap<String, Id>,
    uid_of: HashMap<Id, String>,
    last: Id,
}

impl Entry {
    /// One that was just seen.
    pub fn new(known: Cancellation, metrics: Arc<Metrics>) -> Self {
        Self {
            standing: Standing::new(known.object(), metrics),
            known,
            timer: None,
            grant: Grant::NotGranted,
            refused: None,
            unanswered: 0,
            api_requests: 0,
            unrecorded_cancel: false,
            leaving: false,
        }
    }
}

impl Objects {
    /// The id of a uid, if the object is known.
    pub fn id(&self, uid: &str) -> Option<Id> {
        self.by_uid.get(uid).copied()
    }

    /// An object that is under way.
    pub fn active(&mut self, id: Id) -> Option<&mut Entry> {
        match self.slots.get_mut(&id) {
            Some(Slot::Active(entry)) => Some(entry),
            _ => None,
        }
    }

    /// Takes in a new one.
    pub fn insert(&mut self, uid: String, entry: Entry) -> Id {
        self.last += 1;
        self.slots.insert(self.last, Slot::Active(Box::new(entry)));
        self.by_uid.insert(uid.clone(), self.last);
        self.uid_of.insert(self.last, uid);
        self.last
    }

    /// Nothing is left to do for it: what was known of it is given back, and only its place is kept.
    pub fn finish(&mut self, id: Id) -> Option<Box<Entry>> {
        let slot = self.slots.get_mut(&id)?;
        let Slot::Active(entry) = slot else {
            return None;
        };
        let over = Slot::Over {
            namespace: entry.known.object().namespace.clone(),
        };
        let Slot::Active(entry) = std::mem::replace(slot, over) else {
            return None;
        };
        Some(entry)
    }

    /// It left the watch: not even its place is kept.
    pub fn remove(&mut self, id: Id) -> Option<Box<Entry>> {
        if let Some(uid) = self.uid_of.remove(&id) {
            self.by_uid.remove(&uid);
        }
        match self.slots.remove(&id)? {
            Slot::Active(entry) => Some(entry),
            Slot::Over { .. } => None,
        }
    }

    /// Every object of a namespace, or of all, whose uid is not in a full list.
    pub fn not_listed(&self, namespace: Option<&str>, uids: &HashSet<String>) -> Vec<Id> {
        let of_scope = |slot: &Slot| match slot {
            Slot::Active(entry) => {
                namespace.is_none_or(|namespace| namespace == entry.known.object().namespace)
            }
            Slot::Over { namespace: own } => namespace.is_none_or(|namespace| namespace == own),
        };
        let not_listed = self
            .by_uid
            .iter()
            .filter(|(uid, _)| !uids.contains(*uid))
            .map(|(_, id)| *id);
        not_listed
            .filter(|id| self.slots.get(id).is_some_and(of_scope))
            .collect()
    }

    /// Everything that is under way.
    pub fn all_active(&self) -> impl Iterator<Item = (Id, &Entry)> {
        self.slots.iter().filter_map(|(id, slot)| match slot {
            Slot::Active(entry) => Some((*id, entry.as_ref())),
            Slot::Over { .. } => None,
        })
    }

    /// When the oldest that is under way was created, by what it waits for. Looks at each of them.
    pub fn oldest(&self) -> BTreeMap<WaitsFor, Timestamp> {
        let mut oldest = BTreeMap::new();
        for (_, entry) in self.all_active() {
            let created = entry.known.object().created;
            let before = oldest.entry(entry.standing.waits_for()).or_insert(created);
            *before = created.min(*before);
        }
        oldest
    }
}
