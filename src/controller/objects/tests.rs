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

/// So many, of which nearly all are small.
fn many(count: usize) -> (Objects, Vec<Id>) {
    let mut objects = Objects::default();
    let ids = (0..count).map(|n| objects.insert(new(n), Arc::default()));
    let ids = ids.collect();
    (objects, ids)
}

impl Objects {
    fn small(&self) -> usize {
        let small = |live: &Live| matches!(live.known, Known::Small { .. });
        self.live().filter(|(_, live)| small(live)).count()
    }
}

#[test]
fn all_but_a_few_are_small_and_each_comes_back_as_it_was() {
    let (mut objects, ids) = many(1500);
    assert!(objects.small() >= 1400, "{}", objects.small());
    for round in 0..2 {
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(objects.id(&format!("uid-{n}")), Some(*id));
            let entry = objects.active(*id).unwrap();
            assert_eq!(format!("{:?}", entry.known), format!("{:?}", new(n)));
            // What is kept beside it stays too.
            assert_eq!(entry.kept.unanswered, round);
            entry.kept.unanswered += 1;
        }
        assert!(objects.small() >= 1400, "{}", objects.small());
        assert!(objects.whole.len() <= 100, "{}", objects.whole.len());
    }
}

#[test]
fn small_ones_leave_like_others() {
    let (mut objects, ids) = many(30);
    assert!(objects.small() > 20);
    objects.finish(ids[0]);
    assert!(objects.active(ids[0]).is_none());
    assert_eq!(
        objects.id("uid-0"),
        Some(ids[0]),
        "the watch may still show it"
    );
    let listed: HashSet<String> = (6..30).map(|n| format!("uid-{n}")).collect();
    let mut left = objects.not_listed(Some("team-0"), &listed);
    left.sort_unstable();
    assert_eq!(left, [ids[0], ids[3]]);
    assert_eq!(objects.not_listed(None, &listed).len(), 6);
    for (n, id) in ids.iter().enumerate() {
        objects.remove(*id);
        assert_eq!(objects.id(&format!("uid-{n}")), None);
    }
    assert!(objects.slots.is_empty() && objects.by_uid.is_empty());
}

#[test]
fn what_small_ones_wait_for_is_known_without_making_them_whole() {
    let (mut objects, ids) = many(300);
    let small = objects.small();
    let oldest = objects.oldest();
    assert_eq!(oldest[&Phase::Request], object(0).created);
    let grants = Grants::new(&[CancellationGrantSpec {
        parents: Default::default(),
        operation_names: Default::default(),
        namespaces: ["team-1".to_owned()].into(),
        projects: ["acme-0".to_owned()].into(),
        services: ["dialogflow".to_owned()].into(),
        identities: [IdentityKind::Operator].into(),
    }]);
    assert_eq!(objects.regranted(&grants).len(), 50);
    assert_eq!(objects.small(), small);
    for whole in [false, true] {
        let compare = |version| objects.compare(ids[7], version);
        assert_eq!(compare(Some("7")), Compared::Same, "{whole}");
        assert_eq!(compare(Some("1000")), Compared::Newer);
        assert_eq!(compare(None), Compared::Newer);
        assert_eq!(compare(Some("6")), Compared::Older(7));
        assert!(whole || objects.small() == small);
        objects.active(ids[7]);
    }
    // One that is over may be unfinished again, if what is stored went back.
    objects.finish(ids[7]);
    assert!(objects.is_over(ids[7]) && !objects.is_over(ids[8]));
    assert_eq!(objects.compare(ids[7], Some("7")), Compared::Same);
    assert_eq!(objects.compare(ids[7], Some("6")), Compared::Older(7));
}
