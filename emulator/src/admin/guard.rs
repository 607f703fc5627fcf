//! Protects the admin address from websites. It has no authentication, and a browser on the same machine can reach loopback on
//! behalf of any website. So no other website may use it, neither with a form or script (CSRF) nor with a host name that resolves
//! to this address (DNS rebinding). Programs other than browsers send neither `Origin` nor `Sec-Fetch-Site`; only the check of
//! `Host` affects them.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request::Parts, uri::Authority,
};

use crate::admin::refusal::refusal;

/// The names and addresses that the admin address accepts.
#[derive(Clone, Debug)]
pub(crate) struct AdminGuard {
    /// Where it listens.
    listen: IpAddr,
    /// Whether other machines may reach it: then every address may be its own, as behind a Service or a published port.
    any_address: bool,
    /// Further names.
    hosts: Vec<String>,
}

/// Refuses requests from pages of other sites, and forbids browsers to share the answers with them.
pub(crate) async fn guard(
    State(guard): State<AdminGuard>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match guard.refusal(&parts) {
        Some((status, why)) => {
            tracing::warn!(%status, method = %parts.method, path = parts.uri.path(), why, "refused a request to the admin address");
            refusal(parts.uri.path(), status, &why)
        }
        None => {
            let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
            let response = next.run(Request::from_parts(parts, body)).await;
            // The log says what changed the emulator. Reads are not logged: the page reads all the time.
            if !method.is_safe() {
                let status = response.status().as_u16();
                tracing::info!(%method, path, status, "admin request");
            }
            response
        }
    };
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}

impl AdminGuard {
    /// For a server that listens here.
    pub(crate) fn new(listen: SocketAddr, any_address: bool, hosts: Vec<String>) -> Self {
        Self {
            listen: listen.ip(),
            any_address,
            hosts,
        }
    }

    fn refusal(&self, parts: &Parts) -> Option<(StatusCode, String)> {
        let Some(host) = host(parts) else {
            let why = "the Host header is missing or invalid";
            return Some((StatusCode::BAD_REQUEST, why.into()));
        };
        if !self.answers_to(&host) {
            let why = format!(
                "{:?} is not a host name of this emulator. The admin address accepts localhost, loopback addresses and its own address; \
                 with --allow-non-loopback, every address; with --admin-host NAME, also that name",
                host.host()
            );
            return Some((StatusCode::MISDIRECTED_REQUEST, why));
        }
        if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
            return None;
        }
        if is_foreign(&parts.headers, &host) {
            let why = "a page of another site must not change anything here";
            return Some((StatusCode::FORBIDDEN, why.into()));
        }
        // The types that browsers let forms of other sites send. The third one is the default of curl, and the page's own forms use it.
        let kind = parts.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let kind = kind.split(';').next().unwrap_or_default().trim();
        ["text/plain", "multipart/form-data"]
            .iter()
            .any(|refused| kind.eq_ignore_ascii_case(refused))
            .then(|| {
                let why = format!(
                    "Content-Type {kind} is not supported; use application/json or application/yaml"
                );
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
            })
    }

    fn answers_to(&self, host: &Authority) -> bool {
        let name = host.host().trim_end_matches('.').to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            // Only names can be rebound, not addresses.
            return address.is_loopback() || address == self.listen || self.any_address;
        }
        name == "localhost"
            || name.ends_with(".localhost")
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(&name))
    }
}

/// The host that is asked, with its port if it has one.
fn host(parts: &Parts) -> Option<Authority> {
    match parts.headers.get(header::HOST) {
        Some(host) => host.to_str().ok()?.parse().ok(),
        None => parts.uri.authority().cloned(),
    }
}

/// Whether a browser says that the request comes from elsewhere (Fetch, section 3.2; Fetch Metadata).
fn is_foreign(headers: &HeaderMap, host: &Authority) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    headers.get(header::ORIGIN).is_some_and(|origin| {
        let own = ["http://", "https://"].map(|scheme| format!("{scheme}{host}"));
        !own.iter()
            .any(|own| origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(guard: &AdminGuard, method: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = http::Request::builder().method(method).uri("/admin/faults");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        guard
            .refusal(&parts)
            .map_or(200, |(status, _)| status.as_u16())
    }

    #[test]
    fn names_that_others_can_lead_here_are_refused() {
        let local = AdminGuard::new("127.0.0.1:1".parse().unwrap(), false, Vec::new());
        let open = AdminGuard::new(
            "0.0.0.0:1".parse().unwrap(),
            true,
            vec!["emulator.test".into()],
        );
        for (host, by_local, by_open) in [
            ("127.0.0.1:1", 200, 200),
            ("127.9.9.9", 200, 200),
            ("[::1]:80", 200, 200),
            ("localhost:4000", 200, 200),
            ("LOCALHOST.", 200, 200),
            ("page.localhost", 200, 200),
            ("10.1.2.3:8080", 421, 200),
            ("emulator.test:8080", 421, 200),
            ("emulator.test.evil.example", 421, 421),
            ("evil.example", 421, 421),
            ("localhost.evil.example:1", 421, 421),
            ("127.0.0.1.evil.example", 421, 421),
            ("", 400, 400),
            ("a b", 400, 400),
        ] {
            for method in ["GET", "PUT"] {
                let answer = |guard| status(guard, method, &[("host", host)]);
                assert_eq!(
                    (answer(&local), answer(&open)),
                    (by_local, by_open),
                    "{method} {host}"
                );
            }
        }
        assert_eq!(status(&local, "GET", &[]), 400);
    }

    #[test]
    fn foreign_pages_change_nothing_and_programs_are_not_asked() {
        let guard = AdminGuard::new("127.0.0.1:1".parse().unwrap(), false, Vec::new());
        for (headers, wanted) in [
            (&[][..], 200),
            (&[("origin", "http://127.0.0.1:1")], 200),
            (&[("origin", "https://127.0.0.1:1")], 200),
            (&[("origin", "http://127.0.0.1:2")], 403),
            (&[("origin", "http://evil.example")], 403),
            (&[("origin", "http://127.0.0.1:1.evil.example")], 403),
            (&[("origin", "null")], 403),
            (&[("sec-fetch-site", "same-origin")], 200),
            (&[("sec-fetch-site", "none")], 200),
            (&[("sec-fetch-site", "same-site")], 403),
            (&[("sec-fetch-site", "cross-site")], 403),
            (
                &[
                    ("sec-fetch-site", "cross-site"),
                    ("origin", "http://127.0.0.1:1"),
                ],
                403,
            ),
            (&[("content-type", "application/json")], 200),
            (
                &[("content-type", "application/x-www-form-urlencoded")],
                200,
            ),
            (&[("content-type", "text/plain;charset=UTF-8")], 415),
            (&[("content-type", "Multipart/Form-Data; boundary=x")], 415),
        ] {
            let mut headers = headers.to_vec();
            headers.push(("host", "127.0.0.1:1"));
            for method in ["POST", "PUT", "DELETE"] {
                assert_eq!(
                    status(&guard, method, &headers),
                    wanted,
                    "{method} {headers:?}"
                );
            }
            // A link from elsewhere may lead to the page; what it shows stays with it.
            assert_eq!(status(&guard, "GET", &headers), 200, "{headers:?}");
        }
    }
}
