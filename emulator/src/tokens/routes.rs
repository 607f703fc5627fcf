//! The routes of the token services.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};

use crate::{
    protocol::{call, form::Form},
    tokens::{iam_credentials, oauth, oauth_error::oauth_error, services::CredentialServices, sts},
    transport::{Handler, reply::Reply},
};

impl Handler for Arc<CredentialServices> {
    async fn handle(&self, request: Request<Bytes>, refused: Option<Reply>) -> Reply {
        let authorization = request.headers().get(header::AUTHORIZATION);
        let recorded = self
            .tokens
            .check(authorization.map(HeaderValue::as_bytes))
            .authorization();
        let pending = self.record.arrived(&request, None, recorded);
        let reply = refused.unwrap_or_else(|| self.answer(&request));
        pending.answered(reply.status());
        reply
    }
}

impl CredentialServices {
    fn answer(&self, request: &Request<Bytes>) -> Reply {
        let path = request.uri().path();
        let not_found = || {
            Reply::html(
                404,
                &format!("The requested URL {path} was not found on this server."),
            )
        };
        if request.method() == Method::GET && iam_credentials::asks_for_locations(path) {
            return iam_credentials::allowed_locations(self, request);
        }
        if request.method() != Method::POST {
            return not_found();
        }
        if let Some(account) = iam_credentials::account(path) {
            return iam_credentials::generate(self, account, request);
        }
        let Some(form) = Form::read(request) else {
            return oauth_error("invalid_request", "The body must be a form.");
        };
        match path {
            "/v1/token" => sts::exchange(self, &form),
            "/token" => {
                let host = call::host(request).unwrap_or_default();
                oauth::grant(self, &form, &format!("{}://{host}/token", self.scheme))
            }
            _ => not_found(),
        }
    }
}
