//! The metadata server, asked as Google's libraries ask it.

mod support;

use operations_emulator::{Emulator, Identity, NotReady, Scenario};
use serde_json::{Value, json};
use support::{metadata, start_scenario};

#[tokio::test]
async fn each_token_is_another_and_is_recorded_with_its_scopes() {
    let setup = start_scenario(Scenario::default()).await;
    let path = "instance/service-accounts/default/token?scopes=https%3A%2F%2Fa%2Cb";
    let answer = metadata(&setup.client, &setup.emulator, path).await;
    assert_eq!(answer.headers()["metadata-flavor"], "Google");
    let token: Value = answer.json().await.unwrap();
    assert_eq!(
        (&token["expires_in"], &token["token_type"]),
        (&json!(3599), &json!("Bearer"))
    );
    let issued = setup.emulator.tokens_issued();
    assert_eq!(issued.len(), 2);
    assert_eq!(issued[1].scopes, ["https://a", "b"]);
    assert_eq!(token["access_token"], issued[1].secret());
    assert_ne!(issued[0].secret(), issued[1].secret());
    let shown = format!("{issued:?} {}", serde_json::to_string(&issued).unwrap());
    assert!(!shown.contains(issued[0].secret()), "{shown}");
}

#[tokio::test]
async fn tells_who_and_where_it_is() {
    let setup = start_scenario(Scenario::default()).await;
    let identity = Identity::default();
    for (path, expected) in [
        (
            "instance/service-accounts/default/email",
            identity.email.clone(),
        ),
        (
            &format!("instance/service-accounts/{}/email", identity.email),
            identity.email.clone(),
        ),
        (
            "instance/service-accounts/",
            format!("default/\n{}/\n", identity.email),
        ),
        ("project/project-id", identity.project_id),
        ("project/numeric-project-id", identity.project_number),
        ("instance/attributes/cluster-name", identity.cluster_name),
        (
            "instance/attributes/cluster-location",
            identity.cluster_location,
        ),
        ("universe/universe-domain", "googleapis.com".into()),
    ] {
        let answer = metadata(&setup.client, &setup.emulator, path).await;
        assert_eq!(
            (answer.status().as_u16(), answer.text().await.unwrap()),
            (200, expected),
            "{path}"
        );
    }
    let account = metadata(
        &setup.client,
        &setup.emulator,
        "instance/service-accounts/default/?recursive=true",
    )
    .await;
    let account: Value = account.json().await.unwrap();
    assert_eq!(account["email"], identity.email);
    assert_eq!(account["aliases"], json!(["default"]));
    for path in ["nothing", "instance/service-accounts/other@x/token"] {
        assert_eq!(
            metadata(&setup.client, &setup.emulator, path)
                .await
                .status(),
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn directories_have_a_slash_at_their_end() {
    let setup = start_scenario(Scenario::default()).await;
    let base = format!(
        "http://{}/computeMetadata/v1/",
        setup.emulator.metadata_address()
    );
    for (path, list) in [
        ("", "instance/\nproject/\nuniverse/\n"),
        ("instance/", "attributes/\nservice-accounts/\n"),
        ("project/", "numeric-project-id\nproject-id\n"),
        (
            "instance/service-accounts/default/",
            "aliases\nemail\nscopes\ntoken\n",
        ),
    ] {
        let answer = metadata(&setup.client, &setup.emulator, path).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.text().await.unwrap(), list, "{path}");
        // How google-auth-library for Node finds out whether there is a metadata server: by instance without a slash.
        let short = format!("{}?recursive=true", path.trim_end_matches('/'));
        if !path.is_empty() {
            let answer = metadata(&setup.client, &setup.emulator, &short).await;
            assert_eq!(answer.status(), 301, "{short}");
            assert_eq!(
                answer.headers()["location"],
                format!("{base}{path}?recursive=true")
            );
        }
    }
}

#[tokio::test]
async fn refuses_whoever_does_not_say_that_they_mean_it() {
    let setup = start_scenario(Scenario::default()).await;
    let before = setup.emulator.tokens_issued().len();
    let url = format!(
        "http://{}/computeMetadata/v1/instance/service-accounts/default/token",
        setup.emulator.metadata_address()
    );
    assert_eq!(setup.client.get(&url).send().await.unwrap().status(), 403);
    let forwarded = setup
        .client
        .get(&url)
        .header("metadata-flavor", "Google")
        .header("x-forwarded-for", "1.2.3.4");
    assert_eq!(forwarded.send().await.unwrap().status(), 403);
    assert_eq!(setup.emulator.tokens_issued().len(), before);
}

#[tokio::test]
async fn is_not_ready_at_first_if_told_so() {
    let identity = Identity {
        not_ready: NotReady {
            requests: 2,
            status: 500,
        },
        ..Identity::default()
    };
    let emulator = Emulator::start(Scenario {
        identity,
        ..Scenario::default()
    })
    .await
    .unwrap();
    let client = support::client();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(
            metadata(&client, &emulator, "project/project-id")
                .await
                .status()
                .as_u16(),
        );
    }
    assert_eq!(statuses, [500, 500, 200]);
    assert_eq!(emulator.metadata_requests().len(), 3);
    assert!(emulator.requests().is_empty());
}
