//! The reply to a request, as data, independent of the transport.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    protocol::rpc_code::RpcCode,
    scenario::fault_answer::{RawAnswer, Refusal},
    transport::content::Content,
};

/// What the transport does with a request.
#[derive(Debug)]
pub enum Reply {
    /// Sends this answer.
    Answer(Box<Response<Content>>),
    /// Sends no answer.
    Abort(Abort),
}

/// Ways to leave a request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// Closes the connection (HTTP/2: resets the stream).
    Close,
    /// Resets the connection, with all streams on it.
    Reset,
    /// Keeps the connection open, but reads and writes nothing any more.
    BlackHole,
    /// Resets the stream with REFUSED_STREAM; closes an HTTP/1.1 connection.
    RefuseStream,
    /// Sends GOAWAY and closes the connection; only closes an HTTP/1.1 connection.
    GoAway {
        /// The reason, an error code of HTTP/2; 0 is NO_ERROR.
        code: u32,
        /// Whether the frame says that the request was not processed, so that it may be sent again.
        unprocessed: bool,
    },
}

impl Reply {
    /// The HTTP status, if there is an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(response) => Some(response.status().as_u16()),
            Self::Abort(_) => None,
        }
    }

    /// A JSON answer with Google's headers.
    pub fn json(status: u16, body: &Value) -> Self {
        let mut bytes = serde_json::to_vec_pretty(body).unwrap_or_default();
        bytes.push(b'\n');
        Self::json_bytes(status, bytes.into())
    }

    /// A finished operation with this many nested objects in its response. It is written as text: a value as deep as this would
    /// overflow the stack.
    pub fn deep(name: &str, depth: usize) -> Self {
        let name = Value::from(name);
        let (open, close) = ("{\"a\":".repeat(depth), "}".repeat(depth));
        let text = format!(
            "{{\"name\":{name},\"done\":true,\"response\":{{\"@type\":\"type.googleapis.com/google.protobuf.Struct\",\"value\":{open}1{close}}}}}\n"
        );
        Self::json_bytes(200, text.into())
    }

    /// An operation with this many bytes in a text `padding` of its response, if it has a response. The padding needs no memory.
    pub fn operation(operation: &Value, padding: usize) -> Self {
        let (Some(fields), true) = (operation.as_object(), padding > 0) else {
            return Self::json(200, operation);
        };
        let mut fields = fields.clone();
        let Some(Value::Object(mut response)) = fields.remove("response") else {
            return Self::json(200, operation);
        };
        response.remove("padding");
        let begun = |object| {
            let text = Value::Object(object).to_string();
            let members = text.strip_suffix('}').unwrap_or_default().to_owned();
            let comma = if members == "{" { "" } else { "," };
            members + comma
        };
        let head = format!(
            "{}\"response\":{}\"padding\":\"",
            begun(fields),
            begun(response)
        );
        Self::json_bytes(200, Bytes::new())
            .map_content(|_| Content::filled(head.into(), padding as u64, "\"}}\n".into()))
    }

    fn json_bytes(status: u16, bytes: Bytes) -> Self {
        let mut response = with_status(status, bytes);
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=UTF-8"),
        );
        headers.insert(
            header::VARY,
            HeaderValue::from_static("Origin, X-Origin, Referer"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
        Self::Answer(Box::new(response))
    }

    /// A plain text answer.
    pub fn text(status: u16, body: impl Into<Bytes>) -> Self {
        let mut response = with_status(status, body.into());
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/text"),
        );
        Self::Answer(Box::new(response))
    }

    /// An HTML error page, like those of Google's front end for requests that no API handles.
    pub fn html(status: u16, sentence: &str) -> Self {
        let reason = StatusCode::from_u16(status)
            .ok()
            .and_then(|code| code.canonical_reason())
            .unwrap_or("Error");
        let page = format!(
            "<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><title>Error {status} ({reason})</title>\n\
             <p><b>{status}.</b> {}</p></html>\n",
            escape(sentence)
        );
        let mut response = with_status(status, page.into());
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=UTF-8"),
        );
        Self::Answer(Box::new(response))
    }

    /// A Google JSON error (AIP-193): `error.code` is the HTTP status, `error.status` the google.rpc name.
    pub fn error(code: RpcCode, message: &str, details: &[Value]) -> Self {
        let mut error =
            json!({"code": code.http_status(), "message": message, "status": code.name()});
        if let (false, Some(fields)) = (details.is_empty(), error.as_object_mut()) {
            fields.insert("details".into(), details.into());
        }
        Self::json(code.http_status(), &json!({"error": error}))
    }

    /// A success without a body.
    pub fn empty() -> Self {
        Self::Answer(Box::new(with_status(204, Bytes::new())))
    }

    /// An error in the form of older APIs: a reason instead of `status`. Any other answer stays as it is.
    #[must_use]
    pub fn in_older_form(self) -> Self {
        let Self::Answer(response) = &self else {
            return self;
        };
        let body = response.body().plain();
        let body: Option<Value> = body.and_then(|body| serde_json::from_slice(body).ok());
        let error = body.as_ref().and_then(|body| body.get("error"));
        let Some((error, code)) = error
            .and_then(|error| Some((error, RpcCode::from_name(error.get("status")?.as_str()?)?)))
        else {
            return self;
        };
        let message = error.get("message").cloned().unwrap_or_default();
        let listed = json!({"domain": "global", "reason": code.older_reason(), "message": message});
        let older =
            json!({"error": {"errors": [listed], "code": error["code"], "message": message}});
        self.map_content(|_| Content::new(older.to_string().into()))
    }

    /// The answer of a refusal, with its `Retry-After`.
    pub fn refusal(refusal: &Refusal) -> Self {
        let plain = || format!("Refused by the scenario with {}.", refusal.code.name());
        let message = refusal.message.clone().unwrap_or_else(plain);
        let reply = Self::error(refusal.code, &message, &refusal.all_details());
        match refusal.retry_after.as_deref().map(HeaderValue::from_str) {
            Some(Ok(value)) => reply.with_header(header::RETRY_AFTER, value),
            _ => reply,
        }
    }

    /// A raw answer of the scenario, whose check has already refused what HTTP cannot represent.
    pub fn raw(raw: &RawAnswer) -> Self {
        let mut response = with_status(raw.status, raw.body.clone().into()).map(|body| {
            let body = match raw.body_bytes {
                Some(wanted) => body.repeated(wanted as u64),
                None => body,
            };
            body.claiming(raw.content_length.unwrap_or(0))
        });
        for (name, value) in &raw.headers {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                response.headers_mut().append(name, value);
            }
        }
        Self::Answer(Box::new(response))
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if let Self::Answer(response) = &mut self {
            response.headers_mut().insert(name, value);
        }
        self
    }

    /// The same answer with its body changed.
    #[must_use]
    pub fn map_content(self, change: impl FnOnce(Content) -> Content) -> Self {
        match self {
            Self::Answer(response) => Self::Answer(Box::new(response.map(change))),
            Self::Abort(abort) => Self::Abort(abort),
        }
    }
}

fn with_status(status: u16, body: Bytes) -> Response<Content> {
    let mut response = Response::new(Content::new(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
