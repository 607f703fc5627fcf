//! The controller's role bindings are deleted and come back while it runs.

use operations_emulator::{Call::Get, EndResult, Script};

use crate::{
    api_proxy::ApiProxy,
    own_account::OwnAccount,
    support::world::{World, operation, scenario},
};

#[test]
fn without_rights_nothing_is_sent_and_with_them_all_ends() {
    let scripts = [
        ("polled", Script::ignores_cancel()),
        ("unseen", Script::missing()),
        ("meanwhile", Script::default()),
    ];
    let scenario = scenario(scripts.clone());
    // "unseen" must not end as NotFound before it is there.
    let mut world = World::stopped("rights", scenario, &["--not-found-after=10m"], &[]);
    world.grant();
    let account = OwnAccount::new(&world.namespace.name);
    let proxy = ApiProxy::of_world(&mut world, account.kubeconfig());
    world.start();
    world.cancel_all(["polled", "unseen"]);
    world.wait(&["polled"], "condition=CancelRequested");
    world.wait(&["unseen"], "condition=Reconciling");

    account.unbind();
    world
        .emulator
        .finish_operation(&operation("polled"), EndResult::completed())
        .unwrap();
    world
        .emulator
        .set_operation(&operation("unseen"), Script::default())
        .unwrap();
    world.controller().wait_for_metrics(|metrics| {
        metrics.has_failed_writes("intent") && metrics.has_failed_writes("outcome")
    });
    assert_eq!(world.posts("unseen"), 0, "its intent is not stored");
    proxy.reset_watches();
    world.controller().wait_for_log(|log| {
        log.contains("cannot watch operationcancellations")
            && log.contains("its ServiceAccount needs list and watch")
    });
    world.cancel("meanwhile", &[]);
    assert_eq!(world.emulator.count(&operation("meanwhile"), Get), 0);

    account.bind();
    let objects = world.all_finished();
    let outcomes = ["polled", "unseen", "meanwhile"].map(|name| objects[name].outcome());
    assert_eq!(outcomes, ["Completed", "Cancelled", "Cancelled"]);
    for (name, _) in scripts {
        assert_eq!(world.posts(name), 1, "{name}");
    }
    assert_eq!(world.controller().admin("/readyz").0, 200);
}
