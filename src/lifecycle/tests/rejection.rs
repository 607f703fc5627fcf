//! When INVALID_ARGUMENT ends an object (docs/life-of-a-cancellation.md#what-each-answer-means).

use std::time::Duration;

use super::simulation::{Simulation, error, object, running};
use crate::{
    api::Outcome,
    google::{answer::ErrorKind, catalogue::read, endpoint::EndpointOverrides},
};

const HOUR: Duration = Duration::from_secs(3600);

/// An operation of a service whose names do not tell the host. Until `served`, GET and cancel return INVALID_ARGUMENT.
fn at_another_host(served: Duration) -> Simulation {
    let mut object = object();
    let spec = object.spec.as_mut().unwrap();
    let name = "projects/p/locations/us-central1/operations/1";
    spec.target = read("translate", None, name, &EndpointOverrides::default())
        .map_err(|error| panic!("{error}"));
    Simulation::of(
        object,
        move |_, now| {
            if now < served {
                Err(error(ErrorKind::InvalidArgument))
            } else {
                running()
            }
        },
        |_| Err(error(ErrorKind::InvalidArgument)),
    )
}

#[test]
fn it_is_stalled_for_an_hour_if_another_host_may_serve_it() {
    let mut sim = at_another_host(Duration::MAX);
    sim.run_for(HOUR - Duration::from_secs(1));
    assert_eq!(sim.outcome(), None);
    assert_eq!(sim.condition("Stalled"), "True/NotServed");
    assert_eq!(sim.condition("Ready"), "False/NotServed");
    assert_eq!(sim.condition("CancelRequested"), "False/Refused");
    let message = sim.message("Stalled");
    let says = "Cloud Translation API: get and cancel: INVALID_ARGUMENT: another host than \
                https://translation.googleapis.com may serve the operation; an administrator can set --endpoint-override for translate";
    assert!(message.starts_with(says), "{message}");
    assert_eq!(sim.notices.len(), 1, "{:?}", sim.notices);
    let attempts = sim.posts.len();
    // An intent and the first answer to it for each request, and nothing else.
    assert!(sim.writes.len() <= 2 * attempts, "{:?}", sim.kinds());
    assert_eq!(sim.run(), Some(Outcome::Rejected));
    assert!(sim.now >= HOUR, "{:?}", sim.now);
    assert!(sim.now < HOUR + Duration::from_secs(120), "{:?}", sim.now);
}

#[test]
fn the_hour_continues_in_the_next_process() {
    let mut sim = at_another_host(Duration::MAX);
    sim.run_for(HOUR / 2);
    sim.restart();
    sim.run_for(HOUR / 4);
    assert_eq!(sim.condition("Stalled"), "True/NotServed");
    assert_eq!(sim.notices.len(), 1, "{:?}", sim.notices);
    assert_eq!(sim.run(), Some(Outcome::Rejected));
    assert!(sim.now >= HOUR, "{:?}", sim.now);
    assert!(sim.now < HOUR * 3 / 2, "{:?}", sim.now);
}

/// An administrator names the host, and the controller starts again.
#[test]
fn it_goes_on_once_a_get_shows_the_operation() {
    let mut sim = at_another_host(HOUR / 2);
    sim.run_for(HOUR / 2 - Duration::from_secs(1));
    assert_eq!(sim.condition("Stalled"), "True/NotServed");
    sim.restart();
    sim.run_for(Duration::from_secs(120));
    assert_eq!(sim.condition("Ready"), "Unknown/Refused");
    assert_eq!(sim.condition("Stalled"), "-");
    sim.run_for(HOUR);
    assert_eq!(sim.outcome(), None);
}
