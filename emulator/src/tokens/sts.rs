//! Google's Security Token Service: `POST /v1/token` (google/identity/sts/v1, RFC 8693).

use jiff::Timestamp;
use serde_json::json;

use crate::{
    protocol::{form::Form, json_web_token::JsonWebToken},
    scenario::credentials::Provider,
    tokens::{oauth_error::oauth_error, services::CredentialServices},
    transport::reply::Reply,
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWTS: [&str; 2] = [
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
];

/// Exchanges a subject token for an access token.
pub(crate) fn exchange(services: &CredentialServices, form: &Form) -> Reply {
    match try_exchange(services, form) {
        Ok(reply) => reply,
        Err((code, description)) => oauth_error(code, &description),
    }
}

fn try_exchange(
    services: &CredentialServices,
    form: &Form,
) -> Result<Reply, (&'static str, String)> {
    let invalid_request = |field: &str| ("invalid_request", format!("Invalid value for {field}."));
    if form.get("grant_type") != GRANT {
        return Err((
            "unsupported_grant_type",
            "Only token exchange is offered.".to_owned(),
        ));
    }
    if form.get("requested_token_type") != ACCESS_TOKEN {
        return Err(invalid_request("requested_token_type"));
    }
    if !JWTS.contains(&form.get("subject_token_type")) {
        return Err(invalid_request("subject_token_type"));
    }
    let scopes = form.scopes();
    if scopes.is_empty() {
        return Err(("invalid_scope", "At least one scope is needed.".to_owned()));
    }
    let audience = form.get("audience");
    let providers = &services.credentials.providers;
    let provider = providers.iter().find(|known| known.audience == audience);
    if provider.is_none() && !providers.is_empty() {
        let why = "The target service indicated by the \"audience\" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn't exist.";
        return Err(("invalid_target", why.to_owned()));
    }
    let invalid_grant = |why: &str| ("invalid_grant", why.to_owned());
    let token = JsonWebToken::parse(form.get("subject_token")).map_err(invalid_grant)?;
    token.check_times(Timestamp::now()).map_err(invalid_grant)?;
    if let Some(provider) = provider {
        believe(provider, &token).map_err(|why| invalid_grant(&why))?;
    }
    let subject = token
        .claim("sub")
        .ok_or_else(|| invalid_grant("The token must have the claim sub."))?;
    let principal = principal(audience, subject, &services.project_number)
        .ok_or_else(|| invalid_request("audience"))?;
    let life = services.credentials.expires_in;
    let issued = services.tokens.issue_to(&principal, scopes, life);
    Ok(Reply::json(
        200,
        &json!({
            "access_token": issued.secret(),
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": life.as_secs(),
        }),
    ))
}

fn believe(provider: &Provider, token: &JsonWebToken<'_>) -> Result<(), String> {
    if token.claim("iss") != Some(&provider.issuer) {
        return Err(format!(
            "The issuer of the token does not match the provider's, {}.",
            provider.issuer
        ));
    }
    let allowed = &provider.allowed_audiences;
    let name = &provider.audience;
    let acceptable = |audience: &str| match allowed.is_empty() {
        true => audience.strip_prefix("https:").unwrap_or(audience) == name,
        false => allowed.iter().any(|allowed| allowed == audience),
    };
    if !token.is_for(acceptable) {
        return Err("The audience of the token is not one that the provider allows.".to_owned());
    }
    match &provider.jwks {
        Some(keys) => token.check_signature(keys).map_err(str::to_owned),
        None => Ok(()),
    }
}

/// Google's name for a subject. For the pools of clusters and fleets Google itself maps `system:serviceaccount:NS:SA`.
fn principal(audience: &str, subject: &str, project_number: &str) -> Option<String> {
    if let Some(rest) = audience.strip_prefix("identitynamespace:") {
        let (pool, _) = rest.split_once(':')?;
        let (namespace, account) = subject
            .strip_prefix("system:serviceaccount:")?
            .split_once(':')?;
        return Some(format!(
            "principal://iam.googleapis.com/projects/{project_number}/locations/global/workloadIdentityPools/{pool}/subject/ns/{namespace}/sa/{account}"
        ));
    }
    let (pool, _) = audience
        .strip_prefix("//iam.googleapis.com/")?
        .split_once("/providers/")?;
    Some(format!(
        "principal://iam.googleapis.com/{pool}/subject/{subject}"
    ))
}
