//! Google's OAuth server, `POST /token`: refresh tokens of users (RFC 6749, section 6) and assertions of service accounts
//! (RFC 7523).

use jiff::Timestamp;
use serde_json::json;

use crate::{
    protocol::{form::Form, json_web_token::JsonWebToken},
    tokens::{oauth_error::oauth_error, services::CredentialServices},
    transport::reply::Reply,
};

/// Issues a token for the grant in the form. `own_url` is the required audience of an assertion.
pub(crate) fn grant(services: &CredentialServices, form: &Form, own_url: &str) -> Reply {
    let granted = match form.get("grant_type") {
        "refresh_token" => user(services, form),
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => service_account(services, form, own_url),
        _ => return oauth_error("unsupported_grant_type", "Invalid grant_type."),
    };
    let (principal, scopes) = match granted {
        Ok(granted) => granted,
        Err(why) => return oauth_error("invalid_grant", why),
    };
    let life = services.credentials.expires_in;
    let issued = services.tokens.issue_to(&principal, scopes, life);
    Reply::json(
        200,
        &json!({"access_token": issued.secret(), "token_type": "Bearer", "expires_in": life.as_secs()}),
    )
}

/// The principal of a token, and its scopes.
type Granted = Result<(String, Vec<String>), &'static str>;

fn user(services: &CredentialServices, form: &Form) -> Granted {
    let users = &services.credentials.users;
    let user = users
        .iter()
        .find(|user| user.refresh_token == form.get("refresh_token"))
        .ok_or("Token has been expired or revoked.")?;
    if form.get("client_id").is_empty() || form.get("client_secret").is_empty() {
        return Err("The OAuth client was not found.");
    }
    Ok((user.principal.clone(), form.scopes()))
}

fn service_account(services: &CredentialServices, form: &Form, own_url: &str) -> Granted {
    let assertion = JsonWebToken::parse(form.get("assertion"))?;
    let accounts = &services.credentials.service_accounts;
    let account = accounts
        .iter()
        .find(|account| assertion.claim("iss") == Some(&account.email))
        .ok_or("Invalid grant: account not found")?;
    assertion.check_signature(&account.jwks)?;
    assertion.check_times(Timestamp::now())?;
    if !assertion.is_for(|audience| audience == own_url) {
        return Err("Invalid JWT: the audience is another one.");
    }
    let scopes = assertion.claim("scope").unwrap_or_default();
    let scopes = scopes.split_whitespace().map(str::to_owned).collect();
    Ok((account.email.clone(), scopes))
}
