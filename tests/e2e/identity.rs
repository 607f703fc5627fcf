//! Whose rights are used, and that no token is ever shown.

use std::time::Duration;

use operations_emulator::{Fault, FaultCall, RpcCode, Scenario, Script};
use serde_json::json;

use crate::{
    odd_answers::raw,
    support::{
        cluster::{kubectl_as_admin, runtime},
        world::{PATIENCE, World, manifest, operation},
    },
};

#[test]
fn a_service_account_is_never_replaced_by_the_operator() {
    let world = World::without_grant("own-identity", [("op", Script::default())]);
    let both = json!({"projects": ["acme-prod"], "identities": ["Operator", "ServiceAccount"]});
    world.grant_spec(&world.namespace.name, &both);
    let asked = world.emulator.metadata_requests().len();
    world.cancel("op", &["serviceAccountName: tenant"]);
    world.wait(&["op"], "condition=Stalled");
    world.let_time_pass(Duration::from_millis(1500));
    let object = world.object("op");
    assert_eq!(object.condition("Authorized"), "True/Granted");
    assert_eq!(
        object.conditions()[1..],
        [
            "False/IdentityNotSupported",
            "False/IdentityNotSupported",
            "-",
            "True/IdentityNotSupported"
        ]
    );
    assert!(
        object.message("Stalled").contains("ServiceAccount tenant"),
        "{}",
        object.message("Stalled")
    );
    assert_eq!(
        (
            object.text("/status/identity/kind"),
            object.text("/status/identity/name")
        ),
        ("ServiceAccount".into(), "tenant".into())
    );
    assert_eq!(
        object.text("/status/identity/principal"),
        "-",
        "the operator's name is not its name"
    );
    assert_eq!(
        (
            world.calls("op").len(),
            world.emulator.metadata_requests().len()
        ),
        (0, asked),
        "no call, and no token asked for"
    );
    assert_eq!(
        (object.outcome().as_str(), object.kstatus()),
        ("-", "Failed")
    );
    assert_eq!(world.status_writes("op").len(), 1);
}

#[test]
fn without_a_grant_for_service_accounts_that_is_what_is_missing() {
    let world = World::new("theirs", [("op", Script::default())]);
    world.cancel("op", &["serviceAccountName: tenant"]);
    world.wait(&["op"], "condition=Authorized=False");
    let object = world.object("op");
    assert_eq!(object.condition("Ready"), "Unknown/NoGrant");
    assert!(
        object
            .message("Ready")
            .contains(r#""identities":["ServiceAccount"]"#),
        "{}",
        object.message("Ready")
    );
    assert!(world.calls("op").is_empty());
}

#[test]
fn a_token_is_at_hand_however_long_nothing_is_cancelled() {
    let mut scenario = Scenario::default();
    scenario.identity.expires_in = Duration::from_secs(12);
    let mut world = World::stopped("idle", scenario, &[], &[]);
    world.start();
    // One at the start; another when the first one's end is near.
    runtime()
        .block_on(world.emulator.wait_for_tokens(2, PATIENCE))
        .unwrap();
}

#[test]
fn no_token_is_shown_anywhere_at_any_log_level() {
    let token_in_body = |token: &str| {
        let body = json!({"error": {"code": 503, "status": "UNAVAILABLE", "message": format!("you sent {token}")}}).to_string();
        raw(503, &body)
    };
    let refused = Fault::refuse(FaultCall::Any, RpcCode::Unauthenticated).times(1);
    let scenario = Scenario::default()
        .with_operation(operation("good"), Script::default().with_fault(refused))
        .with_operation(operation("bad"), Script::cancel_unimplemented());
    let mut world = World::stopped(
        "tokens",
        scenario,
        &["--log-format=json"],
        &[("RUST_LOG", "trace")],
    );
    world.grant();
    world.start();
    world
        .apply(&["good", "bad"].map(|name| manifest(name, &[])).concat())
        .unwrap();
    world.wait(&["good", "bad"], "condition=Finished");
    // The endpoint echoes the token of the day.
    let now = world
        .emulator
        .tokens_issued()
        .last()
        .unwrap()
        .secret()
        .to_owned();
    let echo = Script::default()
        .with_fault(Fault::new(FaultCall::Get, token_in_body(&now)).times(1))
        .with_fault(Fault::new(FaultCall::Cancel, token_in_body(&now)));
    world
        .emulator
        .set_operation(&operation("echo"), echo)
        .unwrap();
    world.cancel("echo", &[]);
    world.wait(&["echo"], "jsonpath={.status.lastError.call}=Cancel");
    assert!(
        world
            .object("echo")
            .text("/status/lastError/message")
            .contains("you sent")
    );
    // From the second refusal on they are logged as details only.
    let log = world
        .controller()
        .wait_for_log(|log| log.contains("\"severity\":\"DEBUG\""));

    let namespace = format!("--namespace={}", world.namespace.name);
    let objects = kubectl_as_admin(
        &[
            "get",
            "opcancel",
            &namespace,
            "--output=yaml",
            "--show-managed-fields",
        ],
        "",
    )
    .unwrap();
    let events = kubectl_as_admin(&["get", "events", &namespace, "--output=yaml"], "").unwrap();
    let metrics = world.controller().admin("/metrics");
    let ready = world.controller().admin("/readyz");
    assert_eq!((metrics.0, ready.0), (200, 200));
    assert!(log.contains("you sent"), "it shows what the endpoint says");
    let log = world.controller().log();
    let tokens = world.emulator.tokens_issued();
    assert!(!tokens.is_empty());
    for token in tokens {
        for (place, text) in [
            ("objects", &objects),
            ("events", &events),
            ("metrics", &metrics.1),
            ("log", &log),
        ] {
            let secret = token.secret();
            assert!(
                !text.contains(secret) && !text.contains(&secret[8..]),
                "a token stands in the {place}"
            );
        }
    }
    // Nor the controller's own at the API server.
    let kubeconfig =
        std::fs::read_to_string(&crate::support::cluster::cluster().controller_kubeconfig).unwrap();
    let own = kubeconfig
        .split_whitespace()
        .map(|word| word.trim_matches(['"', ',', '\'']));
    for secret in own.filter(|word| word.starts_with("eyJ")) {
        assert!(
            !log.contains(secret),
            "the controller's own token stands in the log"
        );
    }
}
