//! Calls that return the whole answer, for `opcancel-probe`: it compares the answers of a real API with the assumptions of this program.
//!
//! Guarantees: connections, headers, limits and cleaning are those of the controller's own calls, and the same functions read the answers;
//! a request is sent only to its target's endpoint; a path from the caller is only used with GET.

use http::{HeaderValue, Method, Version, header};
use reqwest::Url;
use std::time::SystemTime;

use super::{
    ApiRequest, FullResponse, OperationsClient, broken, network, ok_body, read_cancel, read_get,
    request_reason::RequestReason,
    request_url::{cancel_url, get_url},
    rpc_error, unusable,
};
use crate::google::{
    answers::{
        answer::{CallError, CancelAnswer, ErrorKind, GetAnswer},
        proto_json::{NotProtoJson, Object},
    },
    catalogue::{OperationForm, Target},
    clean::clean,
    identity::token::Token,
    names::operation_name::OperationName,
};

/// Maximum size of an answer, in bytes.
const MAX_OBSERVED: usize = 1024 * 1024;

/// What is read.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// An operation, as the controller reads it.
    Operation(&'a OperationName),
    /// This path and query at the target's endpoint, with its first slash.
    Path(&'a str),
}

/// Who pays for a call (`x-goog-user-project`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserProject<'a> {
    /// The project that pays for the controller's calls.
    Default,
    /// This project.
    Named(&'a str),
}

/// How a call is made.
#[derive(Clone, Copy, Debug)]
pub struct CallOptions<'a> {
    /// The `X-Goog-Request-Reason`.
    pub reason: &'a RequestReason,
    /// The token; `None` for a call without one.
    pub token: Option<&'a Token>,
    /// The project that pays.
    pub user_project: UserProject<'a>,
    /// Whether an empty POST has a Content-Length, as the controller's have.
    pub content_length: bool,
}

/// A whole answer, and what the controller makes of it.
pub struct Observation {
    response: FullResponse,
    form: OperationForm,
    token: Option<Token>,
}

impl OperationsClient {
    /// A GET.
    ///
    /// # Errors
    /// If there is no answer, the answer is too long, or there is no valid URL.
    pub async fn observe_get(
        &self,
        target: &Target,
        resource: Resource<'_>,
        options: CallOptions<'_>,
    ) -> Result<Observation, CallError> {
        let url = match resource {
            Resource::Operation(name) => get_url(target, name).map_err(unusable)?,
            Resource::Path(path) => below(target, path)?,
        };
        self.observe(Method::GET, url, target, options).await
    }

    /// A cancel request. It really cancels: the caller must have consent.
    ///
    /// # Errors
    /// As [`OperationsClient::observe_get`]; the request may have arrived.
    pub async fn observe_cancel(
        &self,
        target: &Target,
        name: &OperationName,
        options: CallOptions<'_>,
    ) -> Result<Observation, CallError> {
        let url = cancel_url(target, name).map_err(unusable)?;
        self.observe(Method::POST, url, target, options).await
    }

    async fn observe(
        &self,
        method: Method,
        url: Url,
        target: &Target,
        options: CallOptions<'_>,
    ) -> Result<Observation, CallError> {
        let mut headers = self.headers(&method, options.reason, options.token)?;
        if !options.content_length {
            headers.remove(header::CONTENT_LENGTH);
        }
        if let UserProject::Named(project) = options.user_project {
            let project = HeaderValue::try_from(project).map_err(|_| {
                let message = "the project cannot be sent in a header".to_owned();
                rpc_error::error(ErrorKind::Network, None, message)
            })?;
            headers.insert("x-goog-user-project", project);
        }
        let secrets: Vec<&str> = options.token.map(Token::secret).into_iter().collect();
        let request = ApiRequest::new(method, url, target, headers, &secrets);
        let started = self.start(request, options.reason.tenant()).await?;
        let response = self.finish(started, MAX_OBSERVED, target, &secrets).await?;
        Ok(Observation {
            response,
            form: target.operation_form(),
            token: options.token.cloned(),
        })
    }
}

/// The URL of a path at the target's endpoint, and nowhere else.
fn below(target: &Target, path: &str) -> Result<Url, CallError> {
    let text = format!("{}{path}", target.endpoint);
    Url::parse(&text)
        .ok()
        .filter(|url| path.starts_with('/') && url.as_str() == text)
        .ok_or_else(|| network(&format!("{} has no path {path}", target.endpoint)))
}

impl Observation {
    /// The HTTP status.
    pub fn http_status(&self) -> u16 {
        self.response.status.as_u16()
    }

    /// The HTTP version of the answer.
    pub fn http_version(&self) -> Version {
        self.response.version
    }

    /// The `Content-Type`, cleaned.
    pub fn content_type(&self) -> Option<String> {
        let value = self.response.content_type.as_ref()?;
        Some(self.clean(&String::from_utf8_lossy(value.as_bytes())))
    }

    /// The result as the controller reads it from an answer to GET, but without comparing the operation's name. A date in `Retry-After`
    /// is counted from `now`.
    pub fn get_answer(&self, now: SystemTime) -> GetAnswer {
        read_get(&self.response, self.form, now, &self.secrets())
    }

    /// What API definitions have as the answer to a cancel: an empty object, or no body. The product takes more for one.
    pub fn cancel_answer(&self, now: SystemTime) -> CancelAnswer {
        let secrets = self.secrets();
        read_cancel(&self.response, now, &secrets)?;
        match self.object() {
            _ if self.has_no_body() => Ok(()),
            Some(object) if object.is_empty() => Ok(()),
            _ => {
                let wrong = NotProtoJson::new("it is not an empty JSON object");
                Err(broken(&self.response, &wrong, &secrets))
            }
        }
    }

    /// Whether the answer has no body.
    pub fn has_no_body(&self) -> bool {
        self.response.body.is_empty()
    }

    /// Whether it is a success with a JSON object, which is all that is known of a list.
    ///
    /// # Errors
    /// As the product would read an error.
    pub fn object_answer(&self, now: SystemTime) -> Result<(), CallError> {
        let secrets = self.secrets();
        let body = ok_body(&self.response, now, &secrets)?;
        Object::from_body(body)
            .map(drop)
            .map_err(|wrong| broken(&self.response, &wrong, &secrets))
    }

    /// The body as a JSON object, if it is one. Its texts are not cleaned: call [`Self::clean`] before showing one.
    pub fn object(&self) -> Option<Object<'_>> {
        Object::from_body(&self.response.body).ok()
    }

    /// A text of the answer, made safe to show.
    pub fn clean(&self, text: &str) -> String {
        clean(text, &self.secrets())
    }

    fn secrets(&self) -> Vec<&str> {
        self.token.as_ref().map(Token::secret).into_iter().collect()
    }
}
