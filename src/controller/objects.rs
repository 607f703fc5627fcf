//! All cancellations of this process: the state of each, and what the dispatcher tracks beside it.
//!
//! Most of them only wait. The least recently used ones are packed, and unpacked when they are used again.

pub mod id;
pub mod object_metrics;
pub mod object_view;
pub mod timers;
mod uid;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use self::{id::Id, object_metrics::ObjectMetrics, timers::Wake, uid::Uid};
use crate::{
    controller::{
        api_server::versions::number,
        grants::{
            book::Grants,
            grant_key::{GrantKey, Interner},
        },
    },
    google::token::Token,
    lifecycle::{Cancellation, Grant, ObjectView, Packed, Packer},
    telemetry::{metrics::Metrics, series::Phase},
};

/// The number of unpacked objects. In a debug build it is one, so that a test with two objects tests packed ones.
const MOST_UNPACKED: usize = if cfg!(debug_assertions) { 1 } else { 256 };

/// How many objects are tried to find one to pack: those in use, or with a write in flight, stay unpacked.
const PACK_TRIES: usize = 16;

/// How many objects one part of a sweep examines.
pub const EXAMINED_AT_ONCE: usize = 256;

/// How many matches one part of a sweep returns: the dispatcher does something with each.
const FOUND_AT_ONCE: usize = 64;

/// An unfinished object.
#[derive(Debug)]
pub struct Entry<'a> {
    pub state: &'a mut Cancellation,
    pub tracking: &'a mut Tracking,
}

/// What the dispatcher tracks of an object beside its state.
#[derive(Debug)]
pub struct Tracking {
    /// When its next step is due.
    pub timer: Option<Wake>,
    /// Whether a grant allowed it at the last step.
    pub grant: Grant,
    /// The last token that Google did not accept.
    pub refused_token: Option<Token>,
    /// When the token of its ServiceAccount was requested for the intent that is being written.
    pub token_requested: Option<Duration>,
    /// Its next cancel request was counted for the namespace already, with its intent.
    pub is_cancel_counted: bool,
    /// Effects that wait or are in flight.
    pub pending_effects: u32,
    /// How many of them are requests to the API server; a queued write is not.
    pub api_requests: u32,
    /// It was kept while another process led, and had no step yet.
    pub is_kept: bool,
    /// The object left the watch, but the answer to a write is still to come.
    pub left_watch: bool,
    pub metrics: ObjectMetrics,
}

/// An entry of the table.
#[derive(Debug)]
enum Slot {
    /// Unfinished.
    Live(Box<Live>),
    /// Nothing is left to do. It stays until it leaves the watch, which may still show an older version of it.
    Over(Box<Over>),
}

#[derive(Debug)]
struct Over {
    uid: Uid,
    namespace: String,
    /// The last version.
    version: Option<u64>,
}

/// How a received object compares with the one in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// It is the same version.
    Same,
    /// It is newer, or the versions cannot be compared.
    Newer,
    /// It is older than this version, which is in the table.
    Older(u64),
}

#[derive(Debug)]
struct Live {
    state: State,
    created: Timestamp,
    /// It was used since it was last tried to pack it.
    used: bool,
    tracking: Tracking,
}

#[derive(Debug)]
enum State {
    Unpacked(Box<Cancellation>),
    Packed {
        packed: Packed,
        grant_key: Arc<GrantKey<String>>,
        version: Option<u64>,
    },
}

/// The table of objects, by id and by uid.
#[derive(Debug, Default)]
pub struct Objects {
    slots: BTreeMap<Id, Slot>,
    /// Objects with something that has to be stored and is not.
    unrecorded: BTreeSet<Id>,
    by_uid: HashMap<Uid, Id>,
    last: Id,
    /// Each unpacked object once, in the order in which they are tried to pack; and some that are gone.
    unpacked: VecDeque<Id>,
    packer: Packer,
    grant_keys: Interner,
}

impl Live {
    fn new(state: Cancellation, metrics: Arc<Metrics>) -> Self {
        let object = state.object();
        Self {
            created: object.created,
            used: true,
            tracking: Tracking {
                timer: None,
                grant: Grant::NotGranted,
                refused_token: None,
                token_requested: None,
                is_cancel_counted: false,
                pending_effects: 0,
                api_requests: 0,
                is_kept: false,
                left_watch: false,
                metrics: ObjectMetrics::new(object, metrics),
            },
            state: State::Unpacked(Box::new(state)),
        }
    }

    fn is_in(&self, namespace: &str) -> bool {
        namespace
            == match &self.state {
                State::Unpacked(state) => &state.object().namespace,
                State::Packed { grant_key, .. } => &grant_key.namespace,
            }
    }

    fn grant(&self, grants: &Grants) -> Grant {
        match &self.state {
            State::Unpacked(state) => grant_of(grants, state.object()),
            State::Packed { grant_key, .. } => grant_key.as_str().grant(grants),
        }
    }
}

impl Objects {
    /// The id of the object with this uid.
    pub fn id(&self, uid: &str) -> Option<Id> {
        self.by_uid.get(&Uid::of(uid)).copied()
    }

    /// Compares a received version with the one in the table. Most received ones are the same: our own writes, and full lists.
    pub fn compare(&self, id: Id, version: Option<&str>) -> Compared {
        let known = match self.slots.get(&id) {
            None => None,
            Some(Slot::Over(over)) => over.version,
            Some(Slot::Live(live)) => match &live.state {
                State::Unpacked(state) => {
                    let object = state.object();
                    if Some(object.resource_version.as_str()) == version {
                        return Compared::Same;
                    }
                    object.version_number()
                }
                State::Packed { version, .. } => *version,
            },
        };
        match known.zip(version.and_then(number)) {
            Some((known, received)) if received == known => Compared::Same,
            Some((known, received)) if received < known => Compared::Older(known),
            _ => Compared::Newer,
        }
    }

    /// Whether nothing is left to do for it.
    pub fn is_over(&self, id: Id) -> bool {
        matches!(self.slots.get(&id), Some(Slot::Over(_)))
    }

    /// An unfinished object, unpacked if necessary.
    pub fn active(&mut self, id: Id) -> Option<Entry<'_>> {
        if let Slot::Live(live) = self.slots.get(&id)?
            && let State::Packed { packed, .. } = &live.state
        {
            let Some(state) = self.packer.unpack(packed) else {
                // Not possible. The next full list would show it as new.
                tracing::error!("an object could not be unpacked in memory; it is read again");
                self.forget(id);
                return None;
            };
            self.make_room();
            self.unpacked.push_back(id);
            if let Some(Slot::Live(live)) = self.slots.get_mut(&id) {
                live.state = State::Unpacked(Box::new(state));
            }
        }
        let Some(Slot::Live(live)) = self.slots.get_mut(&id) else {
            return None;
        };
        live.used = true;
        let State::Unpacked(state) = &mut live.state else {
            return None;
        };
        Some(Entry {
            state,
            tracking: &mut live.tracking,
        })
    }

    /// Adds an object.
    pub fn insert(&mut self, state: Cancellation, metrics: Arc<Metrics>) -> Id {
        self.make_room();
        self.last += 1;
        let uid = Uid::of(&state.object().uid);
        let live = Box::new(Live::new(state, metrics));
        self.slots.insert(self.last, Slot::Live(live));
        self.by_uid.insert(uid, self.last);
        self.unpacked.push_back(self.last);
        self.last
    }

    /// Before one more object is unpacked: packs the least recently used one.
    fn make_room(&mut self) {
        for _ in 0..PACK_TRIES {
            if self.unpacked.len() < MOST_UNPACKED {
                return;
            }
            let Some(id) = self.unpacked.pop_front() else {
                return;
            };
            let Some(Slot::Live(live)) = self.slots.get_mut(&id) else {
                continue;
            };
            let State::Unpacked(state) = &live.state else {
                continue;
            };
            let packed = if std::mem::take(&mut live.used) {
                None
            } else {
                // One without a readable spec will have its outcome in a moment.
                GrantKey::of(state.object())
                    .map(GrantKey::to_owned)
                    .zip(self.packer.pack(state))
            };
            match packed {
                Some((grant_key, packed)) => {
                    live.state = State::Packed {
                        version: state.object().version_number(),
                        grant_key: self.grant_keys.intern(grant_key),
                        packed,
                    };
                }
                None => self.unpacked.push_back(id),
            }
        }
    }

    /// Nothing is left to do for the object: only its version stays. Returns its timer.
    pub fn finish(&mut self, id: Id) -> Option<Wake> {
        let entry = self.active(id)?;
        let timer = entry.tracking.timer.take();
        let object = entry.state.object();
        let over = Box::new(Over {
            uid: Uid::of(&object.uid),
            namespace: object.namespace.clone(),
            version: object.version_number(),
        });
        self.slots.insert(id, Slot::Over(over));
        self.unrecorded.remove(&id);
        timer
    }

    /// Removes an object that left the watch.
    pub fn remove(&mut self, id: Id) {
        self.finish(id);
        if let Some(Slot::Over(over)) = self.slots.remove(&id) {
            self.by_uid.remove(&over.uid);
        }
    }

    /// How many objects there are.
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    fn forget(&mut self, id: Id) {
        self.slots.remove(&id);
        self.unrecorded.remove(&id);
        self.by_uid.retain(|_, other| *other != id);
    }

    /// The id of the newest object.
    pub const fn last(&self) -> Id {
        self.last
    }

    /// Notes whether the object has something that has to be stored and is not.
    pub fn set_unrecorded(&mut self, id: Id, unrecorded: bool) {
        if unrecorded {
            self.unrecorded.insert(id);
        } else {
            self.unrecorded.remove(&id);
        }
    }

    /// Whether everything that has to be stored is.
    pub fn is_all_recorded(&self) -> bool {
        self.unrecorded.is_empty()
    }

    /// All objects with something that has to be stored.
    pub fn all_unrecorded(&self) -> impl Iterator<Item = Id> {
        self.unrecorded.iter().copied()
    }

    /// Some objects with something that has to be stored, and where to continue.
    pub fn unrecorded(&self, from: Id) -> (Vec<Id>, Option<Id>) {
        let mut rest = self.unrecorded.range(from..).copied();
        let some = rest.by_ref().take(FOUND_AT_ONCE).collect();
        (some, rest.next())
    }

    /// Examines some objects from this one on. Returns the matches, and where to continue; `None` at the end.
    fn some(&self, from: Id, is_meant: impl Fn(Id, &Slot) -> bool) -> (Vec<Id>, Option<Id>) {
        let mut found = Vec::new();
        let mut rest = self.slots.range(from..);
        for (id, slot) in rest.by_ref().take(EXAMINED_AT_ONCE) {
            if is_meant(*id, slot) {
                found.push(*id);
            }
            if found.len() >= FOUND_AT_ONCE {
                break;
            }
        }
        (found, rest.next().map(|(id, _)| *id))
    }

    /// Some objects that were kept and had no step yet, in phases that are `meant`, before this one, the latest first. Returns
    /// where to continue; `None` at the end.
    pub fn kept_before(
        &self,
        before: Id,
        is_meant: impl Fn(Phase) -> bool,
    ) -> (Vec<Id>, Option<Id>) {
        let (mut found, mut last) = (Vec::new(), None);
        let mut rest = self.slots.range(..before).rev();
        for (id, slot) in rest.by_ref().take(EXAMINED_AT_ONCE) {
            last = Some(*id);
            if let Slot::Live(live) = slot
                && live.tracking.is_kept
                && is_meant(live.tracking.metrics.phase())
            {
                found.push(*id);
            }
            if found.len() >= FOUND_AT_ONCE {
                break;
            }
        }
        (found, rest.next().and(last))
    }

    /// Some objects of a namespace, or of all, up to `last`, that are not in `listed`; and where to continue.
    pub fn not_listed(
        &self,
        from: Id,
        last: Id,
        namespace: Option<&str>,
        listed: &HashSet<Id>,
    ) -> (Vec<Id>, Option<Id>) {
        let is_of_scope = |slot: &Slot| {
            namespace.is_none_or(|namespace| match slot {
                Slot::Live(live) => live.is_in(namespace),
                Slot::Over(over) => namespace == over.namespace,
            })
        };
        let (found, next) = self.some(from, |id, slot| {
            id <= last && !listed.contains(&id) && is_of_scope(slot)
        });
        (found, next.filter(|next| *next <= last))
    }

    /// Some objects whose grant has changed since their last step, and where to continue.
    pub fn regranted(&self, from: Id, grants: &Grants) -> (Vec<Id>, Option<Id>) {
        self.some(from, |_, slot| match slot {
            Slot::Live(live) => live.grant(grants) != live.tracking.grant,
            Slot::Over(_) => false,
        })
    }

    /// Adds some unfinished objects to the oldest creation time of each phase. Returns where to continue.
    pub fn oldest(&self, from: Id, oldest: &mut BTreeMap<Phase, Timestamp>) -> Option<Id> {
        let mut rest = self.slots.range(from..);
        for (_, slot) in rest.by_ref().take(EXAMINED_AT_ONCE) {
            if let Slot::Live(live) = slot {
                let phase = live.tracking.metrics.phase();
                let before = oldest.entry(phase).or_insert(live.created);
                *before = live.created.min(*before);
            }
        }
        rest.next().map(|(id, _)| *id)
    }
}

/// Whether the grants allow an object. An object whose spec cannot be read is not granted.
pub fn grant_of(grants: &Grants, object: &ObjectView) -> Grant {
    GrantKey::of(object).map_or(Grant::NotGranted, |key| key.grant(grants))
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
