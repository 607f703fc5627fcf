//! The identity of a ServiceAccount, obtained by the controller and by google-auth from the same token: on GKE, in a fleet and by a
//! provider, with and without impersonation. The token services get the same requests, field by field, but for [`DIFFERENCES`].

use std::{collections::BTreeSet, time::Duration};

use opcancel::google::{
    identity::{
        Audiences, GoogleAccount, Secret, TokenEndpoint, WorkloadIdentity, WorkloadIdentityConfig,
        WorkloadIdentityProvider,
    },
    tls,
};
use operations_emulator::{
    Credentials, Emulator, RequestRecord, Scenario, Script, credentials::Provider,
};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::{
    client::{Google, python},
    identity::{credential_files, signing_key},
    request_fields::{ABSENT, fields, kind},
};

const ISSUER: &str = "https://issuer.example";
const OPERATION: &str = "projects/acme-prod/operations/stopped";
const EMAIL: &str = "deployer@acme-prod.iam.gserviceaccount.com";

/// How Google knows the cluster.
const PROVIDERS: [&str; 3] = [
    "projects/acme-prod/locations/europe-west1/clusters/main",
    "projects/acme-prod/locations/global/memberships/on-premises",
    "projects/123456789012/locations/global/workloadIdentityPools/clusters/providers/one",
];

/// The kind of request, the field, what the controller sends, what google-auth sends, and why they differ.
const DIFFERENCES: [[&str; 5]; 14] = [
    [
        "exchange",
        "`accept-encoding`",
        "–",
        "gzip, deflate",
        "answers are short, and their size is limited",
    ],
    [
        "impersonate",
        "`accept-encoding`",
        "–",
        "gzip, deflate",
        "answers are short, and their size is limited",
    ],
    [
        "exchange",
        "`accept`",
        "application/json",
        "*/*",
        "the controller reads only JSON",
    ],
    [
        "impersonate",
        "`accept`",
        "application/json",
        "*/*",
        "the controller reads only JSON",
    ],
    [
        "exchange",
        "`connection`",
        "–",
        "keep-alive",
        "it repeats the default",
    ],
    [
        "impersonate",
        "`connection`",
        "–",
        "keep-alive",
        "it repeats the default",
    ],
    [
        "exchange",
        "`user-agent`",
        "opcancel/N",
        "python-requests/N",
        "identifies the caller",
    ],
    [
        "impersonate",
        "`user-agent`",
        "opcancel/N",
        "python-requests/N",
        "identifies the caller",
    ],
    [
        "exchange",
        "`x-goog-api-client`",
        "–",
        "gl-python/N auth/N google-byoid-sdk sa-impersonation/false config-lifetime/false source/file",
        "statistics of Google's libraries",
    ],
    [
        "exchange",
        "`x-goog-api-client`",
        "–",
        "gl-python/N auth/N google-byoid-sdk sa-impersonation/true config-lifetime/false source/file",
        "statistics of Google's libraries",
    ],
    [
        "impersonate",
        "`x-goog-api-client`",
        "–",
        "gl-python/N auth/N auth-request-type/at cred-type/imp",
        "statistics of Google's libraries",
    ],
    [
        "impersonate",
        "`content-length`",
        "78",
        "101",
        "the length of the body",
    ],
    [
        "impersonate",
        "body `delegates`",
        "–",
        "null",
        "in ProtoJSON, null means an absent field",
    ],
    [
        "impersonate",
        "body `lifetime`",
        "\"900s\"",
        "\"3600s\"",
        "a token outlives a revoked binding, so its life is short",
    ],
];

fn named(provider: &str) -> Audiences {
    match provider.parse().unwrap() {
        WorkloadIdentityProvider::Named(audiences) => audiences,
        WorkloadIdentityProvider::ThisGkeCluster => panic!("{provider}"),
    }
}

fn scenario() -> Scenario {
    let providers = PROVIDERS.map(named).map(|audiences| Provider {
        audience: audiences.exchange,
        issuer: ISSUER.to_owned(),
        allowed_audiences: vec![audiences.subject_token],
        jwks: Some(signing_key::jwks()),
    });
    let scenario = Scenario {
        credentials: Credentials {
            providers: providers.into(),
            ..Credentials::default()
        },
        ..Scenario::default()
    };
    scenario.with_operation(OPERATION, Script::default())
}

/// What the API server issues for this audience.
fn subject_token(audience: &str) -> String {
    signing_key::jwt(&json!({
        "iss": ISSUER, "aud": [audience], "sub": "system:serviceaccount:team:deployer",
    }))
}

async fn ours(provider: &str, account: Option<&str>) -> Vec<RequestRecord> {
    tls::install_provider();
    let emulator = Emulator::start(scenario()).await.unwrap();
    let endpoint: TokenEndpoint = emulator.credentials_url().parse().unwrap();
    let identity = WorkloadIdentity::new(&WorkloadIdentityConfig {
        provider: provider.parse().unwrap(),
        metadata_host: None,
        sts: endpoint.clone(),
        iam_credentials: endpoint,
        scopes: vec![credential_files::CLOUD_PLATFORM.to_owned()],
        request_timeout: Duration::from_secs(20),
        https_proxy: None,
    })
    .unwrap();
    let audiences = identity.audiences().await.unwrap();
    let token = Secret::new(subject_token(&audiences.subject_token));
    let account = account.map(|email| GoogleAccount::new(email).unwrap());
    let exchanged = identity.exchange(&audiences, &token, account.as_ref());
    exchanged.await.unwrap();
    emulator.credentials_requests()
}

fn theirs(runtime: &Runtime, provider: &str, account: Option<&str>) -> Vec<RequestRecord> {
    let google = runtime.block_on(Google::start(scenario()));
    let audiences = named(provider);
    let token = google.file("token", &subject_token(&audiences.subject_token));
    let mut file = credential_files::external_account("https://sts.googleapis.com", &token);
    file["audience"] = json!(audiences.exchange);
    if let Some(email) = account {
        file["service_account_impersonation_url"] = json!(format!(
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
        ));
    }
    let path = google.file("credentials.json", &file.to_string());
    let url = format!("https://dialogflow.googleapis.com/v2/{OPERATION}");
    let case = json!([{"id": "tenant", "file": path, "url": url}]);
    let run = google.ask(runtime, python("identity.py"), &case);
    assert_eq!(
        run.answers["tenant"]["value"]["status"], 200,
        "{provider}: {:?}",
        run.answers
    );
    run.credentials
}

#[test]
fn google_auth_sends_the_same_to_the_token_services() {
    let runtime = Runtime::new().unwrap();
    let mut found = BTreeSet::new();
    for provider in PROVIDERS {
        for account in [None, Some(EMAIL)] {
            let ours = runtime.block_on(ours(provider, account));
            let theirs = theirs(&runtime, provider, account);
            let wanted = |requests: &[RequestRecord]| -> Vec<_> {
                let compared = requests.iter();
                let compared =
                    compared.filter_map(|request| Some((kind(request)?, fields(request))));
                compared.collect()
            };
            let (ours, theirs) = (wanted(&ours), wanted(&theirs));
            assert_eq!(ours.len(), if account.is_some() { 2 } else { 1 });
            let kinds = |requests: &[(&'static str, _)]| -> Vec<_> {
                requests.iter().map(|(kind, _)| *kind).collect()
            };
            assert_eq!(kinds(&ours), kinds(&theirs), "{provider} {account:?}");
            for ((kind, ours), (_, theirs)) in ours.iter().zip(&theirs) {
                let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
                for name in names {
                    let value = |of: &crate::request_fields::Fields| {
                        of.get(name).map_or(ABSENT, String::as_str).to_owned()
                    };
                    if value(ours) != value(theirs) {
                        found.insert([
                            (*kind).to_owned(),
                            name.clone(),
                            value(ours),
                            value(theirs),
                        ]);
                    }
                }
            }
        }
    }
    let listed: BTreeSet<_> = DIFFERENCES
        .iter()
        .map(|[kind, field, ours, theirs, _]| {
            [kind, field, ours, theirs].map(|text| (*text).to_owned())
        })
        .collect();
    assert_eq!(found, listed, "left is what was sent, right what is listed");
}
