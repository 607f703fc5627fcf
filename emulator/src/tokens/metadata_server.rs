//! GKE's metadata server, as far as credential libraries use it.
//!
//! Paths and headers: Google's documentation of the Compute Engine metadata server; the answers as
//! Google's libraries read them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, header};
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::{
    protocol::call,
    record::{Authorization, Record},
    scenario::Identity,
    tokens::Tokens,
    transport::{Handler, reply::Reply},
};

const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
/// The directories with their contents; the directory of a service account is separate.
const DIRECTORIES: [(&str, &str); 5] = [
    ("", "instance/\nproject/\nuniverse/\n"),
    ("instance/", "attributes/\nservice-accounts/\n"),
    ("instance/attributes/", "cluster-location\ncluster-name\n"),
    ("project/", "numeric-project-id\nproject-id\n"),
    ("universe/", "universe-domain\n"),
];

const GOOGLE: HeaderValue = HeaderValue::from_static("Google");

/// The metadata server of one emulator.
#[derive(Debug)]
pub struct MetadataServer {
    /// The identity that it issues tokens for.
    pub identity: Identity,
    /// Where it registers the tokens that it issues.
    pub tokens: Arc<Tokens>,
    /// Where requests are recorded.
    pub record: Arc<Record>,
    asked: AtomicU64,
}

impl Handler for Arc<MetadataServer> {
    async fn handle(&self, request: Request<Bytes>, refused: Option<Reply>) -> Reply {
        let authorization = match request.headers().contains_key(header::AUTHORIZATION) {
            true => Authorization::Unknown,
            false => Authorization::Absent,
        };
        let pending = self.record.arrived(&request, None, authorization);
        let reply = refused.unwrap_or_else(|| self.answer(&request));
        let reply = reply.with_header(FLAVOR, GOOGLE);
        pending.answered(reply.status());
        reply
    }
}

impl MetadataServer {
    /// A server without any request so far.
    pub fn new(identity: Identity, tokens: Arc<Tokens>, record: Arc<Record>) -> Self {
        Self {
            identity,
            tokens,
            record,
            asked: AtomicU64::new(0),
        }
    }

    fn answer(&self, request: &Request<Bytes>) -> Reply {
        if self.asked.fetch_add(1, Ordering::Relaxed) < self.identity.not_ready.requests {
            return Reply::text(self.identity.not_ready.status, "not ready\n");
        }
        let path = request.uri().path();
        if request.method() != Method::GET {
            return Reply::html(405, "The metadata server of this emulator only knows GET.");
        }
        if path == "/" {
            return Reply::text(200, "computeMetadata/\n");
        }
        // Protects against requests through browsers and proxies; Google's server refuses both.
        if request.headers().get(FLAVOR) != Some(&GOOGLE) {
            return Reply::html(403, "The header Metadata-Flavor: Google is missing.");
        }
        if request.headers().contains_key("x-forwarded-for") {
            return Reply::html(403, "Requests with X-Forwarded-For are refused.");
        }
        let query = Query::read(request.uri().query().unwrap_or_default());
        if !path.ends_with('/') && self.is_directory(&format!("{path}/")) {
            return redirect(request);
        }
        path.strip_prefix("/computeMetadata/v1/")
            .and_then(|path| self.value(path, &query))
            .unwrap_or_else(|| {
                Reply::html(
                    404,
                    &format!("The requested URL {path} was not found on this server."),
                )
            })
    }

    /// Whether there is such a directory; its path ends in a slash.
    fn is_directory(&self, path: &str) -> bool {
        let Some(path) = path.strip_prefix("/computeMetadata/v1/") else {
            return false;
        };
        let account = path
            .strip_prefix("instance/service-accounts/")
            .map(|rest| rest.trim_end_matches('/'));
        DIRECTORIES.iter().any(|(directory, _)| *directory == path)
            || account.is_some_and(|name| ["", "default", &self.identity.email].contains(&name))
    }

    fn value(&self, path: &str, query: &Query) -> Option<Reply> {
        let identity = &self.identity;
        if let Some((_, list)) = DIRECTORIES.iter().find(|(known, _)| *known == path) {
            return Some(Reply::text(200, *list));
        }
        let text = match path {
            "project/project-id" => &identity.project_id,
            "project/numeric-project-id" => &identity.project_number,
            "instance/attributes/cluster-name" => &identity.cluster_name,
            "instance/attributes/cluster-location" => &identity.cluster_location,
            "universe/universe-domain" => &identity.universe_domain,
            "instance/service-accounts/" => &format!("default/\n{}/\n", identity.email),
            _ => {
                return self
                    .service_account(path.strip_prefix("instance/service-accounts/")?, query);
            }
        };
        Some(Reply::text(200, text.to_owned()))
    }

    fn service_account(&self, path: &str, query: &Query) -> Option<Reply> {
        let identity = &self.identity;
        let (account, field) = path.split_once('/').unwrap_or((path, ""));
        let account = percent_decode_str(account).decode_utf8().ok()?;
        if account != "default" && account != identity.email {
            return None;
        }
        Some(match field {
            "" if query.recursive => Reply::json(
                200,
                &json!({"aliases": ["default"], "email": identity.email, "scopes": identity.scopes}),
            ),
            "" => Reply::text(200, "aliases\nemail\nscopes\ntoken\n"),
            "aliases" => Reply::text(200, "default\n"),
            "email" => Reply::text(200, identity.email.clone()),
            "scopes" => Reply::text(200, identity.scopes.join("\n") + "\n"),
            "token" => {
                let scopes = if query.scopes.is_empty() {
                    identity.scopes.clone()
                } else {
                    query.scopes.clone()
                };
                let token = self.tokens.issue(identity, scopes);
                tracing::info!(token = token.id, scopes = ?token.scopes, "token issued");
                Reply::json(
                    200,
                    &json!({
                        "access_token": token.secret(),
                        "expires_in": identity.expires_in.as_secs(),
                        "token_type": "Bearer",
                    }),
                )
            }
            _ => return None,
        })
    }
}

/// The path with a trailing slash, as directories have it.
fn redirect(request: &Request<Bytes>) -> Reply {
    let (path, host) = (
        request.uri().path(),
        call::host(request).unwrap_or_default(),
    );
    let query = request.uri().query();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let reply = Reply::text(301, format!("{path}/\n"));
    match HeaderValue::try_from(format!("http://{host}{path}/{query}")) {
        Ok(location) => reply.with_header(header::LOCATION, location),
        Err(_) => reply,
    }
}

/// The query parameters that have a meaning here.
#[derive(Debug, Default)]
struct Query {
    recursive: bool,
    scopes: Vec<String>,
}

impl Query {
    fn read(query: &str) -> Self {
        let mut read = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_decode_str(value).decode_utf8_lossy();
            match key {
                "recursive" => read.recursive = value.eq_ignore_ascii_case("true"),
                "scopes" => {
                    read.scopes = value
                        .split(',')
                        .filter(|scope| !scope.is_empty())
                        .map(str::to_owned)
                        .collect();
                }
                _ => {}
            }
        }
        read
    }
}
