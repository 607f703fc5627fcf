//! The Operations API: from a request to a reply, independent of the transport.
//!
//! In this order: the route (HTML 404), the length of an empty POST (HTML 411), the token (401), the body and the query
//! (400), the faults, the consumer project (403, 429), the permission (403), the host (400), the operation.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Version, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    operations::{
        endpoints::location,
        operation::CancelVerdict,
        rules::{LiveRules, Rules},
        store::{Arrival, Store},
    },
    protocol::{
        bindings::Binding,
        call::{Call, Route, USUAL_SERVICE, host, route},
        query::Query,
        rpc_code::RpcCode,
    },
    record::Record,
    scenario::{
        credentials::ServiceAccountKeys, endpoint::WrongLocation, fault::Fault,
        fault_answer::FaultAnswer,
    },
    tokens::{TokenCheck, Tokens, self_signed},
    transport::{
        Handler,
        reply::{Abort, Reply},
    },
};

/// The Operations API of one emulator.
#[derive(Clone, Debug)]
pub struct OperationsService {
    /// The operations.
    pub store: Arc<Store>,
    /// The tokens that it accepts.
    pub tokens: Arc<Tokens>,
    /// The service accounts whose keys may sign tokens themselves.
    pub accounts: Arc<[ServiceAccountKeys]>,
    /// Where requests are recorded.
    pub record: Arc<Record>,
    /// The checks before the operation, and the delay of answers.
    pub rules: Arc<LiveRules>,
}

/// A request with what was decided about it so far.
struct Asked<'a> {
    rules: &'a Rules,
    route: &'a Route,
    binding: &'a Binding,
    host: Option<&'a str>,
    /// The stored name of the operation or parent.
    name: &'a str,
    query: &'a Query,
}

impl Handler for OperationsService {
    async fn handle(&self, request: Request<Bytes>, refused: Option<Reply>) -> Reply {
        let route = route(request.method(), request.uri().path());
        let authorization = request.headers().get(header::AUTHORIZATION);
        let token = match self.tokens.check(authorization.map(HeaderValue::as_bytes)) {
            TokenCheck::Unknown => {
                self_signed::check(&self.accounts, authorization, Timestamp::now())
                    .unwrap_or(TokenCheck::Unknown)
            }
            known => known,
        };
        let pending = self
            .record
            .arrived(&request, route.as_ref(), token.authorization());
        let reply = match refused {
            Some(refused) => refused,
            None => self.answer(&request, route, token).await,
        };
        pending.answered(reply.status());
        reply
    }
}

impl OperationsService {
    async fn answer(
        &self,
        request: &Request<Bytes>,
        route: Option<Route>,
        token: TokenCheck,
    ) -> Reply {
        if let Some(reply) = length_refusal(request) {
            return reply;
        }
        let Some(route) = route else {
            let path = request.uri().path();
            return Reply::html(
                404,
                &format!("The requested URL {path} was not found on this server."),
            );
        };
        let rules = self.rules.now();
        let principal = match &token {
            TokenCheck::Valid { principal, .. } if rules.accepts_tokens_of(principal) => principal,
            bad => {
                let service = route.binding(None, host(request));
                let service = service.map_or(USUAL_SERVICE, |binding| binding.service);
                let reply = unauthenticated(bad, &route, service);
                return delayed(rules.latency.of(route.call), reply).await;
            }
        };
        if let Some(reply) = body_refusal(request) {
            return reply;
        }
        let query = match Query::read(route.call, request.uri().query(), |name| {
            route.has_parameter(name)
        }) {
            Ok(query) => query,
            Err(message) => return Reply::error(RpcCode::InvalidArgument, &message, &[]),
        };
        let name = rules.stored_name(&route.operation);
        let scripted = self.store.service_of(&name);
        let Some(binding) = route.binding(scripted.as_deref(), host(request)) else {
            // Another service has the operation.
            return self.not_found(&rules, &route.operation, &name);
        };
        let Arrival {
            fault,
            latency: own,
        } = self.store.arrive(&name, route.call, principal);
        // Half of the delay before the effect, half after it: a client that gives up may hit either.
        let half = own.unwrap_or(rules.latency).of(route.call) / 2;
        pause(half).await;
        let refusal = || rules.refusal(request, &route, binding, principal);
        let asked = Asked {
            rules: &rules,
            route: &route,
            binding,
            host: host(request),
            name: &name,
            query: &query,
        };
        let usual = || refusal().unwrap_or_else(|| self.usual(&asked));
        let reply = match fault {
            Some(fault) => {
                // Whatever the answer is: a call without permission has no effect.
                if route.call != Call::List
                    && rules
                        .forbidden(request, &route, binding, principal)
                        .is_none()
                {
                    self.store.create_from_template(&name);
                }
                if fault.applied && route.call == Call::Cancel && refusal().is_none() {
                    self.store.cancel(&name);
                }
                self.fault(&rules, &name, fault, usual).await
            }
            None => usual(),
        };
        let reply = if binding.has_older_errors {
            reply.in_older_form()
        } else {
            reply
        };
        delayed(half, reply).await
    }

    async fn fault(
        &self,
        rules: &Rules,
        name: &str,
        fault: Fault,
        usual: impl FnOnce() -> Reply,
    ) -> Reply {
        match fault.answer {
            FaultAnswer::Refuse(refusal) => Reply::refusal(&refusal),
            FaultAnswer::Raw(raw) => Reply::raw(&raw),
            FaultAnswer::Deep(deep) => Reply::deep(&rules.name_in_answers(name), deep.depth),
            FaultAnswer::Late(duration) => {
                let reply = usual();
                delayed(duration, reply).await
            }
            FaultAnswer::Drip(drip) => {
                usual().map_content(|body| body.paced(drip.bytes, drip.every))
            }
            FaultAnswer::Truncated(cut) => usual().map_content(|body| body.truncated(cut.after)),
            FaultAnswer::Hang(duration) => delayed(duration, Reply::Abort(Abort::Close)).await,
            FaultAnswer::Close => Reply::Abort(Abort::Close),
            FaultAnswer::Reset => Reply::Abort(Abort::Reset),
            FaultAnswer::BlackHole => Reply::Abort(Abort::BlackHole),
            FaultAnswer::RefusedStream => Reply::Abort(Abort::RefuseStream),
            FaultAnswer::GoAway(go_away) => Reply::Abort(Abort::GoAway {
                code: go_away.code,
                unprocessed: !fault.applied,
            }),
        }
    }

    fn usual(&self, asked: &Asked<'_>) -> Reply {
        let Asked {
            rules,
            route,
            binding,
            name,
            ..
        } = *asked;
        let not_found = || self.not_found(rules, &route.operation, name);
        match route.call {
            Call::List => self.list(asked),
            Call::Get => self
                .store
                .get(
                    name,
                    &rules.name_in_answers(&route.operation),
                    binding.operation,
                )
                .map_or_else(not_found, |(json, padding)| {
                    Reply::operation(&json, padding)
                }),
            Call::Cancel => match self.store.cancel(name) {
                // The older APIs have no message for nothing.
                CancelVerdict::Ok if binding.has_older_errors => Reply::empty(),
                CancelVerdict::Ok => Reply::json(200, &json!({})),
                CancelVerdict::Absent => not_found(),
                CancelVerdict::NotCancellable => precondition("The operation is not cancellable."),
                CancelVerdict::AlreadyRequested => {
                    precondition("The operation has already been cancelled.")
                }
                CancelVerdict::AlreadyDone => {
                    precondition("The operation is already done and cannot be cancelled.")
                }
            },
        }
    }
}

impl OperationsService {
    fn list(&self, asked: &Asked<'_>) -> Reply {
        let Asked {
            rules,
            route,
            binding,
            host,
            name: parent,
            query,
        } = *asked;
        let listing = &rules.listing;
        let request = match listing.read(parent, query) {
            Ok(request) => request,
            Err((code, message)) => return Reply::error(code, &message, &[]),
        };
        let unreachable = listing.unreachable(parent);
        if !unreachable.is_empty() && !request.partial {
            let message = format!(
                "Some locations cannot be reached: {}.",
                unreachable.join(", ")
            );
            return Reply::error(RpcCode::Unavailable, &message, &[]);
        }
        let within_reach = |name: &str| !unreachable.iter().any(|lost| lost == location(name));
        let name_in_answers = |name: &str| rules.name_in_answers(name);
        let form = |service: Option<&str>| route.listed_form(binding, service, host);
        let (operations, more) =
            self.store
                .list(parent, &request, form, within_reach, name_in_answers);
        let mut answer = Map::new();
        if !operations.is_empty() {
            let field = binding.operation.list_field();
            answer.insert(field.into(), operations.into());
        }
        if let Some(last) = more {
            let token = listing.token(&request, &last);
            answer.insert("nextPageToken".into(), token.into());
        }
        if !unreachable.is_empty() {
            let project = name_in_answers(parent.strip_suffix("/locations/-").unwrap_or(parent));
            let lost = unreachable.iter();
            let names: Vec<_> = lost
                .map(|lost| format!("{project}/locations/{lost}"))
                .collect();
            answer.insert("unreachable".into(), names.into());
        }
        Reply::json(200, &Value::Object(answer))
    }

    fn not_found(&self, rules: &Rules, asked: &str, name: &str) -> Reply {
        if rules.wrong_location == WrongLocation::InvalidArgument && self.store.is_elsewhere(name) {
            let message = format!(
                "Operation with name \"{asked}\" does not belong to the location {}. Please use the location that it was started in.",
                location(asked)
            );
            return Reply::error(RpcCode::InvalidArgument, &message, &[]);
        }
        let message = format!("Operation with name \"{asked}\" was not found.");
        Reply::error(RpcCode::NotFound, &message, &[])
    }
}

fn precondition(message: &str) -> Reply {
    Reply::error(RpcCode::FailedPrecondition, message, &[])
}

async fn delayed(duration: Duration, reply: Reply) -> Reply {
    pause(duration).await;
    reply
}

async fn pause(duration: Duration) {
    // The timer rounds up to its next tick, even for zero.
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// Google's front end refuses a POST without a length. HTTP/2 frames its bodies, so it needs none.
fn length_refusal(request: &Request<Bytes>) -> Option<Reply> {
    let headers = request.headers();
    let says = headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING);
    let missing = request.method() == Method::POST && request.version() < Version::HTTP_2 && !says;
    missing.then(|| {
        Reply::html(
            411,
            "A POST needs a Content-Length header, also without a body.",
        )
    })
}

/// Google's answer to a rejected token; the reason of ErrorInfo says why.
fn unauthenticated(token: &TokenCheck, route: &Route, service: &str) -> Reply {
    let (message, reason) = match token {
        TokenCheck::Absent => (
            "Request is missing required authentication credential.",
            "CREDENTIALS_MISSING",
        ),
        TokenCheck::Expired { .. } => (
            "Request had invalid authentication credentials.",
            "ACCESS_TOKEN_EXPIRED",
        ),
        TokenCheck::Unknown | TokenCheck::Valid { .. } => (
            "Request had invalid authentication credentials.",
            "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        ),
    };
    let method = match route.call {
        Call::Get => "google.longrunning.Operations.GetOperation",
        Call::Cancel => "google.longrunning.Operations.CancelOperation",
        Call::List => "google.longrunning.Operations.ListOperations",
    };
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
        "metadata": {"service": format!("{service}.googleapis.com"), "method": method},
    });
    let challenge = HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\"");
    Reply::error(RpcCode::Unauthenticated, message, &[info])
        .with_header(header::WWW_AUTHENTICATE, challenge)
}

/// A body must be empty or a JSON object: CancelOperationRequest has only the name, which is in the path.
fn body_refusal(request: &Request<Bytes>) -> Option<Reply> {
    let body = request.body();
    if body.iter().all(u8::is_ascii_whitespace) || request.method() != Method::POST {
        return None;
    }
    let message = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(fields)) => {
            let key = fields.keys().find(|key| *key != "name")?;
            format!("Invalid JSON payload received. Unknown name {key:?}.")
        }
        _ => "Invalid JSON payload received. Expected an object.".to_owned(),
    };
    Some(Reply::error(RpcCode::InvalidArgument, &message, &[]))
}
