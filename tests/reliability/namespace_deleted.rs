//! A namespace is deleted while the controller works on a thousand objects in it.

use operations_emulator::{Scenario, Script};

use crate::{
    many_objects,
    support::{
        cluster::{Namespace, kubectl_as_admin},
        world::{World, operation},
    },
};

const OBJECTS: usize = 1000;

#[test]
fn it_goes_away_and_others_end_as_ever() {
    let theirs = Namespace::new("deleted");
    let watch = format!("--watch-namespace={}", theirs.name);
    let scenario = Scenario::default()
        .with_operation(operation("theirs-*"), Script::ignores_cancel())
        .with_operation(operation("before"), Script::default())
        .with_operation(operation("after"), Script::default());
    let mut world = World::stopped("deleted-beside", scenario, &[&watch], &[]);
    world.grant();
    let names = [theirs.name.clone()];
    world.grant_spec(
        &theirs.name,
        &serde_json::json!({"namespaces": names, "projects": ["acme-prod"], "identities": ["Operator"]}),
    );
    world.start();
    many_objects::create_numbered(&theirs.name, "theirs", OBJECTS);
    world.cancel("before", &[]);
    let delete = ["delete", "namespace", &theirs.name, "--timeout=120s"];
    kubectl_as_admin(&delete, "").unwrap();
    world.cancel("after", &[]);
    for (name, object) in world.all_finished() {
        assert_eq!(object.outcome(), "Cancelled", "{name}");
        assert_eq!(world.posts(&name), 1, "{name}");
    }
    world.controller().wait_for_metrics(|metrics| {
        metrics.sum("opcancel_pending", &[]) == 0.0
            && metrics.sum("opcancel_queue_depth", &[]) == 0.0
    });
    let requests = world.emulator.requests();
    let (mut posts, mut asked) = (0, std::collections::HashMap::new());
    for request in requests.iter().filter(|r| r.path.ends_with(":cancel")) {
        posts += 1;
        *asked.entry(&request.path).or_insert(0) += 1;
    }
    assert!(asked.values().all(|times| *times == 1), "asked twice");
    eprintln!("{posts} of {OBJECTS} were asked to be cancelled before their namespace was gone");
}
