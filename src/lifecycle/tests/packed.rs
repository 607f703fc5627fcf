//! The compact form of objects that wait. That it gives back what was packed, the simulation checks at every step.

use std::{collections::BTreeSet, time::Duration};

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::simulation::{Simulation, error, object, running, target};
use crate::{
    google::answer::ErrorKind,
    lifecycle::{Cancellation, Grant, ObjectView, Packer, packed::MOST_DICTIONARIES},
};

/// The `n`th of many objects: everything that differs between objects differs.
fn nth(n: u64) -> ObjectView {
    let mut object = object();
    let noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let uuid = format!(
        "{:08x}-{:04x}-4{:03x}-{:016x}",
        noise >> 32,
        noise & 0xffff,
        n % 0xfff,
        noise.rotate_left(17)
    );
    object.uid = uuid.clone();
    object.name = format!("stop-{n}-{:x}", noise >> 48);
    object.namespace = format!("team-{}", n % 7);
    object.resource_version = (100_000 + 3 * n).to_string();
    object.created += SignedDuration::from_secs((n % 10).cast_signed());
    let spec = object.spec.as_mut().unwrap();
    let id: String = uuid.chars().rev().collect();
    let name = format!("projects/acme-prod/locations/europe-west1/operations/{id}");
    spec.target = Ok(target(&name));
    object
}

/// What is known of it after two minutes: it is polled, or something else keeps it waiting.
fn waiting(n: u64) -> Cancellation {
    let failure = match n % 4 {
        1 => Some(ErrorKind::Unavailable),
        2 => Some(ErrorKind::PermissionDenied),
        _ => None,
    };
    let mut sim = Simulation::of(
        nth(n),
        move |_, _| failure.map_or_else(running, |kind| Err(error(kind))),
        move |_| failure.map_or(Ok(()), |kind| Err(error(kind))),
    );
    if n % 4 == 3 {
        sim.grant = Grant::NotGranted;
    }
    sim.jitter = (n as f64 * 0.618).fract();
    sim.get_latency += Duration::from_nanos(n * 12_345_678);
    sim.run_for(Duration::from_secs(120));
    sim.state
}

#[test]
fn what_waits_is_small_though_no_two_are_alike() {
    let mut packer = Packer::default();
    let all: Vec<_> = (0..240).map(waiting).collect();
    let sizes = |packer: &mut Packer| {
        let packed = all.iter().map(|state| packer.pack(state).unwrap());
        packed.map(|packed| packed.own_bytes()).sum::<usize>() / all.len()
    };
    let (first, again) = (sizes(&mut packer), sizes(&mut packer));
    let whole = serde_json::to_vec(&all[0]).unwrap().len();
    println!("{first} bytes, then {again}, of {whole}");
    assert!(first <= 800, "{first}");
    assert!(again <= 520, "{again}");
    for (n, state) in all.iter().enumerate() {
        let packed = packer.pack(state).unwrap();
        let back = packer.unpack(&packed).unwrap();
        assert_eq!(format!("{back:?}"), format!("{state:?}"), "{n}");
    }
}

#[test]
fn what_was_packed_before_others_were_learned_from_comes_back_all_the_same() {
    let mut packer = Packer::default();
    let state = waiting(0);
    let packed = packer.pack(&state).unwrap();
    for n in 0..300 {
        let mut other = object();
        other.spec.as_mut().unwrap().service_account_name = Some(format!("{n}").repeat(1000));
        let now = crate::lifecycle::Now {
            wall: other.created,
            mono: Duration::ZERO,
        };
        packer.pack(&Cancellation::new(other, now)).unwrap();
    }
    let back = packer.unpack(&packed).unwrap();
    assert_eq!(format!("{back:?}"), format!("{state:?}"));
}

/// Before, each of 20,000 that waited for people kept 8 KiB of earlier objects for itself.
#[test]
fn those_that_wait_for_long_do_not_each_keep_what_they_were_compared_with() {
    let mut packer = Packer::default();
    let mut waiting = Vec::new();
    for n in 0..5000 {
        let mut other = object();
        let unlike = (0..40).map(|m| nth(40 * n + m).uid).collect();
        other.spec.as_mut().unwrap().service_account_name = Some(unlike);
        let now = crate::lifecycle::Now {
            wall: other.created,
            mono: Duration::ZERO,
        };
        let packed = packer.pack(&Cancellation::new(other, now)).unwrap();
        // The others are polled, and packed anew each time.
        if n % 130 == 0 {
            waiting.push(packed);
        }
    }
    let sets: BTreeSet<_> = waiting
        .iter()
        .map(|packed| std::sync::Arc::as_ptr(&packed.dictionary))
        .collect();
    assert!(
        waiting.len() > 2 * MOST_DICTIONARIES && sets.len() > 2,
        "{}",
        sets.len()
    );
    assert!(sets.len() <= MOST_DICTIONARIES, "{}", sets.len());
}

#[test]
fn what_json_would_round_off_stays_whole() {
    let mut state = waiting(0);
    let mut packer = Packer::default();
    assert!(packer.pack(&state).is_some());
    let start = state.object.status.start_time.as_mut().unwrap();
    *start = Time(start.0 + SignedDuration::from_millis(250));
    assert!(packer.pack(&state).is_none());
}
