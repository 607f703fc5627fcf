//! Wrong arguments, no credentials, no connection: the exit code and the sentence. And a plan, which sends nothing.

use std::process::Command;

use crate::{
    harness::{Harness, PROJECT, as_expected, command, everything, flags, run},
    relay::{Relay, answer},
};

fn closed_port() -> String {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().to_string()
}

fn for_project(change: impl FnOnce(&mut Command)) -> Command {
    let mut command = command();
    command.arg(format!("--project={PROJECT}"));
    change(&mut command);
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_end_with_2_and_a_message() {
    for (given, said) in [
        (&[][..], "--project"),
        (
            &["--project=p", "--finished=projects/q/operations/o"],
            "is not in --project p",
        ),
        (
            &["--project=p", "--cancel=o"],
            "projects/PROJECT/locations/LOCATION/operations/OPERATION",
        ),
        (
            &["--project=p", "--ca-file=/nonexistent"],
            "--ca-file /nonexistent: No such file",
        ),
        (&["--project=p", "--quota-project=a b"], "--quota-project"),
        (&["--project=p", "--no-such-flag"], "--no-such-flag"),
    ] {
        let mut command = command();
        command.args(given).env("GCE_METADATA_HOST", "127.0.0.1:9");
        let probed = run(command).await;
        assert_eq!(probed.code, Some(2), "{given:?}: {probed:?}");
        assert!(
            probed.err.contains(said) && probed.out.is_empty(),
            "{given:?}: {probed:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_or_a_connection_it_ends_with_3() {
    let harness = Harness::plain(as_expected()).await;
    let nobody = closed_port();
    let missing = harness.folder().join("credentials.json");
    let wrong = harness.folder().join("wrong.json");
    std::fs::write(
        &wrong,
        r#"{"type": "authorized_user", "client_secret": "hidden"}"#,
    )
    .unwrap();
    let file = |path: &std::path::Path| format!("--credentials={}", path.display());
    for (what, command, said) in [
        (
            "a file that is not there",
            for_project(|c| {
                c.arg(file(&missing));
            }),
            "cannot be read",
        ),
        (
            "a file that is none",
            for_project(|c| {
                c.arg(file(&wrong));
            }),
            "wrong.json",
        ),
        (
            "no metadata server",
            for_project(|c| {
                c.env("GCE_METADATA_HOST", &nobody);
            }),
            "TOKEN: cannot get a token from the metadata server",
        ),
        (
            "another identity",
            for_project(|c| {
                c.env("GCE_METADATA_HOST", harness.emulator.metadata_address())
                    .arg("--expect-principal=other@acme-prod.iam.gserviceaccount.com");
            }),
            "--expect-principal",
        ),
        (
            "no endpoint",
            for_project(|c| {
                c.env("GCE_METADATA_HOST", harness.emulator.metadata_address())
                    .arg(format!("--endpoint-override=dialogflow=http://{nobody}"));
            }),
            "connection refused",
        ),
    ] {
        let probed = run(command).await;
        assert_eq!(probed.code, Some(3), "{what}: {probed:?}");
        assert!(probed.err.contains(said), "{what}: {probed:?}");
        assert!(
            probed.out.is_empty() && !probed.err.contains("hidden"),
            "{what}: {probed:?}"
        );
    }
    assert!(harness.emulator.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_sends_nothing_and_names_every_request() {
    let harness = Harness::plain(as_expected()).await;
    for plan in ["--dry-run", "--list"] {
        let probed = harness
            .probe(&[everything(), flags(&[plan])].concat())
            .await;
        assert_eq!(probed.code, Some(0), "{probed:?}");
        // The end of one operation may take many looks.
        assert!(
            probed.out.contains("At most 51 requests, one every 0ns"),
            "{}",
            probed.out
        );
        assert!(
            probed.out.contains("It may cancel: projects/acme-prod/locations/europe-west1/operations/7c93e2f1-running; projects/acme-prod/locations/europe-west1/operations/4d1b0a5e-finished, if a GET reports that it is done; random names"),
            "{}",
            probed.out
        );
        assert_eq!(probed.out.matches("\n    ").count(), 32, "{}", probed.out);
        // All locations are a question to no location's host.
        assert!(
            probed.out.contains("\nlist-partial: GET http://localhost:"),
            "{}",
            probed.out
        );
    }
    let probed = harness.probe(&flags(&["--dry-run"])).await;
    assert!(
        probed.out.contains("It may cancel: nothing.") && !probed.out.contains(": POST"),
        "{}",
        probed.out
    );
    assert!(harness.emulator.requests().is_empty(), "nothing was sent");
    assert!(
        harness.emulator.metadata_requests().is_empty(),
        "no token was fetched"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_who_pays() {
    let harness = Harness::plain(as_expected()).await;
    let file = harness.folder().join("adc.json");
    let credentials = serde_json::json!({
        "type": "authorized_user", "client_id": "an-id", "client_secret": "a-secret",
        "refresh_token": "a-token", "quota_project_id": "of-the-file",
    });
    std::fs::write(&file, credentials.to_string()).unwrap();
    let of_file = format!("--credentials={}", file.display());
    let nowhere = format!(
        "--credentials={}",
        harness.folder().join("none.json").display()
    );
    for (given, said) in [
        (
            vec![],
            "\nNo x-goog-user-project is sent, unless a row says otherwise.\n",
        ),
        (
            vec![of_file.clone()],
            "\nx-goog-user-project: of-the-file, unless a row says otherwise.\n",
        ),
        (
            vec![of_file, "--quota-project=of-the-flag".to_owned()],
            "\nx-goog-user-project: of-the-flag, unless a row says otherwise.\n",
        ),
        (
            vec![nowhere],
            "\nx-goog-user-project: unknown, because no credentials were found: ",
        ),
    ] {
        let probed = harness
            .probe(&[flags(&["--dry-run"]), given].concat())
            .await;
        assert_eq!(probed.code, Some(0), "{probed:?}");
        assert!(probed.out.contains(said), "{said}: {}", probed.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_that_prevents_all_requests_ends_with_3_and_a_message() {
    for (http, status, reason, said) in [
        (
            403,
            "PERMISSION_DENIED",
            "SERVICE_DISABLED",
            "enable the dialogflow API in projects/123456789012",
        ),
        (
            403,
            "PERMISSION_DENIED",
            "USER_PROJECT_DENIED",
            "roles/serviceusage.serviceUsageConsumer",
        ),
        (
            401,
            "UNAUTHENTICATED",
            "ACCESS_TOKEN_EXPIRED",
            "gcloud auth application-default login",
        ),
    ] {
        let refusal = serde_json::json!({"error": {
            "code": http, "status": status, "message": "said by the server",
            "details": [{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
                "metadata": {"consumer": "projects/123456789012"},
            }],
        }});
        let harness = Harness::plain(as_expected()).await;
        let instead = answer(http, "application/json", &refusal.to_string());
        let relay = Relay::start(harness.emulator.url(), move |_, _| Some(instead.clone())).await;
        let probed = harness.probe_at(&relay.url, &everything()).await;
        assert_eq!(probed.code, Some(3), "{reason}: {probed:?}");
        for said in [said, reason, "said by the server"] {
            assert!(probed.err.contains(said), "{said}: {probed:?}");
        }
        assert!(probed.out.is_empty(), "{probed:?}");
    }
}
