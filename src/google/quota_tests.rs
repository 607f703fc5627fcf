//! Who waits for which quota, and how fast polls are.

use super::*;
use crate::google::answers::rpc_error;
use proptest::prelude::*;

const NOW: Duration = Duration::from_secs(100);

/// 12:34:45 of some day.
fn wall() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3600 + 34 * 60 + 45)
}

fn caller(endpoint: &str, principal: &str, project: &str) -> Caller {
    Caller {
        endpoint: endpoint.to_owned(),
        principal: principal.to_owned(),
        project: project.to_owned(),
    }
}

fn exhausted(retry_after: Option<u64>, consumer: Option<&str>) -> CallError {
    let mut error = rpc_error::error(ErrorKind::ResourceExhausted, Some(429), String::new());
    error.retry_after = retry_after.map(Duration::from_secs);
    if let Some(consumer) = consumer {
        error
            .metadata
            .insert("consumer".to_owned(), consumer.to_owned());
        error
            .metadata
            .insert("quota_metric".to_owned(), "m".to_owned());
    }
    error
}

fn gets(quotas: &Quotas, caller: &Caller, now: Duration) -> Option<Duration> {
    quotas.allowance(caller, "ns", now).gets_held_until
}

fn posts(quotas: &Quotas, caller: &Caller, now: Duration) -> Option<Duration> {
    quotas.allowance(caller, "ns", now).cancels_held_until
}

#[test]
fn waits_are_those_of_the_server_or_the_next_minute() {
    for (retry_after, jitter, seconds) in [
        (Some(7), 0.5, 7),
        (Some(0), 0.5, 1),
        (Some(u64::MAX), 0.5, 300),
        (None, 0.0, 15),
        (None, 0.5, 20),
        (None, 1.0, 25),
        (None, 9.0, 25),
        (None, f64::NAN, 25),
    ] {
        let mut quotas = Quotas::default();
        let caller = caller("e", "a", "p");
        let error = exhausted(retry_after, None);
        let until = quotas.record(Share::Get, &caller, Some(&error), NOW, wall(), jitter);
        assert_eq!(until, Some(NOW + Duration::from_secs(seconds)));
        assert_eq!(gets(&quotas, &caller, NOW), until);
        assert_eq!(gets(&quotas, &caller, until.unwrap()), None);
    }
}

#[test]
fn gets_and_posts_have_shares_of_their_own() {
    let mut quotas = Quotas::default();
    let caller = caller("e", "a", "p");
    quotas.record(
        Share::Get,
        &caller,
        Some(&exhausted(Some(9), None)),
        NOW,
        wall(),
        0.0,
    );
    assert!(gets(&quotas, &caller, NOW).is_some());
    assert!(posts(&quotas, &caller, NOW).is_none());
}

#[test]
fn a_quota_without_a_name_is_the_projects_until_a_second_project_meets_one() {
    let mut quotas = Quotas::default();
    let error = exhausted(Some(9), None);
    let (p, q, r) = (
        caller("e", "a", "p"),
        caller("e", "a", "q"),
        caller("e", "a", "r"),
    );
    quotas.record(Share::Get, &p, Some(&error), NOW, wall(), 0.0);
    assert!(gets(&quotas, &p, NOW).is_some());
    assert!(gets(&quotas, &q, NOW).is_none());
    quotas.record(Share::Get, &q, Some(&error), NOW, wall(), 0.0);
    assert!(gets(&quotas, &r, NOW).is_some());
    assert!(gets(&quotas, &caller("e", "b", "r"), NOW).is_none());
    assert!(gets(&quotas, &caller("f", "a", "r"), NOW).is_none());
    // Much later a second project says nothing about the first.
    let later = NOW + Duration::from_secs(200);
    quotas.record(Share::Get, &p, Some(&error), later, wall(), 0.0);
    assert!(gets(&quotas, &r, later).is_none());
}

#[test]
fn one_call_a_minute_tries_while_a_hold_lasts() {
    let mut quotas = Quotas::default();
    let caller = caller("e", "a", "p");
    let error = exhausted(Some(300), None);
    quotas.record(Share::Post, &caller, Some(&error), NOW, wall(), 0.0);
    let after = |seconds| NOW + Duration::from_secs(seconds);
    assert!(posts(&quotas, &caller, after(59)).is_some());
    assert!(posts(&quotas, &caller, after(60)).is_none());
    quotas.begin(Share::Post, &caller, after(60));
    assert!(posts(&quotas, &caller, after(61)).is_some());
    assert!(posts(&quotas, &caller, after(120)).is_none());
}

#[test]
fn polls_keep_to_half_of_what_the_quota_took_and_grow_to_four_fifths() {
    let mut quotas = Quotas::default();
    let caller = caller("e", "a", "p");
    for _ in 0..60 {
        quotas.record(Share::Get, &caller, None, NOW, wall(), 0.0);
    }
    assert_eq!(quotas.allowance(&caller, "ns", NOW), Allowance::default());
    quotas.record(
        Share::Get,
        &caller,
        Some(&exhausted(Some(1), None)),
        NOW,
        wall(),
        0.0,
    );
    let polls_in_a_minute = |quotas: &mut Quotas, from: Duration| {
        let end = from + Duration::from_secs(60);
        let mut now = from;
        (0..)
            .take_while(|_| {
                now = quotas.allowance(&caller, "ns", now).next_poll.unwrap();
                quotas.reserve_poll(&caller, "ns", now);
                now < end
            })
            .count()
    };
    let minute = |n: u64| NOW + Duration::from_secs(60 * n);
    let halved = polls_in_a_minute(&mut quotas, minute(0));
    assert!((30..34).contains(&halved), "{halved}");
    let growing = polls_in_a_minute(&mut quotas, minute(2));
    assert!((36..40).contains(&growing), "{growing}");
    // Four fifths of 60, and a little more, because the quota may have been raised.
    let grown = polls_in_a_minute(&mut quotas, minute(30));
    assert!((48..64).contains(&grown), "{grown}");
    // A second answer of the same burst changes nothing; one later does.
    quotas.record(
        Share::Post,
        &caller,
        Some(&exhausted(Some(1), None)),
        minute(40),
        wall(),
        0.0,
    );
    assert!(polls_in_a_minute(&mut quotas, minute(41)) < grown);
}

#[test]
fn namespaces_share_the_rate() {
    let mut quotas = Quotas::default();
    let caller = caller("e", "a", "p");
    for _ in 0..60 {
        quotas.record(Share::Get, &caller, None, NOW, wall(), 0.0);
    }
    let error = exhausted(Some(1), None);
    quotas.record(Share::Get, &caller, Some(&error), NOW, wall(), 0.0);
    for _ in 0..100 {
        quotas.reserve_poll(&caller, "loud", NOW);
    }
    // 30 polls a minute: the loud one waits for minutes, the quiet one for nothing.
    let loud = quotas.allowance(&caller, "loud", NOW).next_poll.unwrap();
    assert_eq!((loud - NOW).as_secs(), 200);
    assert_eq!(quotas.allowance(&caller, "quiet", NOW).next_poll, Some(NOW));
    quotas.reserve_poll(&caller, "quiet", NOW);
    let quiet = quotas.allowance(&caller, "quiet", NOW).next_poll.unwrap();
    assert_eq!((quiet - NOW).as_secs(), 4);
}

#[test]
fn a_named_quota_holds_those_who_met_it() {
    let mut quotas = Quotas::default();
    let (mine, yours) = (caller("e", "a", "p"), caller("e", "b", "q"));
    let error = exhausted(Some(9), Some("projects/1"));
    quotas.record(Share::Get, &mine, Some(&error), NOW, wall(), 0.0);
    assert!(gets(&quotas, &yours, NOW).is_none());
    quotas.record(Share::Get, &yours, Some(&error), NOW, wall(), 0.0);
    let later = NOW + Duration::from_secs(60);
    assert!(gets(&quotas, &mine, later).is_none());
    quotas.record(Share::Get, &mine, Some(&error), later, wall(), 0.0);
    assert!(gets(&quotas, &yours, later).is_some());
}

#[test]
fn other_errors_close_no_gate_and_shorter_waits_open_none() {
    let mut quotas = Quotas::default();
    let caller = caller("e", "a", "p");
    let other = rpc_error::error(ErrorKind::Unavailable, Some(503), String::new());
    assert_eq!(
        quotas.record(Share::Get, &caller, Some(&other), NOW, wall(), 0.0),
        None
    );
    assert_eq!(gets(&quotas, &caller, NOW), None);
    let long = quotas.record(
        Share::Get,
        &caller,
        Some(&exhausted(Some(60), None)),
        NOW,
        wall(),
        0.0,
    );
    let short = quotas.record(
        Share::Get,
        &caller,
        Some(&exhausted(Some(2), None)),
        NOW,
        wall(),
        0.0,
    );
    assert_eq!(long, short);
}

fn polls_a_minute(quotas: &mut Quotas, caller: &Caller, from: Duration) -> usize {
    let mut now = from;
    let mut polls = 0;
    while now < from + Duration::from_secs(60) {
        now = quotas.allowance(caller, "ns", now).next_poll.unwrap();
        quotas.reserve_poll(caller, "ns", now);
        polls += 1;
    }
    polls
}

/// While a quota is used up by others, few calls are taken. It says nothing about what it takes afterwards.
#[test]
fn a_quota_that_others_used_up_for_minutes_is_not_taken_for_tiny() {
    let mut quotas = Quotas::default();
    let caller = caller("e", "a", "p");
    let minute = |n: u64| NOW + Duration::from_secs(61 * n);
    for n in 0..20 {
        let error = exhausted(Some(30), None);
        quotas.record(Share::Get, &caller, Some(&error), minute(n), wall(), 0.0);
    }
    assert!(polls_a_minute(&mut quotas, &caller, minute(20)) < 12);
    assert!(polls_a_minute(&mut quotas, &caller, minute(40)) > 40);
}

/// Polls are slowed down as long as it is known what for.
#[test]
fn a_quota_that_was_not_used_up_for_an_hour_slows_nobody_down() {
    let mut quotas = Quotas::default();
    let caller = caller("e", "a", "p");
    let error = exhausted(Some(30), None);
    quotas.record(Share::Get, &caller, Some(&error), NOW, wall(), 0.0);
    for minute in 0..61 {
        let now = NOW + Duration::from_secs(60 * minute);
        let slowed = quotas.allowance(&caller, "ns", now).next_poll.is_some();
        assert_eq!(slowed, minute < 60, "{minute}");
        quotas.reserve_poll(&caller, "ns", now);
    }
}

/// What never reached the API says nothing about what its quota takes.
#[test]
fn calls_without_an_answer_were_not_taken() {
    let mut quotas = Quotas::default();
    let caller = caller("e", "a", "p");
    let network = rpc_error::error(ErrorKind::Network, None, String::new());
    for _ in 0..6000 {
        quotas.record(Share::Get, &caller, Some(&network), NOW, wall(), 0.0);
    }
    let error = exhausted(Some(1), None);
    quotas.record(Share::Get, &caller, Some(&error), NOW, wall(), 0.0);
    assert!(polls_a_minute(&mut quotas, &caller, NOW) < 40);
}

proptest! {
    #[test]
    fn memory_stays_bounded_and_waits_too(calls in proptest::collection::vec((0u32..9000, 0u64..u64::MAX), 1..200)) {
        let mut quotas = Quotas::default();
        for (n, wait) in calls {
            let caller = caller("e", &format!("a{}", n % 3), "p");
            let error = exhausted(Some(wait), Some(&format!("projects/{n}")));
            let until = quotas.record(Share::Post, &caller, Some(&error), NOW, wall(), 0.0).unwrap();
            prop_assert!(until <= NOW + MAX_HOLD && until >= NOW + MIN_HOLD);
            prop_assert!(quotas.met.values().all(|quotas| quotas.len() <= 16));
        }
    }
}

#[test]
fn a_flood_of_callers_starts_memory_anew() {
    let mut quotas = Quotas::default();
    for n in 0..3 * MAX_REMEMBERED {
        let caller = caller("e", &format!("a{n}"), "p");
        quotas.record(
            Share::Get,
            &caller,
            Some(&exhausted(Some(9), None)),
            NOW,
            wall(),
            0.0,
        );
        let largest = [quotas.holds.len(), quotas.met.len(), quotas.rates.len()];
        assert!(largest.iter().all(|length| *length <= MAX_REMEMBERED + 2));
    }
}
