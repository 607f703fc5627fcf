//! The cancellations that this process knows, each with what the dispatcher keeps beside the life cycle's own knowledge.
//!
//! Most of them only wait. Those at which nobody looked for the longest are kept in their compact form, and are whole again as
//! soon as somebody asks for them.

mod asks;
pub mod object_metrics;
pub mod object_view;
#[cfg(test)]
mod tests;
pub mod timers;
mod uid;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;

use self::{
    asks::{AllAsks, Asks},
    object_metrics::Standing,
    timers::Wake,
    uid::Uid,
};
use crate::{
    controller::{api_server::versions::number, grants::book::Grants},
    google::token::Token,
    lifecycle::{Cancellation, Grant, ObjectView, Packed, Packer},
    telemetry::{metrics::Metrics, series::Phase},
};

/// Stands for one object in this process, and never for another: late answers to a forgotten one reach nobody.
pub type Id = u64;

/// So many objects stay whole: making them small would cost time and save nothing that matters. In a program for tests nearly
/// none, so that whatever is tested with two objects is tested with compact forms.
const WHOLE: usize = if cfg!(debug_assertions) { 1 } else { 256 };

/// How many objects are looked at to find one to make small: those in use just now, or with a write under way, stay whole.
const TRIES: usize = 16;

/// What concerns all objects looks at so many of them at a time.
pub const LOOKED_AT: usize = 256;

/// So many of them are found at a time: something is done with each.
const FOUND: usize = 64;

/// One unfinished object.
#[derive(Debug)]
pub struct Entry<'a> {
    /// What is known of it.
    pub known: &'a mut Cancellation,
    /// What is kept beside that.
    pub kept: &'a mut Kept,
}

/// What the dispatcher keeps of an object.
#[derive(Debug)]
pub struct Kept {
    /// When it is to be woken.
    pub timer: Option<Wake>,
    /// What the grants said at the last step.
    pub grant: Grant,
    /// The last token that Google did not accept.
    pub refused: Option<Token>,
    /// Effects that wait or are under way, not answered yet.
    pub unanswered: u32,
    /// Those of them that are requests to the API server, and not just a write's place in the queue.
    pub api_requests: u32,
    /// The watch says that it is finished or gone, but a write's answer is still to come.
    pub leaving: bool,
    /// What is counted of it.
    pub standing: Standing,
}

/// An object in the table.
#[derive(Debug)]
enum Slot {
    /// Under way.
    Live(Box<Live>),
    /// Nothing is left to do. Kept until the watch says so too, because it may still show it as it was before.
    Over(Box<Over>),
}

#[derive(Debug)]
struct Over {
    uid: Uid,
    namespace: String,
    /// As it was known last.
    version: Option<u64>,
}

/// How an object that is seen compares with what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// It is known as it is.
    Same,
    /// It is newer, or nobody can tell.
    Newer,
    /// It is known at this version, which is newer.
    Older(u64),
}

#[derive(Debug)]
struct Live {
    known: Known,
    created: Timestamp,
    /// Somebody looked at it since it was last considered for a compact form.
    looked_at: bool,
    kept: Kept,
}

#[derive(Debug)]
enum Known {
    Whole(Box<Cancellation>),
    Small {
        packed: Packed,
        asks: Arc<Asks<String>>,
        version: Option<u64>,
    },
}

/// All of them, by id and by uid.
#[derive(Debug, Default)]
pub struct Objects {
    slots: BTreeMap<Id, Slot>,
    /// Those of which only this process knows something that has to be stored.
    unrecorded: BTreeSet<Id>,
    by_uid: HashMap<Uid, Id>,
    last: Id,
    /// Each whole one once, in the order in which they are considered for a compact form; also some that are gone.
    whole: VecDeque<Id>,
    packer: Packer,
    asks: AllAsks,
}

impl Live {
    fn new(known: Cancellation, metrics: Arc<Metrics>) -> Self {
        let object = known.object();
        Self {
            created: object.created,
            looked_at: true,
            kept: Kept {
                timer: None,
                grant: Grant::NotGranted,
                refused: None,
                unanswered: 0,
                api_requests: 0,
                leaving: false,
                standing: Standing::new(object, metrics),
            },
            known: Known::Whole(Box::new(known)),
        }
    }

    fn is_in(&self, namespace: &str) -> bool {
        namespace
            == match &self.known {
                Known::Whole(known) => &known.object().namespace,
                Known::Small { asks, .. } => &asks.namespace,
            }
    }

    fn grant(&self, grants: &Grants) -> Grant {
        match &self.known {
            Known::Whole(known) => grant_of(grants, known.object()),
            Known::Small { asks, .. } => asks.as_str().grant(grants),
        }
    }
}

impl Objects {
    /// The id of a uid, if the object is known.
    pub fn id(&self, uid: &str) -> Option<Id> {
        self.by_uid.get(&Uid::of(uid)).copied()
    }

    /// How an object that is seen at this version compares with what is known of it. Our own writes are seen so, and all objects
    /// in a full list.
    pub fn compare(&self, id: Id, version: Option<&str>) -> Compared {
        let known = match self.slots.get(&id) {
            None => None,
            Some(Slot::Over(over)) => over.version,
            Some(Slot::Live(live)) => match &live.known {
                Known::Whole(known) => {
                    let known = known.object();
                    if Some(known.resource_version.as_str()) == version {
                        return Compared::Same;
                    }
                    known.version_number()
                }
                Known::Small { version, .. } => *version,
            },
        };
        match known.zip(version.and_then(number)) {
            Some((known, seen)) if seen == known => Compared::Same,
            Some((known, seen)) if seen < known => Compared::Older(known),
            _ => Compared::Newer,
        }
    }

    /// Whether nothing is left to do for it.
    pub fn is_over(&self, id: Id) -> bool {
        matches!(self.slots.get(&id), Some(Slot::Over(_)))
    }

    /// An object that is under way.
    pub fn active(&mut self, id: Id) -> Option<Entry<'_>> {
        if let Slot::Live(live) = self.slots.get(&id)?
            && let Known::Small { packed, .. } = &live.known
        {
            let Some(known) = self.packer.unpack(packed) else {
                // Not possible; the next full list shows it as new.
                tracing::error!("an object was lost in memory, it is read again");
                self.forget(id);
                return None;
            };
            self.make_room();
            self.whole.push_back(id);
            if let Some(Slot::Live(live)) = self.slots.get_mut(&id) {
                live.known = Known::Whole(Box::new(known));
            }
        }
        let Some(Slot::Live(live)) = self.slots.get_mut(&id) else {
            return None;
        };
        live.looked_at = true;
        let Known::Whole(known) = &mut live.known else {
            return None;
        };
        Some(Entry {
            known,
            kept: &mut live.kept,
        })
    }

    /// Takes in a new one.
    pub fn insert(&mut self, known: Cancellation, metrics: Arc<Metrics>) -> Id {
        self.make_room();
        self.last += 1;
        let uid = Uid::of(&known.object().uid);
        let live = Box::new(Live::new(known, metrics));
        self.slots.insert(self.last, Slot::Live(live));
        self.by_uid.insert(uid, self.last);
        self.whole.push_back(self.last);
        self.last
    }

    /// Before one more is whole: the one that nobody looked at for the longest becomes small.
    fn make_room(&mut self) {
        for _ in 0..TRIES {
            if self.whole.len() < WHOLE {
                return;
            }
            let Some(id) = self.whole.pop_front() else {
                return;
            };
            let Some(Slot::Live(live)) = self.slots.get_mut(&id) else {
                continue;
            };
            let Known::Whole(known) = &live.known else {
                continue;
            };
            let small = if std::mem::take(&mut live.looked_at) {
                None
            } else {
                // One without a readable spec has its outcome in a moment.
                Asks::of(known.object())
                    .map(Asks::to_owned)
                    .zip(self.packer.pack(known))
            };
            match small {
                Some((asks, packed)) => {
                    live.known = Known::Small {
                        version: known.object().version_number(),
                        asks: self.asks.share(asks),
                        packed,
                    };
                }
                None => self.whole.push_back(id),
            }
        }
    }

    /// Nothing is left to do for it: only its place is kept. Gives back its timer.
    pub fn finish(&mut self, id: Id) -> Option<Wake> {
        let entry = self.active(id)?;
        let timer = entry.kept.timer.take();
        let object = entry.known.object();
        let over = Box::new(Over {
            uid: Uid::of(&object.uid),
            namespace: object.namespace.clone(),
            version: object.version_number(),
        });
        self.slots.insert(id, Slot::Over(over));
        self.unrecorded.remove(&id);
        timer
    }

    /// It left the watch: not even its place is kept.
    pub fn remove(&mut self, id: Id) {
        self.finish(id);
        if let Some(Slot::Over(over)) = self.slots.remove(&id) {
            self.by_uid.remove(&over.uid);
        }
    }

    fn forget(&mut self, id: Id) {
        self.slots.remove(&id);
        self.unrecorded.remove(&id);
        self.by_uid.retain(|_, known| *known != id);
    }

    /// The newest of all.
    pub const fn last(&self) -> Id {
        self.last
    }

    /// Whether only this process knows something of it that has to be stored.
    pub fn set_unrecorded(&mut self, id: Id, unrecorded: bool) {
        if unrecorded {
            self.unrecorded.insert(id);
        } else {
            self.unrecorded.remove(&id);
        }
    }

    /// Whether all that this process knows is stored.
    pub fn is_all_recorded(&self) -> bool {
        self.unrecorded.is_empty()
    }

    /// Some of those of which only this process knows something that has to be stored, and where to go on.
    pub fn unrecorded(&self, from: Id) -> (Vec<Id>, Option<Id>) {
        let mut rest = self.unrecorded.range(from..).copied();
        let some = rest.by_ref().take(FOUND).collect();
        (some, rest.next())
    }

    /// Looks at some objects from this one on. What is found, and where to go on; none at the end.
    fn some(&self, from: Id, is_meant: impl Fn(Id, &Slot) -> bool) -> (Vec<Id>, Option<Id>) {
        let mut found = Vec::new();
        let mut rest = self.slots.range(from..);
        for (id, slot) in rest.by_ref().take(LOOKED_AT) {
            if is_meant(*id, slot) {
                found.push(*id);
            }
            if found.len() >= FOUND {
                break;
            }
        }
        (found, rest.next().map(|(id, _)| *id))
    }

    /// Some of those, up to `last`, of a namespace, or of all, that are not listed; and where to go on.
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

    /// Some of those for which the grants now say something else than at their last step, and where to go on.
    pub fn regranted(&self, from: Id, grants: &Grants) -> (Vec<Id>, Option<Id>) {
        self.some(from, |_, slot| match slot {
            Slot::Live(live) => live.grant(grants) != live.kept.grant,
            Slot::Over(_) => false,
        })
    }

    /// Notes of some that are under way when the oldest was created, by what it waits for; where to go on.
    pub fn oldest(&self, from: Id, oldest: &mut BTreeMap<Phase, Timestamp>) -> Option<Id> {
        let mut rest = self.slots.range(from..);
        for (_, slot) in rest.by_ref().take(LOOKED_AT) {
            if let Slot::Live(live) = slot {
                let phase = live.kept.standing.phase();
                let before = oldest.entry(phase).or_insert(live.created);
                *before = live.created.min(*before);
            }
        }
        rest.next().map(|(id, _)| *id)
    }
}

/// What the grants say of an object. Nothing is granted to what cannot be read.
pub fn grant_of(grants: &Grants, object: &ObjectView) -> Grant {
    Asks::of(object).map_or(Grant::NotGranted, |asks| asks.grant(grants))
}
