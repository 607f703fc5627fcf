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
    /// When the next round after a change of the grants may begin.
    regrant_from: Duration,
    lists: VecDeque<NotListed>,
    /// At the end of the process: the next object with an unrecorded result.
    drain: Option<Id>,
    oldest: Option<(Id, BTreeMap<Phase, Timestamp>)>,
}

/// After each round the next one waits for three times as long as the round took. So a label that changes hundreds of times a second
/// leaves this task most of its time, however many objects there are.
const PAUSE_FACTOR: u32 = 3;

/// A sweep that visits each object once after the last change. A change during the sweep extends it by one round.
#[derive(Debug, Default, PartialEq, Eq)]
struct Round {
    /// When it begins. A later round moves it.
    from: Duration,
    next: Id,
    /// Where it ends; `None` is after the last object.
    until: Option<Id>,
    /// After the last object it continues from the first one until here.
    again_until: Option<Id>,
}

impl Round {
    /// Begins then.
    fn beginning(from: Duration) -> Self {
        Self {
            from,
            ..Self::default()
        }
    }

    /// All objects have to be visited once more.
    fn anew(&mut self) {
        self.again_until = Some(self.next);
        self.until = None;
    }

    /// The objects before `next` were visited; `None` means all. Returns whether the round continues; if it does not, `from` is when
    /// the next one may begin.
    fn goes_on(&mut self, next: Option<Id>, now: Duration) -> bool {
        match next {
            Some(next) => {
                self.next = next;
                self.until.is_none_or(|until| next < until)
            }
            None => {
                let took = now.saturating_sub(self.from);
                self.from = now.saturating_add(took.saturating_mul(PAUSE_FACTOR));
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
            None => {
                let from = self.sweeps.regrant_from.max(self.calls.clock.mono());
                self.sweeps.regrant = Some(Round::beginning(from));
            }
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

    /// When a sweep that waits continues.
    pub(super) fn sweep_wakes_at(&self) -> Option<Duration> {
        self.sweeps.regrant.as_ref().map(|round| round.from)
    }

    /// Does a part of the sweeps. Returns whether there is more to do at once.
    pub(super) fn sweep(&mut self) -> bool {
        self.drain_some();
        self.begin_some_kept();
        let regrants = self.regrant_some();
        self.remove_some();
        self.find_oldest();
        let sweeps = &self.sweeps;
        sweeps.drain.is_some()
            || sweeps.kept.is_some()
            || regrants
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

    /// Steps objects whose grant has changed. Returns whether there are more to look at now.
    fn regrant_some(&mut self) -> bool {
        let now = self.calls.clock.mono();
        let due = self.sweeps.regrant.take_if(|round| round.from <= now);
        let Some(mut round) = due else {
            return false;
        };
        let grants = self.calls.grants.now();
        let (regranted, next) = self.objects.regranted(round.next, &grants);
        for id in regranted {
            self.step(id, Event::Woken);
        }
        let now = self.calls.clock.mono();
        let goes_on = round.goes_on(next, now);
        let from = round.from;
        self.sweeps.regrant_from = from;
        self.sweeps.regrant = goes_on.then_some(round);
        goes_on && from <= now
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
            if !round.goes_on(next, Duration::ZERO) {
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

    /// Before, a label that changed all the time kept the task at one sweep after the other.
    #[test]
    fn changes_without_end_take_a_quarter_of_the_time() {
        const TURN: Duration = Duration::from_millis(1);
        let (mut round, mut now, mut busy) = (Round::default(), Duration::ZERO, Duration::ZERO);
        while now < 10_000 * TURN {
            round.anew();
            now = now.max(round.from) + TURN;
            busy += TURN;
            let next = (round.next + 10 < 100).then_some(round.next + 10);
            assert!(round.goes_on(next, now));
        }
        assert!(busy <= now / 4 + 10 * TURN, "{busy:?} of {now:?}");
    }
}
