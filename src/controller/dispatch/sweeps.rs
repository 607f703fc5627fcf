//! Work on all objects: after a change of the grants, after a full list, at the end of the process, and for the age of the oldest.
//! Each turn of the loop does a part of it, so that other events are handled in between.

use std::{
    collections::{BTreeMap, HashSet, VecDeque, hash_set},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::Dispatcher;
use crate::{
    controller::objects::{EXAMINED_AT_ONCE, id::Id},
    lifecycle::Event,
    telemetry::series::Phase,
};

/// The sweeps in progress.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    /// After the promotion of this process: the objects that it kept.
    kept: Option<KeptSweep>,
    regrant: Option<Round>,
    lists: VecDeque<NotListed>,
    /// At the end of the process: the next object with an unrecorded result.
    drain: Option<Id>,
    oldest: Option<(Id, BTreeMap<Phase, Timestamp>)>,
}

/// A sweep that visits each object once after the last change. A change during the sweep extends it by one round.
#[derive(Debug, Default, PartialEq, Eq)]
struct Round {
    next: Id,
    /// Where it ends; `None` is after the last object.
    until: Option<Id>,
    /// After the last object it continues from the first one until here.
    again_until: Option<Id>,
}

impl Round {
    /// All objects have to be visited once more.
    fn anew(&mut self) {
        self.again_until = Some(self.next);
        self.until = None;
    }

    /// The objects before `next` were visited; `None` means all. Returns whether the round continues.
    fn goes_on(&mut self, next: Option<Id>) -> bool {
        match next {
            Some(next) => {
                self.next = next;
                self.until.is_none_or(|until| next < until)
            }
            None => {
                self.next = 0;
                self.until = self.again_until.take();
                self.until.is_some_and(|until| until > 0)
            }
        }
    }
}

/// A sweep over the objects that were kept while this process stood by, the latest first. It goes over them twice: cancel requests
/// that were not accepted yet come before everything else.
#[derive(Debug)]
struct KeptSweep {
    is_second: bool,
    /// The objects from this one on were visited.
    before: Id,
}

/// A sweep for objects that a full list did not have.
#[derive(Debug)]
struct NotListed {
    namespace: Option<Arc<str>>,
    uids: hash_set::IntoIter<String>,
    listed: HashSet<Id>,
    next: Id,
    /// The newest object when the list ended; later ones are not checked.
    last: Id,
}

impl Dispatcher {
    /// This process leads now.
    pub(super) fn sweep_kept(&mut self) {
        self.sweeps.kept = Some(KeptSweep {
            is_second: false,
            before: Id::MAX,
        });
    }

    /// The grants changed.
    pub(super) fn sweep_grants(&mut self) {
        match &mut self.sweeps.regrant {
            Some(round) => round.anew(),
            None => self.sweeps.regrant = Some(Round::default()),
        }
    }

    /// A full list of a namespace, or of all, has these objects and no others.
    pub(super) fn sweep_not_listed(&mut self, namespace: Option<Arc<str>>, uids: HashSet<String>) {
        self.sweeps.lists.push_back(NotListed {
            namespace,
            uids: uids.into_iter(),
            listed: HashSet::new(),
            next: 0,
            last: self.objects.last(),
        });
    }

    /// The process is ending: all unrecorded results have to be stored.
    pub(super) fn sweep_unrecorded(&mut self) {
        self.sweeps = Sweeps {
            drain: Some(0),
            ..Sweeps::default()
        };
    }

    /// Finds out how old the oldest objects are.
    pub(super) fn sweep_oldest(&mut self) {
        if self.sweeps.oldest.is_none() {
            self.sweeps.oldest = Some((0, BTreeMap::new()));
        }
    }

    /// Does a part of the sweeps. Returns whether there is more to do.
    pub(super) fn sweep(&mut self) -> bool {
        self.drain_some();
        self.begin_some_kept();
        self.regrant_some();
        self.remove_some();
        self.find_oldest();
        let sweeps = &self.sweeps;
        sweeps.drain.is_some()
            || sweeps.kept.is_some()
            || sweeps.regrant.is_some()
            || sweeps.oldest.is_some()
            || !sweeps.lists.is_empty()
    }

    fn drain_some(&mut self) {
        if let Some(from) = self.sweeps.drain {
            let (unrecorded, next) = self.objects.unrecorded(from);
            self.sweeps.drain = next;
            for id in unrecorded {
                self.step(id, Event::Woken);
            }
        }
    }

    fn begin_some_kept(&mut self) {
        let Some(KeptSweep { is_second, before }) = self.sweeps.kept.take() else {
            return;
        };
        let (kept, next) = self
            .objects
            .kept_before(before, |phase| is_second || phase == Phase::Request);
        self.sweeps.kept = match next {
            Some(before) => Some(KeptSweep { is_second, before }),
            None if is_second => None,
            None => Some(KeptSweep {
                is_second: true,
                before: Id::MAX,
            }),
        };
        for id in kept {
            self.step(id, Event::Woken);
        }
    }

    /// Steps objects whose grant has changed.
    fn regrant_some(&mut self) {
        let Some(mut round) = self.sweeps.regrant.take() else {
            return;
        };
        let grants = self.calls.grants.now();
        let (regranted, next) = self.objects.regranted(round.next, &grants);
        for id in regranted {
            self.step(id, Event::Woken);
        }
        self.sweeps.regrant = round.goes_on(next).then_some(round);
    }

    fn remove_some(&mut self) {
        let Some(list) = self.sweeps.lists.front_mut() else {
            return;
        };
        let uids = list.uids.by_ref().take(EXAMINED_AT_ONCE);
        let ids: Vec<Id> = uids.filter_map(|uid| self.objects.id(&uid)).collect();
        list.listed.extend(ids);
        if list.uids.len() > 0 {
            return;
        }
        let namespace = list.namespace.as_deref();
        let (gone, next) = self
            .objects
            .not_listed(list.next, list.last, namespace, &list.listed);
        match next {
            Some(next) => list.next = next,
            None => {
                self.sweeps.lists.pop_front();
            }
        }
        for id in gone {
            self.handle_gone(id);
        }
    }

    fn find_oldest(&mut self) {
        let Some((from, mut found)) = self.sweeps.oldest.take() else {
            return;
        };
        match self.objects.oldest(from, &mut found) {
            Some(next) => self.sweeps.oldest = Some((next, found)),
            None => self.metrics.oldest(found),
        }
    }

    /// A turn of the loop has ended.
    pub(super) fn note_turn(&self, took: Duration) {
        self.metrics.turn(took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The objects that a round visits, ten a turn out of a hundred, with a change after each of these turns.
    fn looked_at(changes: &[usize]) -> Vec<Id> {
        let (mut round, mut seen) = (Round::default(), Vec::new());
        for turn in 1.. {
            seen.extend(round.next..round.next + 10);
            let next = (round.next + 10 < 100).then_some(round.next + 10);
            if !round.goes_on(next) {
                return seen;
            }
            if changes.contains(&turn) {
                round.anew();
            }
        }
        seen
    }

    #[test]
    fn a_round_looks_at_all_since_the_last_change_and_ends() {
        assert_eq!(looked_at(&[]).len(), 100);
        for changes in [
            vec![1],
            vec![4],
            vec![9],
            vec![4, 6],
            vec![4, 12],
            (1..40).collect(),
        ] {
            let seen = looked_at(&changes);
            let last = *changes.last().unwrap();
            let mut since: Vec<Id> = seen.iter().skip(10 * last).copied().collect();
            assert_eq!(since.len(), 100, "{changes:?}");
            since.sort_unstable();
            assert_eq!(since, (0..100).collect::<Vec<Id>>(), "{changes:?}");
        }
    }
}
