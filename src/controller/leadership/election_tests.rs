use std::collections::VecDeque;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;

fn wall() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A candidate that has not read the Lease yet.
fn candidate() -> Election {
    let mut election = Election::new("me".into(), TIMING);
    election.prepared(Preparation::Complete);
    election
}

fn lease(version: u64, holder: &str) -> Stored {
    Stored {
        version: version.to_string(),
        spec: LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            acquire_time: Some(micro_time(wall())),
            renew_time: Some(micro_time(
                wall() + SignedDuration::from_millis(version as i64),
            )),
            lease_transitions: Some(3),
        },
    }
}

fn watched(election: &mut Election, stored: &Stored, now: Duration) {
    election.watched(&stored.version, Some(stored.spec.clone()), now);
}

/// A leader whose last write was sent at this time.
fn leader(sent: Duration) -> Election {
    let mut election = candidate();
    election.read(Known::Missing, sent);
    let Decision::Create(spec) = election.decide(sent, wall()) else {
        panic!("{election:?}");
    };
    let version = "10".to_owned();
    election.written(Stored { version, spec }, sent, sent);
    election
}

#[test]
fn a_lease_that_is_missing_is_created_as_client_go_writes_it() {
    let mut election = candidate();
    assert_eq!(election.decide(S(0), wall()), Decision::Read);
    election.read(Known::Missing, S(0));
    let Decision::Create(spec) = election.decide(S(0), wall()) else {
        panic!("{election:?}");
    };
    let json = serde_json::json!({
        "holderIdentity": "me", "leaseDurationSeconds": 15, "leaseTransitions": 0,
        "acquireTime": "2027-01-15T08:00:00.000000Z", "renewTime": "2027-01-15T08:00:00.000000Z",
    });
    assert_eq!(serde_json::to_value(&spec).unwrap(), json);
}

#[test]
fn a_process_that_is_no_candidate_only_watches() {
    let mut election = Election::new("me".into(), TIMING);
    for known in [Known::Missing, Known::Lease(lease(1, ""))] {
        election.read(known, S(0));
        assert_eq!(election.decide(S(100), wall()), Decision::Wait(None));
    }
    election.prepared(Preparation::Complete);
    assert!(matches!(
        election.decide(S(100), wall()),
        Decision::Update(version, _) if version == "1"
    ));
}

#[test]
fn a_process_without_a_token_leads_only_if_no_other_one_does() {
    let mut election = candidate();
    election.prepared(Preparation::Cached);
    // Missing, released, expired.
    election.read(Known::Missing, S(100));
    assert_eq!(
        election.decide(S(101), wall()),
        Decision::Wait(Some(S(115)))
    );
    election.read(Known::Missing, S(110));
    assert!(matches!(
        election.decide(S(115), wall()),
        Decision::Create(_)
    ));
    election.read(Known::Lease(lease(1, "other")), S(115));
    watched(&mut election, &lease(2, ""), S(120));
    assert_eq!(
        election.decide(S(120), wall()),
        Decision::Wait(Some(S(135)))
    );
    watched(&mut election, &lease(3, "other"), S(134));
    assert_eq!(
        election.decide(S(150), wall()),
        Decision::Wait(Some(S(164)))
    );
    election.prepared(Preparation::Complete);
    assert!(matches!(
        election.decide(S(150), wall()),
        Decision::Update(..)
    ));
}

#[test]
fn a_released_lease_is_taken_at_once() {
    let mut election = candidate();
    election.read(Known::Lease(lease(1, "other")), S(0));
    assert_eq!(election.decide(S(1), wall()), Decision::Wait(Some(S(15))));
    watched(&mut election, &lease(2, ""), S(1));
    let Decision::Update(version, spec) = election.decide(S(1), wall()) else {
        panic!("{election:?}");
    };
    assert_eq!((version.as_str(), spec.lease_transitions), ("2", Some(4)));
    assert_eq!(election.predecessor(), Some("other"));
    // A Lease without a holder at all, as an administrator may leave it.
    election.read(
        Known::Lease(Stored {
            version: "3".into(),
            spec: LeaseSpec::default(),
        }),
        S(1),
    );
    let Decision::Update(_, spec) = election.decide(S(1), wall()) else {
        panic!("{election:?}");
    };
    assert_eq!(spec.lease_transitions, Some(1));
}

#[test]
fn the_lease_of_another_expires_when_it_has_not_changed_for_its_duration() {
    let mut election = candidate();
    let mut held = lease(1, "other");
    election.read(Known::Lease(held.clone()), S(5));
    assert_eq!(election.decide(S(19), wall()), Decision::Wait(Some(S(20))));
    watched(&mut election, &lease(2, "other"), S(19));
    assert_eq!(election.decide(S(33), wall()), Decision::Wait(Some(S(34))));
    // A label changes the version, but is no renewal.
    held = Stored {
        version: "3".into(),
        ..lease(2, "other")
    };
    watched(&mut election, &held, S(33));
    assert!(matches!(
        election.decide(S(34), wall()),
        Decision::Update(version, spec) if version == "3" && spec.lease_transitions == Some(4)
    ));
}

#[test]
fn the_times_in_the_lease_are_never_compared_with_a_clock() {
    let hour = SignedDuration::from_hours(1);
    for time in [
        &micro_time(wall() - hour),
        &micro_time(wall() + hour),
        "9999-12-31T23:59:59.000000Z",
        "0001-01-01T00:00:00.000000Z",
        "",
    ] {
        let mut election = candidate();
        let mut held = lease(1, "other");
        held.spec.renew_time = Some(time.to_owned());
        held.spec.acquire_time = Some(time.to_owned());
        election.read(Known::Lease(held), S(100));
        let until = S(115);
        assert_eq!(
            election.decide(until - MS(1), wall()),
            Decision::Wait(Some(until)),
            "{time}"
        );
        // This process's own clock is set forward or back by an hour meanwhile.
        for step in [-1, 1] {
            let wall = wall() + SignedDuration::from_hours(step);
            let early = election.decide(until - MS(1), wall);
            assert_eq!(early, Decision::Wait(Some(until)));
            assert!(matches!(election.decide(until, wall), Decision::Update(..)));
        }
    }
}

#[test]
fn the_duration_in_the_lease_counts_within_limits() {
    for (stored, seconds) in [
        (Some(60), 60),
        (Some(1), 1),
        (None, 15),
        (Some(i32::MAX), 600),
        (Some(-5), 15),
        (Some(0), 1),
    ] {
        let mut election = candidate();
        let mut held = lease(1, "other");
        held.spec.lease_duration_seconds = stored;
        election.read(Known::Lease(held), S(0));
        let until = S(seconds);
        assert_eq!(
            election.decide(until - MS(1), wall()),
            Decision::Wait(Some(until)),
            "{stored:?}"
        );
        assert!(matches!(
            election.decide(until, wall()),
            Decision::Update(..)
        ));
    }
}

#[test]
fn a_leader_renews_every_retry_period_and_keeps_its_start() {
    let mut election = leader(S(100));
    assert_eq!(election.term(), Some(S(110)));
    assert_eq!(
        election.decide(S(101), wall()),
        Decision::Wait(Some(S(102)))
    );
    let later = wall() + SignedDuration::from_secs(2);
    let Decision::Update(version, spec) = election.decide(S(102), later) else {
        panic!("{election:?}");
    };
    assert_eq!(version, "10");
    assert_eq!(spec.acquire_time, Some(micro_time(wall())));
    assert_eq!(spec.renew_time, Some(micro_time(later)));
    assert_eq!(spec.lease_transitions, Some(0));
    // The term counts from the moment that the request was sent, not from its answer.
    let stored = Stored {
        version: "11".into(),
        spec,
    };
    election.written(stored, S(102), S(104));
    assert_eq!(election.term(), Some(S(112)));
}

#[test]
fn a_leader_that_cannot_renew_stops_before_the_others_begin() {
    let mut election = leader(S(100));
    for second in [102, 104, 106, 108] {
        assert!(
            matches!(
                election.decide(S(second), wall()),
                Decision::Update(..) | Decision::Read
            ),
            "{second}"
        );
        assert!(election.limit(S(second)) <= (S(110) - S(second)) / 2);
        election.failed(Failure::Other, S(second), S(second) + MS(10));
    }
    assert_eq!(
        election.decide(S(109), wall()),
        Decision::Wait(Some(S(110)))
    );
    let lost = Decision::Stop(Lost::NotRenewed);
    assert_eq!(election.decide(S(110), wall()), lost);
    // An answer that comes after that changes nothing.
    election.written(lease(12, "me"), S(109), S(111));
    assert_eq!(election.decide(S(111), wall()), lost);
    assert!(TIMING.renew_deadline < TIMING.lease_duration);
}

#[test]
fn a_leader_whose_renewal_failed_reads_the_lease_and_renews_it() {
    let mut election = leader(S(100));
    election.failed(Failure::Conflict, S(102), S(102));
    assert_eq!(election.decide(S(102), wall()), Decision::Read);
    // The renewal before was stored, only its answer was lost.
    election.read(Known::Lease(lease(11, "me")), S(102));
    assert!(matches!(
        election.decide(S(102), wall()),
        Decision::Update(version, _) if version == "11"
    ));
    election.failed(Failure::Other, S(102), S(103));
    assert_eq!(
        election.decide(S(103), wall()),
        Decision::Wait(Some(S(104)))
    );
    assert_eq!(election.decide(S(104), wall()), Decision::Read);
}

#[test]
fn a_process_whose_first_write_was_stored_unseen_goes_on_at_once() {
    for preparation in [Preparation::Cached, Preparation::Complete] {
        let mut election = candidate();
        election.prepared(preparation);
        election.read(Known::Lease(lease(1, "")), S(110));
        election.failed(Failure::Other, S(115), S(117));
        election.read(Known::Lease(lease(2, "me")), S(117));
        assert!(matches!(
            election.decide(S(117), wall()),
            Decision::Update(version, spec) if version == "2" && spec.lease_transitions == Some(3)
        ));
    }
}

#[test]
fn a_process_that_was_stopped_for_longer_does_not_lead_when_it_goes_on() {
    let election = leader(S(100));
    let hour_later = election.decide(S(3700), wall());
    assert_eq!(hour_later, Decision::Stop(Lost::NotRenewed));
    // One whose first write was answered that late never leads.
    let mut election = candidate();
    election.read(Known::Missing, S(100));
    election.written(lease(1, "me"), S(100), S(110));
    assert_eq!(election.term(), None);
    assert_eq!(election.decide(S(110), wall()), Decision::Read);
    election.read(Known::Lease(lease(1, "me")), S(110));
    assert!(matches!(
        election.decide(S(110), wall()),
        Decision::Update(..)
    ));
}

#[test]
fn a_leader_stops_as_soon_as_another_holds_the_lease() {
    for holder in ["other", ""] {
        let mut election = leader(S(100));
        watched(&mut election, &lease(11, holder), S(101));
        assert_eq!(
            election.decide(S(101), wall()),
            Decision::Stop(Lost::Taken(holder.into()))
        );
    }
}

#[test]
fn a_deleted_lease_is_created_again_by_its_holder_and_by_nobody_else() {
    let mut election = leader(S(100));
    election.watched("11", None, S(101));
    let Decision::Create(spec) = election.decide(S(101), wall()) else {
        panic!("{election:?}");
    };
    assert_eq!(spec.acquire_time, Some(micro_time(wall())));

    let mut standby = candidate();
    standby.read(Known::Lease(lease(1, "other")), S(100));
    standby.watched("2", None, S(110));
    // The holder may be alive.
    assert_eq!(standby.decide(S(110), wall()), Decision::Wait(Some(S(115))));
    assert!(matches!(
        standby.decide(S(115), wall()),
        Decision::Create(_)
    ));
}

#[test]
fn an_edit_by_hand_is_corrected_soon_but_not_in_a_fight() {
    let mut election = leader(S(100));
    let mut edited = lease(11, "me");
    edited.spec.lease_duration_seconds = Some(1);
    watched(&mut election, &edited, S(100) + MS(10));
    let soon = S(100) + MS(500);
    assert_eq!(
        election.decide(S(100) + MS(10), wall()),
        Decision::Wait(Some(soon))
    );
    let Decision::Update(version, spec) = election.decide(soon, wall()) else {
        panic!("{election:?}");
    };
    assert_eq!(
        (version.as_str(), spec.lease_duration_seconds),
        ("11", Some(15))
    );
}

#[test]
fn events_from_before_the_last_answer_are_ignored() {
    let mut election = leader(S(100));
    watched(&mut election, &lease(9, "other"), S(101));
    watched(&mut election, &lease(10, "other"), S(101));
    election.watched("8", None, S(101));
    assert_eq!(
        election.decide(S(101), wall()),
        Decision::Wait(Some(S(102)))
    );
    // A read counts even if it is older: etcd was restored.
    election.read(Known::Lease(lease(5, "other")), S(101));
    assert!(matches!(
        election.decide(S(101), wall()),
        Decision::Stop(Lost::Taken(_))
    ));
    // From there the watch goes on.
    let mut standby = candidate();
    standby.read(Known::Lease(lease(9, "other")), S(100));
    watched(&mut standby, &lease(10, "other"), S(100));
    standby.read(Known::Lease(lease(5, "other")), S(100));
    watched(&mut standby, &lease(6, ""), S(101));
    assert!(matches!(
        standby.decide(S(101), wall()),
        Decision::Update(version, _) if version == "6"
    ));
}

#[test]
fn after_a_conflict_the_lease_is_read_at_once_but_not_again_and_again() {
    let mut election = candidate();
    election.read(Known::Lease(lease(1, "")), S(100));
    election.failed(Failure::Conflict, S(100), S(100));
    assert_eq!(election.decide(S(100), wall()), Decision::Read);
    election.read(Known::Lease(lease(2, "")), S(100));
    election.failed(Failure::Conflict, S(100), S(100));
    assert_eq!(
        election.decide(S(100), wall()),
        Decision::Wait(Some(S(102)))
    );
    assert_eq!(election.decide(S(102), wall()), Decision::Read);
    // Other failures are paced too.
    election.failed(Failure::Other, S(102), S(103));
    assert_eq!(
        election.decide(S(103), wall()),
        Decision::Wait(Some(S(104)))
    );
}

#[test]
fn only_the_holder_releases_and_keeps_the_transitions() {
    let election = leader(S(100));
    let Release::Update(version, spec) = election.release(wall()) else {
        panic!("{election:?}");
    };
    let json = serde_json::json!({
        "holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 0,
        "acquireTime": "2027-01-15T08:00:00.000000Z", "renewTime": "2027-01-15T08:00:00.000000Z",
    });
    assert_eq!(version, "10");
    assert_eq!(serde_json::to_value(&spec).unwrap(), json);
    let mut standby = candidate();
    assert_eq!(standby.release(wall()), Release::NotHeld);
    standby.read(Known::Lease(lease(1, "other")), S(0));
    assert_eq!(standby.release(wall()), Release::NotHeld);
    // Its write may have been stored.
    standby.failed(Failure::Other, S(0), S(1));
    assert_eq!(standby.release(wall()), Release::Read);
}

/// One process of the simulation.
struct Process {
    election: Election,
    /// What its wall clock shows at the start.
    wall: Timestamp,
    stopped_until: Duration,
    request: Option<Request>,
    /// Requests that were given up. They may still arrive.
    given_up: Vec<Request>,
    events: VecDeque<(Duration, Stored)>,
}

struct Request {
    decision: Decision,
    sent: Duration,
    arrives: Duration,
    /// `None`: the answer is lost.
    answered: Option<Duration>,
    gives_up: Duration,
    result: Option<Result<Known, Failure>>,
}

/// An API server with one Lease.
#[derive(Default)]
struct Server {
    version: u64,
    lease: Option<Stored>,
}

impl Server {
    fn handle(&mut self, decision: &Decision) -> Result<Known, Failure> {
        let spec = match (decision, &self.lease) {
            (Decision::Read, lease) => {
                return Ok(lease.clone().map_or(Known::Missing, Known::Lease));
            }
            (Decision::Create(spec), None) => spec,
            (Decision::Update(version, spec), Some(lease)) if lease.version == *version => spec,
            _ => return Err(Failure::Conflict),
        };
        self.version += 1;
        let stored = Stored {
            version: self.version.to_string(),
            spec: spec.clone(),
        };
        self.lease = Some(stored.clone());
        Ok(Known::Lease(stored))
    }
}

const STEP: Duration = Duration::from_millis(50);

impl Process {
    fn is_leader(&self, now: Duration) -> bool {
        self.election.term().is_some_and(|until| now < until)
    }

    /// What this process does at a moment. `delays` are those of its next request.
    fn turn(&mut self, now: Duration, server: &Server, delays: impl FnOnce() -> [Option<u64>; 2]) {
        if now < self.stopped_until {
            return;
        }
        while self.events.front().is_some_and(|(at, _)| *at <= now) {
            let (_, stored) = self.events.pop_front().unwrap();
            watched(&mut self.election, &stored, now);
        }
        if let Some(request) = &self.request {
            let is_answered = request.answered.is_some_and(|at| at <= now);
            let result = match &request.result {
                Some(result) if is_answered => result.clone(),
                _ if request.gives_up <= now => Err(Failure::Other),
                _ => return,
            };
            let request = self.request.take().unwrap();
            let (is_read, sent) = (request.decision == Decision::Read, request.sent);
            self.given_up
                .extend(request.result.is_none().then_some(request));
            match result {
                Ok(known) if is_read => self.election.read(known, now),
                Ok(Known::Lease(stored)) => self.election.written(stored, sent, now),
                Ok(_) => panic!("a write without a Lease"),
                Err(failure) => self.election.failed(failure, sent, now),
            }
        }
        let wall = self.wall + SignedDuration::try_from(now).unwrap();
        match self.election.decide(now, wall) {
            Decision::Wait(_) => {}
            Decision::Stop(_) => {
                // The process ends, and another one starts.
                let identity = format!("{}+{}", self.election.identity, server.version);
                self.election = Election::new(identity, TIMING);
                self.election.prepared(Preparation::Complete);
                self.events.clear();
            }
            decision => {
                let [there, back] = delays();
                let arrives = now + MS(there.unwrap_or(u64::from(u32::MAX)));
                self.request = Some(Request {
                    decision,
                    sent: now,
                    arrives,
                    answered: back.map(|back| arrives + MS(back)),
                    gives_up: now + self.election.limit(now),
                    result: None,
                });
            }
        }
    }
}

/// Requests and answers are slow or lost, watches are late, processes stand still, and wall clocks show anything.
fn never_two_leaders(seed: u64, faults: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut server = Server::default();
    let mut processes: Vec<Process> = (0..3)
        .map(|number| {
            let mut election = Election::new(number.to_string(), TIMING);
            election.prepared(Preparation::Complete);
            Process {
                election,
                wall: wall() + SignedDuration::from_hours(random.i64(-2..=2)),
                stopped_until: Duration::ZERO,
                request: None,
                given_up: Vec::new(),
                events: VecDeque::new(),
            }
        })
        .collect();
    let (mut now, mut led) = (Duration::ZERO, 0u32);
    while now < S(120) {
        for process in &mut processes {
            if random.u64(0..2000) < faults {
                process.stopped_until = now + MS(random.u64(0..40_000));
            }
            let is_slow = random.u64(0..20) < faults;
            let delays = || {
                let mut delay = || {
                    let longest = if is_slow { 12_000 } else { 100 };
                    (random.u64(0..40) >= faults).then(|| random.u64(0..longest))
                };
                [delay(), delay()]
            };
            process.turn(now, &server, delays);
        }
        let mut changes = Vec::new();
        for process in &mut processes {
            let requests = process.request.iter_mut().chain(&mut process.given_up);
            for request in requests.filter(|request| request.arrives <= now) {
                if request.result.is_none() {
                    let result = server.handle(&request.decision);
                    let is_write = request.decision != Decision::Read;
                    if let (true, Ok(Known::Lease(stored))) = (is_write, &result) {
                        changes.push(stored.clone());
                    }
                    request.result = Some(result);
                }
            }
            process.given_up.retain(|request| request.result.is_none());
        }
        for process in &mut processes {
            for stored in &changes {
                let late = MS(random.u64(0..100 + 500 * faults));
                let last = process.events.back().map_or(now, |(at, _)| *at);
                process
                    .events
                    .push_back((last.max(now + late), stored.clone()));
            }
        }
        let leaders = processes.iter().filter(|process| process.is_leader(now));
        let leaders = leaders.count();
        assert!(leaders <= 1, "{leaders} leaders after {now:?}");
        led += u32::from(leaders == 1);
        now += STEP;
    }
    // Without faults there is a leader from the first second on.
    if faults == 0 {
        assert!(STEP * led >= S(118), "{led}");
    }
}

proptest! {
    #[test]
    fn there_are_never_two_leaders(seed: u64, faults in 0u64..5) {
        never_two_leaders(seed, faults);
    }
}
