//! The name service does not know Google's hosts for a while.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use operations_emulator::{
    Call::Get, Config, EndResult, Fault, FaultAnswer, FaultCall, GoAway, RequestRecord, Script,
};

use crate::{
    preload,
    support::{
        cluster::runtime,
        relay::Relay,
        world::{PATIENCE, World, operation, scenario},
    },
};

/// What the product promises after the name service is back.
const HEALED_WITHIN: Duration = Duration::from_secs(15);

/// The errors of getaddrinfo: the name is not known, and "try again".
const ERRORS: [(&str, &str); 2] = [("not-known", "-2"), ("try-again", "-3")];

/// Objects that are polled: one of them always calls soon.
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// A world whose endpoint has a name that resolves while the file is empty.
fn world(prefix: &str, names: &Path) -> (World, Relay) {
    let folder = names.parent().unwrap();
    let authority = folder.join("ca.crt");
    let scenario = scenario(NAMES.map(|id| (id, Script::ignores_cancel())));
    let config = Config {
        tls: true,
        tls_hosts: vec!["google.names.test".to_owned()],
        ..Config::from(scenario)
    };
    let relay = runtime().block_on(Relay::start());
    let library = preload::library().display().to_string();
    let names = names.display().to_string();
    let authority_flag = format!("--ca-file={}", authority.display());
    let endpoint = format!(
        "--endpoint-override=dialogflow=https://google.names.test:{}",
        relay.port()
    );
    let arguments = [authority_flag.as_str(), &endpoint];
    let variables = [("LD_PRELOAD", library.as_str()), ("TEST_NAMES", &names)];
    let mut world = World::stopped(prefix, config, &arguments, &variables);
    relay.lead_to(world.emulator.url());
    std::fs::write(&authority, world.emulator.authority_pem().unwrap()).unwrap();
    world.grant();
    world.start();
    world.cancel_all(NAMES);
    world.wait(&["--all"], "condition=CancelRequested");
    (world, relay)
}

/// The answered GETs.
fn gets(requests: &[RequestRecord]) -> usize {
    let answered = |request: &&RequestRecord| {
        request.call == Some(Get) && request.answer == operations_emulator::Answer::Status(200)
    };
    requests.iter().filter(answered).count()
}

/// Breaks so many of the connections.
fn break_connections(world: &World, times: u64) {
    let answer = FaultAnswer::GoAway(GoAway { code: 2 });
    let fault = Fault::new(FaultCall::Get, answer).times(times);
    world.emulator.set_faults(vec![fault]).unwrap();
}

#[test]
fn the_next_call_after_it_succeeds_within_fifteen_seconds() {
    for (prefix, error) in ERRORS {
        let folder = tempfile::tempdir().unwrap();
        let names = folder.path().join("names");
        std::fs::write(&names, "").unwrap();
        let (world, _relay) = world(&format!("names-{prefix}"), &names);
        std::fs::write(&names, error).unwrap();
        break_connections(&world, 16);
        let (asked, begun) = (folder.path().join("names.asked"), Instant::now());
        while !asked.exists() {
            assert!(begun.elapsed() < PATIENCE, "the host was not looked up");
            // A file announces nothing.
            std::thread::sleep(Duration::from_millis(20));
        }
        world.emulator.set_faults(Vec::new()).unwrap();
        let seen = gets(&world.emulator.requests());
        std::fs::write(&names, "").unwrap();
        let begun = Instant::now();
        runtime()
            .block_on(
                world
                    .emulator
                    .wait_for(|all| gets(all) > seen, HEALED_WITHIN),
            )
            .unwrap();
        println!(
            "DNS, {prefix}: the next call succeeded after {:.1} s",
            begun.elapsed().as_secs_f64()
        );
        for name in NAMES {
            let result = EndResult::completed();
            let finished = world.emulator.finish_operation(&operation(name), result);
            finished.unwrap();
        }
        for (name, object) in world.all_finished() {
            assert_eq!(object.outcome(), "Completed", "{name}");
            assert_eq!(world.posts(&name), 1, "{name}");
        }
    }
}
