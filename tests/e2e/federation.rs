//! The operator on a cluster that is not Google's: a real ServiceAccount's token, signed by the real API server, exchanged
//! for a Google identity by an `external_account` file.

#[path = "../support/credential_files.rs"]
pub mod credential_files;

use credential_files::{CLOUD_PLATFORM, EMAIL, Files, IAM, PROVIDER, impersonating};
use operations_emulator::{
    Credentials, Scenario, Script,
    credentials::{MayImpersonate, Provider},
};
use serde_json::{from_value, json};

use crate::support::{
    cluster::{cluster, json_of, kubectl_as_admin},
    controller_process::ControllerProcess,
    world::{World, operation},
};

const SUBJECT: &str = "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/clusters/subject/system:serviceaccount:opcancel-system:opcancel-controller";

/// A provider that knows this cluster by the keys that its API server publishes, and accepts tokens for these audiences.
pub fn provider(name: &str, allowed_audiences: Vec<String>) -> Provider {
    let keys = kubectl_as_admin(&["get", "--raw=/openid/v1/jwks"], "").unwrap();
    let configuration =
        kubectl_as_admin(&["get", "--raw=/.well-known/openid-configuration"], "").unwrap();
    let issuer = json_of(&configuration)["issuer"]
        .as_str()
        .unwrap()
        .to_owned();
    Provider {
        audience: name.to_owned(),
        issuer,
        allowed_audiences,
        jwks: Some(from_value(json_of(&keys)).unwrap()),
    }
}

/// A token service that believes this cluster.
pub fn believing_the_cluster() -> Credentials {
    Credentials {
        providers: vec![provider(PROVIDER, Vec::new())],
        impersonation: vec![MayImpersonate {
            principal: SUBJECT.to_owned(),
            service_account: EMAIL.to_owned(),
        }],
        ..Credentials::default()
    }
}

/// What kubelet would mount: a token of the controller's ServiceAccount for this audience.
pub fn projected_token(audience: &str) -> String {
    cluster(); // its ServiceAccount
    let arguments = [
        "create",
        "token",
        "opcancel-controller",
        "--namespace=opcancel-system",
        &format!("--audience={audience}"),
    ];
    let token = kubectl_as_admin(&arguments, "").unwrap();
    token.trim().to_owned()
}

#[test]
fn a_service_account_of_any_cluster_becomes_a_google_identity() {
    let files = Files::new();
    cluster();
    let scenario = Scenario {
        credentials: believing_the_cluster(),
        ..Scenario::default()
    }
    .with_operation(operation("op"), Script::default())
    .with_operation(operation("later"), Script::default());
    let path = files.credentials();
    let variables = [
        ("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap()),
        ("OPCANCEL_EXPECT_PRINCIPAL", EMAIL),
        // Asks for everything, of every library too.
        ("RUST_LOG", "trace,opcancel=trace"),
    ];
    let mut world = World::stopped("federation", scenario, &["--log-format=json"], &variables);
    let mut credentials = impersonating(world.emulator.credentials_url(), &files.subject_token());
    credentials["quota_project_id"] = json!("billing-prod");
    files.write_credentials(&credentials);
    world.grant();

    // The kubelet mounts the token after a while, and the token may be for another audience.
    let mut controller = ControllerProcess::spawn(world.controller_command());
    controller.wait_until_serving();
    controller.wait_for_log(|log| log.contains("not ready: token"));
    let (status, why) = controller.admin("/readyz");
    assert!(
        status == 503 && why.contains("token: ") && why.contains("cannot be read"),
        "{status} {why}"
    );
    let for_another = projected_token("https://kubernetes.default.svc");
    files.write_subject_token(&for_another);
    controller.wait_for_log(|log| log.contains("The audience of the token is not one"));
    let subject_token = projected_token(&format!("https:{PROVIDER}"));
    files.write_subject_token(&subject_token);
    controller.wait_until_ready();
    world.controller = Some(controller);

    world.cancel("op", &[]);
    let object = world.finished("op");
    assert_eq!(object.outcome(), "Cancelled");
    assert_eq!(object.text("/status/identity/kind"), "Operator");
    assert_eq!(object.text("/status/identity/principal"), EMAIL);
    let issued = world.emulator.tokens_issued();
    let shown: Vec<_> = issued
        .iter()
        .map(|token| (token.principal.as_str(), token.scopes.as_slice()))
        .collect();
    assert_eq!(
        shown[..2],
        [
            (SUBJECT, &[IAM.to_owned()][..]),
            (EMAIL, &[CLOUD_PLATFORM.to_owned()][..])
        ]
    );
    // The quota project of the file is charged for the calls, never for the tokens.
    assert!(
        world
            .requests("op")
            .iter()
            .all(|request| request.user_project.as_deref() == Some("billing-prod"))
    );
    let exchanges = world.emulator.credentials_requests();
    assert!(
        exchanges
            .iter()
            .all(|request| request.user_project.is_none())
    );
    assert!(world.emulator.metadata_requests().is_empty());

    // Tokens that Google takes back are fetched anew.
    world.emulator.revoke_tokens();
    world.cancel("later", &[]);
    assert_eq!(world.finished("later").outcome(), "Cancelled");

    let log = world.controller().log();
    assert!(
        log.contains("invalid_grant"),
        "what STS said was shown at least"
    );
    let objects = kubectl_as_admin(
        &[
            "get",
            "opcancel",
            &format!("--namespace={}", world.namespace.name),
            "--output=yaml",
        ],
        "",
    )
    .unwrap();
    let (_, metrics) = world.controller().admin("/metrics");
    let tokens = world.emulator.tokens_issued();
    assert!(tokens.len() >= 4, "two exchanges of two steps");
    let mut secrets: Vec<&str> = tokens.iter().map(|token| token.secret()).collect();
    for jwt in [&for_another, &subject_token] {
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        secrets.extend([signature, signed.split_once('.').unwrap().1]);
    }
    for secret in secrets {
        for (place, text) in [("log", &log), ("objects", &objects), ("metrics", &metrics)] {
            assert!(!text.contains(secret), "a token stands in the {place}");
        }
    }
}

/// docs/identity.md#a-pool-for-each-cluster: the binding names the pool and the subject, and no provider.
#[test]
fn another_cluster_is_the_operator_in_the_same_pool_and_a_stranger_in_its_own() {
    let of_another_cluster = |pool: &str| PROVIDER.replace("clusters/providers/one", pool);
    let shared = of_another_cluster("clusters/providers/test");
    let own = of_another_cluster("opcancel-test/providers/test");
    for (provider, becomes_the_operator) in [(shared, true), (own, false)] {
        let files = Files::new();
        cluster();
        let mut credentials = believing_the_cluster();
        credentials.providers[0].audience = provider.clone();
        let scenario = Scenario {
            credentials,
            ..Scenario::default()
        };
        let path = files.credentials();
        let variables = [("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap())];
        let world = World::stopped("another-cluster", scenario, &[], &variables);
        let mut credentials =
            impersonating(world.emulator.credentials_url(), &files.subject_token());
        credentials["audience"] = json!(provider);
        files.write_credentials(&credentials);
        files.write_subject_token(&projected_token(&format!("https:{provider}")));
        let mut controller = ControllerProcess::spawn(world.controller_command());
        if becomes_the_operator {
            controller.wait_until_ready();
        } else {
            controller.wait_until_serving();
            let log = controller.wait_for_log(|log| log.contains("not ready: token"));
            assert!(log.contains("iam.serviceAccounts.getAccessToken"), "{log}");
        }
        let principals: Vec<_> = world.emulator.tokens_issued();
        let principals: Vec<_> = principals
            .iter()
            .map(|token| token.principal.as_str())
            .collect();
        assert_eq!(principals.contains(&EMAIL), becomes_the_operator);
        assert_eq!(principals.contains(&SUBJECT), becomes_the_operator);
    }
}
