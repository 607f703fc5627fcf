//! IAM Credentials: `POST /v1/projects/-/serviceAccounts/EMAIL:generateAccessToken`
//! (google/iam/credentials/v1/iamcredentials.proto).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::{
    protocol::rpc_code::RpcCode,
    tokens::{TokenCheck, services::CredentialServices},
    transport::reply::Reply,
};

/// A caller's token needs one of these scopes.
const SCOPES: [&str; 2] = [
    "https://www.googleapis.com/auth/cloud-platform",
    "https://www.googleapis.com/auth/iam",
];

/// The names with allowed locations: service accounts, and pools of workloads and of the workforce.
const WITH_LOCATIONS: [&[&str]; 3] = [
    &["projects", "-", "serviceAccounts", "*"],
    &[
        "projects",
        "*",
        "locations",
        "global",
        "workloadIdentityPools",
        "*",
    ],
    &["locations", "global", "workforcePools", "*"],
];

/// Longest lifetime of a token, for organizations that allow it.
const LONGEST: u64 = 43_200;

/// In ProtoJSON `null` is the same as an absent field; google-auth sends it for no delegates.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Body {
    scope: Option<Vec<String>>,
    lifetime: Option<String>,
    delegates: Option<Vec<String>>,
}

/// The service account in a path.
pub(crate) fn account(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/projects/-/serviceAccounts/")?
        .strip_suffix(":generateAccessToken")
        .filter(|account| !account.contains('/'))
}

/// Whether a path is `/v1/NAME/allowedLocations`, which google-auth requests in the background.
pub(crate) fn asks_for_locations(path: &str) -> bool {
    let name = path.strip_prefix("/v1/");
    let Some(name) = name.and_then(|path| path.strip_suffix("/allowedLocations")) else {
        return false;
    };
    WITH_LOCATIONS.iter().any(|form| {
        let mut given = name.split('/');
        let fits = form.iter().all(|part| {
            given
                .next()
                .is_some_and(|segment| *part == "*" || *part == segment)
        });
        fits && given.next().is_none()
    })
}

/// No principal here is restricted to a location. ProtoJSON leaves out the empty `locations`.
pub(crate) fn allowed_locations(services: &CredentialServices, request: &Request<Bytes>) -> Reply {
    let authorization = request.headers().get(header::AUTHORIZATION);
    match services
        .tokens
        .check(authorization.map(HeaderValue::as_bytes))
    {
        TokenCheck::Valid { .. } => Reply::json(200, &json!({"encodedLocations": "0x0"})),
        _ => unauthenticated(),
    }
}

fn unauthenticated() -> Reply {
    let message = "Request had invalid authentication credentials.";
    Reply::error(RpcCode::Unauthenticated, message, &[])
}

/// Issues a token of the service account to the caller.
pub(crate) fn generate(
    services: &CredentialServices,
    account: &str,
    request: &Request<Bytes>,
) -> Reply {
    let authorization = request.headers().get(header::AUTHORIZATION);
    let token = services
        .tokens
        .check(authorization.map(HeaderValue::as_bytes));
    let TokenCheck::Valid {
        principal, scopes, ..
    } = token
    else {
        return unauthenticated();
    };
    if !scopes.is_empty() && !scopes.iter().any(|scope| SCOPES.contains(&scope.as_str())) {
        let message = "Request had insufficient authentication scopes.";
        return refused(message, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", account);
    }
    let leave = &services.credentials.impersonation;
    let may = leave.is_empty()
        || leave
            .iter()
            .any(|may| may.principal == principal && may.service_account == account);
    if !may {
        let message = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).";
        return refused(message, "IAM_PERMISSION_DENIED", account);
    }
    let invalid = |message: &str| Reply::error(RpcCode::InvalidArgument, message, &[]);
    let Ok(body) = serde_json::from_slice::<Body>(request.body()) else {
        return invalid("Invalid JSON payload received.");
    };
    let scope = body.scope.unwrap_or_default();
    if scope.is_empty() {
        return invalid("Scope required.");
    }
    let full = |name: &String| name.starts_with("projects/-/serviceAccounts/");
    if !body.delegates.iter().flatten().all(full) {
        return invalid("Invalid form of service account name for delegates.");
    }
    let lifetime = body.lifetime.as_deref().unwrap_or("3600s");
    let seconds = lifetime
        .strip_suffix('s')
        .and_then(|text| text.parse().ok());
    let Some(seconds) = seconds.filter(|seconds| (1..=LONGEST).contains(seconds)) else {
        return invalid("The access token lifetime must be between 1 and 43200 seconds.");
    };
    let life = Duration::from_secs(seconds);
    let issued = services.tokens.issue_to(account, scope, life);
    let end = Timestamp::now()
        .checked_add(life)
        .map(|end| end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    Reply::json(
        200,
        &json!({"accessToken": issued.secret(), "expireTime": end.unwrap_or_default()}),
    )
}

fn refused(message: &str, reason: &str, account: &str) -> Reply {
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
        "domain": "iam.googleapis.com",
        "metadata": {"permission": "iam.serviceAccounts.getAccessToken", "resource": account},
    });
    Reply::error(RpcCode::PermissionDenied, message, &[info])
}
