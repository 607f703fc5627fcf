use std::time::Duration;

use super::*;
use crate::{
    api::{AcceptedOutcome, CancellationGrantSpec, CancellationStatus, IdentityKind},
    google::{catalogue, endpoint::EndpointOverrides},
    lifecycle::{Now, Spec},
};

fn object(n: usize) -> ObjectView {
    ObjectView {
        uid: format!("uid-{n}"),
        namespace: format!("team-{}", n % 3),
        name: format!("stop-{n}"),
        resource_version: n.to_string(),
        generation: 1,
        created: Timestamp::from_second(1_700_000_000 + n.cast_signed() as i64).unwrap(),
        deleting: false,
        spec: Ok(Spec {
            target: Ok(catalogue::read(
                "dialogflow",
                None,
                &format!("projects/acme-{}/operations/o", n % 2),
                &EndpointOverrides::default(),
            )
            .unwrap()),
            service_account_name: None,
            accepted_outcomes: AcceptedOutcome::DEFAULT.into_iter().collect(),
            deadline: Duration::from_secs(60),
            suspend: false,
        }),
        status: CancellationStatus::default(),
    }
}

fn new(n: usize) -> Cancellation {
    let now = Now {
        wall: Timestamp::from_second(1_700_000_000).unwrap(),
        mono: Duration::from_nanos(n as u64),
    };
    Cancellation::new(object(n), now)
}

/// So many objects, nearly all of them packed.
fn many(count: usize) -> (Objects, Vec<Id>) {
    let mut objects = Objects::default();
    let ids = (0..count).map(|n| objects.insert(new(n), Arc::default()));
    let ids = ids.collect();
    (objects, ids)
}

impl Objects {
    fn packed(&self) -> usize {
        let is_packed = |slot: &&Slot| matches!(slot, Slot::Live(live) if matches!(live.state, State::Packed { .. }));
        self.slots.values().filter(is_packed).count()
    }
}

/// The objects that a sweep over the kept ones finds, in its order.
fn kept(objects: &Objects, phase: Phase) -> Vec<Id> {
    let (mut found, mut before) = (Vec::new(), Some(Id::MAX));
    while let Some(from) = before {
        let (some, next) = objects.kept_before(from, |of| of == phase);
        assert!(some.len() <= FOUND_AT_ONCE);
        found.extend(some);
        before = next;
    }
    found
}

#[test]
fn kept_objects_are_found_the_latest_first_and_each_once() {
    let (mut objects, ids) = many(1000);
    assert!(kept(&objects, Phase::Request).is_empty());
    for id in ids.iter().filter(|id| **id % 3 > 0) {
        objects.active(*id).unwrap().tracking.is_kept = true;
    }
    let expected: Vec<Id> = ids.into_iter().rev().filter(|id| id % 3 > 0).collect();
    assert_eq!(kept(&objects, Phase::Request), expected);
    assert!(kept(&objects, Phase::Completion).is_empty());
    assert!(kept(&Objects::default(), Phase::Request).is_empty());
}

#[test]
fn all_but_a_few_are_packed_and_each_comes_back_as_it_was() {
    let (mut objects, ids) = many(1500);
    assert!(objects.packed() >= 1400, "{}", objects.packed());
    for round in 0..2 {
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(objects.id(&format!("uid-{n}")), Some(*id));
            let entry = objects.active(*id).unwrap();
            assert_eq!(format!("{:?}", entry.state), format!("{:?}", new(n)));
            // Its tracking stays too.
            assert_eq!(entry.tracking.pending_effects, round);
            entry.tracking.pending_effects += 1;
        }
        assert!(objects.packed() >= 1400, "{}", objects.packed());
        assert!(objects.unpacked.len() <= 100, "{}", objects.unpacked.len());
    }
}

#[test]
fn packed_objects_leave_like_others() {
    let (mut objects, ids) = many(30);
    assert!(objects.packed() > 20);
    objects.finish(ids[0]);
    assert!(objects.active(ids[0]).is_none());
    assert_eq!(
        objects.id("uid-0"),
        Some(ids[0]),
        "the watch may still show it"
    );
    let listed: HashSet<Id> = ids[6..].iter().copied().collect();
    let not_listed = |last, namespace| objects.not_listed(0, last, namespace, &listed);
    assert_eq!(not_listed(ids[29], Some("team-0")).0, [ids[0], ids[3]]);
    assert_eq!(not_listed(ids[29], None), (ids[..6].to_vec(), None));
    assert_eq!(
        not_listed(ids[2], None).0,
        ids[..3],
        "those that came later"
    );
    for (n, id) in ids.iter().enumerate() {
        objects.remove(*id);
        assert_eq!(objects.id(&format!("uid-{n}")), None);
    }
    assert!(objects.slots.is_empty() && objects.by_uid.is_empty());
}

#[test]
fn what_packed_objects_wait_for_is_known_without_unpacking_them() {
    let (mut objects, ids) = many(300);
    let packed = objects.packed();
    let mut oldest = BTreeMap::new();
    let next = objects.oldest(0, &mut oldest).unwrap();
    assert_eq!(objects.oldest(next, &mut oldest), None);
    assert_eq!(oldest[&Phase::Request], object(0).created);
    let grants = Grants::new(&[CancellationGrantSpec {
        parents: Default::default(),
        operation_names: Default::default(),
        namespaces: ["team-1".to_owned()].into(),
        namespace_selector: None,
        projects: ["acme-0".to_owned()].into(),
        services: ["dialogflow".to_owned()].into(),
        identities: [IdentityKind::Operator].into(),
    }]);
    let (some, next) = objects.regranted(0, &grants);
    let (others, end) = objects.regranted(next.unwrap(), &grants);
    assert_eq!((some.len() + others.len(), end), (50, None));
    assert_eq!(objects.packed(), packed);
    for unpacked in [false, true] {
        let compare = |version| objects.compare(ids[7], version);
        assert_eq!(compare(Some("7")), Compared::Same, "{unpacked}");
        assert_eq!(compare(Some("1000")), Compared::Newer);
        assert_eq!(compare(None), Compared::Newer);
        assert_eq!(compare(Some("6")), Compared::Older(7));
        assert!(unpacked || objects.packed() == packed);
        objects.active(ids[7]);
    }
    // One that is over may be unfinished again, if what is stored went back.
    objects.finish(ids[7]);
    assert!(objects.is_over(ids[7]) && !objects.is_over(ids[8]));
    assert_eq!(objects.compare(ids[7], Some("7")), Compared::Same);
    assert_eq!(objects.compare(ids[7], Some("6")), Compared::Older(7));
}

/// Before, all of them were done in one turn of the loop: 0.75 s for 20,000.
#[test]
fn what_concerns_all_is_done_some_at_a_time_and_each_once() {
    let (objects, ids) = many(1500);
    let nothing = HashSet::new();
    let grants = Grants::new(&[CancellationGrantSpec {
        parents: Default::default(),
        operation_names: Default::default(),
        namespaces: (0..3).map(|n| format!("team-{n}")).collect(),
        namespace_selector: None,
        projects: ["acme-0".to_owned(), "acme-1".to_owned()].into(),
        services: ["dialogflow".to_owned()].into(),
        identities: [IdentityKind::Operator].into(),
    }]);
    let not_listed = |from| objects.not_listed(from, objects.last(), None, &nothing);
    let regranted = |from| objects.regranted(from, &grants);
    type Some<'a> = &'a dyn Fn(Id) -> (Vec<Id>, Option<Id>);
    for some in [&not_listed as Some<'_>, &regranted] {
        let (mut found, mut from, mut turns) = (Vec::new(), Some(0), 0);
        while let Some(next) = from {
            let (some, next) = some(next);
            assert!(some.len() <= FOUND_AT_ONCE);
            found.extend(some);
            (from, turns) = (next, turns + 1);
        }
        assert_eq!(found, ids);
        assert_eq!(turns, ids.len().div_ceil(FOUND_AT_ONCE));
    }
}

#[test]
fn what_is_not_recorded_is_found_until_it_is_or_the_object_is_gone() {
    let (mut objects, ids) = many(100);
    for id in &ids {
        objects.set_unrecorded(*id, true);
    }
    let (some, next) = objects.unrecorded(0);
    assert_eq!(
        (some.len(), next),
        (FOUND_AT_ONCE, Some(ids[FOUND_AT_ONCE]))
    );
    assert_eq!(
        objects.unrecorded(ids[FOUND_AT_ONCE]),
        (ids[FOUND_AT_ONCE..].to_vec(), None)
    );
    for id in &ids[1..] {
        objects.set_unrecorded(*id, false);
    }
    assert!(!objects.is_all_recorded());
    objects.finish(ids[0]);
    assert!(objects.is_all_recorded());
}
