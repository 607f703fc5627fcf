//! What the report shows, in every form, and what it never shows.

use operations_emulator::{AcceptedToken, Authorization, ProjectNames, Script};
use serde_json::json;

use crate::{
    harness::{
        FINISHED, FORBIDDEN, Harness, LOCATION, PROJECT, RUNNING, as_expected, done, everything,
        flags, scenario,
    },
    relay::{Relay, answer, refusal},
};

#[tokio::test(flavor = "multi_thread")]
async fn over_real_tls_everything_is_as_expected() {
    let harness = Harness::over_tls(as_expected()).await;
    let probed = harness.probe(&everything()).await;
    assert_eq!(probed.code, Some(0), "{probed:?}");
    assert!(
        probed.out.contains(
            "\n32 as expected, 0 differ, 0 without an answer, 0 not tried; 32 requests\n"
        ),
        "{}",
        probed.out
    );
    for line in [
        "get-missing",
        "cancel-no-rights",
        "    ErrorInfo: IAM_PERMISSION_DENIED, dialogflow.googleapis.com, permission=dialogflow.operations.cancel",
        "    transport: HTTP/2.0, application/json; charset=UTF-8",
        "    transport: HTTP/1.1, text/html; charset=UTF-8",
        "    name: as requested",
    ] {
        assert!(
            probed.out.lines().any(|shown| shown.starts_with(line)),
            "{line}: {}",
            probed.out
        );
    }
    // The audit log leads back to each row of this run.
    let run = probed
        .out
        .lines()
        .find_map(|line| line.strip_prefix("X-Goog-Request-Reason: "))
        .unwrap();
    let run = run.rsplit(' ').next().unwrap();
    for request in harness.emulator.requests() {
        let reason = request.request_reason.unwrap();
        assert!(
            reason.starts_with("opcancel - opcancel-probe/") && reason.ends_with(run),
            "{reason}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn project_numbers_are_as_expected_and_reported() {
    let mut scenario = as_expected();
    scenario.project_names = ProjectNames::Number;
    scenario.identity.project_id = PROJECT.to_owned();
    let harness = Harness::plain(scenario).await;
    let probed = harness
        .probe(&[everything(), flags(&["--output=json"])].concat())
        .await;
    assert_eq!(probed.with("differs"), Vec::<String>::new(), "{probed:?}");
    let finished = probed
        .rows()
        .into_iter()
        .find(|row| row["id"] == "get-finished")
        .unwrap();
    assert_eq!(finished["observed"]["operation"]["name"], "projectNumber");
    assert_eq!(
        finished["observed"]["answer"],
        serde_json::Value::Null,
        "kept for the judgement only"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_made_up_token_that_is_taken_differs() {
    let mut scenario = as_expected();
    scenario.tokens = vec![AcceptedToken {
        token: "ya29.opcancel-probe-made-this-up".to_owned(),
        principal: "anybody@example.com".to_owned(),
    }];
    let harness = Harness::plain(scenario).await;
    let probed = harness.probe(&flags(&["--output=json"])).await;
    assert_eq!(probed.with("differs"), ["made-up-token"], "{probed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_ever_shown_not_even_an_echo() {
    let harness = Harness::plain(as_expected()).await;
    let relay = Relay::start(harness.emulator.url(), |_, head| {
        Some(refusal(
            400,
            "INVALID_ARGUMENT",
            &format!("what do you mean by {head}?"),
        ))
    })
    .await;
    for output in ["text", "json", "markdown"] {
        let probed = harness
            .probe_at(&relay.url, &flags(&["--output", output]))
            .await;
        assert_eq!(probed.code, Some(1), "{probed:?}");
        let tokens = harness.emulator.tokens_issued();
        assert!(!tokens.is_empty());
        for token in tokens {
            let shown = format!("{}{}", probed.out, probed.err);
            assert!(!shown.contains(token.secret()), "{shown}");
            assert!(!shown.contains("made-this-up"), "{shown}");
        }
        assert!(probed.out.contains("token removed"), "{}", probed.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_into_an_issue_names_nobody() {
    let mut finished = done();
    finished.metadata =
        serde_json::from_value(json!({"type": "type.example/acme.Metadata"})).unwrap();
    let harness = Harness::over_tls(scenario(finished, Script::default())).await;
    let probed = harness
        .probe(&[everything(), flags(&["--output=markdown"])].concat())
        .await;
    assert_eq!(probed.code, Some(0), "{probed:?}");
    let last = |name: &str| name.rsplit('/').next().unwrap().to_owned();
    let port = harness.emulator.url().rsplit(':').next().unwrap();
    for hidden in [
        PROJECT,
        FORBIDDEN,
        "123456789012",
        "999999999999",
        "iam.gserviceaccount.com",
        harness.emulator.metadata_address(),
        &last(FINISHED),
        &last(RUNNING),
        port,
    ] {
        assert!(!probed.out.contains(hidden), "{hidden}: {}", probed.out);
    }
    assert!(
        probed
            .out
            .contains("| get-missing<br>GET https://ENDPOINT/v2/projects/PROJECT/locations/"),
        "{}",
        probed.out
    );
    assert!(probed.out.contains(LOCATION));
    // What is hidden is not more than that.
    assert!(
        probed.out.contains("metadata fields: &#64;type"),
        "{}",
        probed.out
    );
    let open = harness
        .probe(&flags(&["--output=markdown", "--redact=false"]))
        .await;
    assert!(open.out.contains(PROJECT), "{}", open.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_into_an_issue_does_not_name_who_pays() {
    const PAYER: &str = "acme-billing";
    let mut scenario = as_expected();
    scenario.credentials = serde_json::from_value(json!({
        "users": [{"refreshToken": "1//0a-refresh", "principal": "somebody@example.com"}],
    }))
    .unwrap();
    let harness = Harness::plain(scenario).await;
    let file = person(&harness, PAYER);
    // Nobody knows the payer here: each answer is a refusal of it, but the first and one that tells of two others.
    let others = answer(
        403,
        "application/json",
        &json!({"error": {
            "code": 403, "status": "PERMISSION_DENIED",
            "message": "Quota of acme-folder, seen from projects/acme-elsewhere/locations/eu and project 'acmequoted'.",
            "details": [{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "TOLD", "domain": "googleapis.com",
                "metadata": {"consumer": "projects/acme-folder"},
            }],
        }})
        .to_string(),
    );
    let missing = refusal(404, "NOT_FOUND", "a message");
    let relay = Relay::start(harness.emulator.url(), move |number, _| match number {
        0 => Some(missing.clone()),
        1 => Some(others.clone()),
        _ => None,
    })
    .await;
    let probed = harness
        .probe_at(&relay.url, &[file, "--output=markdown".to_owned()])
        .await;
    assert_eq!(probed.code, Some(1), "{probed:?}");
    assert!(
        probed
            .out
            .contains("\n- x-goog-user-project: QUOTA-PROJECT\n"),
        "{}",
        probed.out
    );
    assert!(probed.out.contains("USER\\_PROJECT\\_DENIED"));
    for hidden in [PAYER, "acme-folder", "acme-elsewhere", "acmequoted"] {
        assert!(!probed.out.contains(hidden), "{hidden}: {}", probed.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_into_an_issue_names_no_override_that_was_called() {
    let harness = Harness::plain(as_expected()).await;
    // The named operation is at another location than the rest.
    let all = [
        format!("--finished={FINISHED}"),
        "--output=markdown".to_owned(),
    ];
    let probed = harness.probe(&all).await;
    assert_eq!(probed.code, Some(0), "{probed:?}");
    let (_, port) = harness.emulator.url().rsplit_once(':').unwrap();
    for hidden in ["127.0.0.1", "localhost", port] {
        assert!(!probed.out.contains(hidden), "{hidden}: {}", probed.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_project_goes_with_every_call() {
    let harness = Harness::plain(as_expected()).await;
    let probed = harness
        .probe(&flags(&["--quota-project=acme-prod", "--output=json"]))
        .await;
    assert_eq!(probed.code, Some(0), "{probed:?}");
    for request in harness.emulator.requests() {
        assert_eq!(request.user_project.as_deref(), Some(PROJECT));
        let bare = request.authorization == Authorization::Absent;
        assert_eq!(bare, request.request_reason.unwrap().contains("/no-token "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_credential_file_is_used_and_its_scopes_are_not_asked_about() {
    let mut scenario = as_expected();
    scenario.credentials = serde_json::from_value(json!({
        "users": [{"refreshToken": "1//0a-refresh", "principal": "somebody@example.com"}],
    }))
    .unwrap();
    let harness = Harness::plain(scenario).await;
    let file = person(&harness, PROJECT);
    let probed = harness
        .probe(&[everything(), vec![file, "--output=json".to_owned()]].concat())
        .await;
    assert_eq!(probed.code, Some(0), "{probed:?}");
    assert_eq!(probed.with("not tried"), ["narrow-scope"], "{probed:?}");
    assert!(harness.emulator.metadata_requests().is_empty());
    let paid = harness.emulator.requests_for(FINISHED);
    assert!(
        paid.iter()
            .all(|request| request.user_project.as_deref() == Some(PROJECT)),
        "quota_project_id"
    );
    for secret in ["1//0a", "GOCSPX"] {
        assert!(!format!("{probed:?}").contains(secret), "{probed:?}");
    }
}

/// The flag for a person's credentials, whose calls this project pays for.
fn person(harness: &Harness, payer: &str) -> String {
    let file = harness.folder().join("adc.json");
    let credentials = json!({
        "type": "authorized_user", "client_id": "an-id", "client_secret": "GOCSPX-a-client-secret",
        "refresh_token": "1//0a-refresh", "quota_project_id": payer,
        "token_uri": format!("{}/token", harness.emulator.credentials_url()),
    });
    std::fs::write(&file, credentials.to_string()).unwrap();
    format!("--credentials={}", file.display())
}
