//! What a hostile server does instead of answering. The matrix of the clients and that of a whole controller have the same list.

use serde_json::json;
use strum::VariantArray;

use super::raw_http::{Reply, answer};

/// What it does instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, VariantArray)]
pub enum Misbehaviour {
    /// 301 to another host.
    Moved,
    /// 302 to another host.
    Found,
    /// 303 to another host.
    SeeOther,
    /// 307 to another host, which would repeat the body.
    TemporaryRedirect,
    /// 308 to another host, over plain HTTP.
    PermanentRedirect,
    /// A body without an end.
    Flood,
    /// A byte of the body now and then.
    SlowDrip,
    /// The head, and nothing more.
    Silence,
    /// Nothing at all.
    NoAnswer,
    /// The connection is closed without an answer.
    Closed,
    /// A body that is shorter than its length.
    Truncated,
    /// JSON that ends in the middle.
    HalfJson,
    /// An empty 200.
    Empty,
    /// A login page with 200.
    Html,
    /// An error page with 502.
    HtmlError,
    /// Text with another content type.
    WrongContentType,
    /// JSON that is nested 10,000 times.
    DeepJson,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// Numbers that no type can hold.
    HugeNumbers,
    /// A megabyte of header fields.
    HeaderFlood,
    /// Not HTTP.
    Garbage,
    /// An error that repeats everything that was sent.
    Echo,
    /// 200 that repeats everything that was sent.
    EchoAsSuccess,
    /// 500 with a well-formed error.
    InternalError,
}

fn redirect(status: &str, elsewhere: &str) -> Reply {
    let location = format!("location: {elsewhere}/x\r\ncontent-length: 0\r\n\r\n");
    Reply::Close(format!("HTTP/1.1 {status}\r\n{location}"))
}

/// A good answer with this body.
pub fn ok(body: &str) -> Reply {
    Reply::Close(answer("200 OK", body))
}

impl Misbehaviour {
    /// The answer to this request. `elsewhere` is the URL of another server.
    pub fn reply(self, request: &str, elsewhere: &str) -> Reply {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let close = |text: &str| Reply::Close(text.to_owned());
        match self {
            Self::Moved => redirect("301 Moved Permanently", elsewhere),
            Self::Found => redirect("302 Found", elsewhere),
            Self::SeeOther => redirect("303 See Other", elsewhere),
            Self::TemporaryRedirect => redirect("307 Temporary Redirect", elsewhere),
            Self::PermanentRedirect => redirect("308 Permanent Redirect", elsewhere),
            Self::Flood => Reply::Flood(format!("{head}\r\n{{\"access_token\":\"")),
            Self::SlowDrip => Reply::Drip(format!("{head}content-length: 9000\r\n\r\n{{")),
            Self::Silence => Reply::Hang(format!("{head}content-length: 9\r\n\r\n")),
            Self::NoAnswer => Reply::Hang(String::new()),
            Self::Closed => close(""),
            Self::Truncated => close(&format!("{head}content-length: 900\r\n\r\n{{\"done\":")),
            Self::HalfJson => ok("{\"access_token\":\"x"),
            Self::Empty => ok(""),
            Self::Html => ok("<html><form action=login></form></html>"),
            Self::HtmlError => Reply::Close(answer("502 Bad Gateway", "<html>502</html>")),
            Self::WrongContentType => close(
                "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 4\r\n\r\n\u{1}PNG",
            ),
            Self::DeepJson => ok(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))),
            Self::InvalidUtf8 => Reply::Bytes(
                [
                    format!("{head}content-length: 24\r\n\r\n").as_bytes(),
                    b"{\"access_token\":\"\xff\xfe\xc3\x28\"}}",
                ]
                .concat(),
            ),
            Self::HugeNumbers => ok(
                r#"{"access_token":1e999999,"expires_in":99999999999999999999999999,"expireTime":1e400,"done":1e400,"metadata":{"uid":1e400},"status":{"token":1e400}}"#,
            ),
            Self::HeaderFlood => Reply::Close(format!(
                "HTTP/1.1 200 OK\r\n{}\r\n\r\n",
                format!("x: {}\r\n", "y".repeat(1000)).repeat(1000)
            )),
            Self::Garbage => close("SSH-2.0-OpenSSH_9.9\r\n\r\n"),
            Self::Echo => Reply::Close(answer("400 Bad Request", &error_with(request))),
            Self::EchoAsSuccess => ok(&error_with(request)),
            Self::InternalError => {
                let error = r#"{"error":{"code":500,"status":"INTERNAL","message":"try again"},"kind":"Status","code":500,"message":"try again","reason":"InternalError"}"#;
                Reply::Close(answer("500 Internal Server Error", error))
            }
        }
    }
}

/// An error in the forms of Google's APIs, of OAuth and of Kubernetes, which quotes the request.
fn error_with(request: &str) -> String {
    json!({
        "error": {"code": 400, "status": "INVALID_ARGUMENT", "message": request},
        "error_description": request,
        "kind": "Status", "status": "Failure", "message": request, "reason": "BadRequest", "code": 400,
    })
    .to_string()
}
