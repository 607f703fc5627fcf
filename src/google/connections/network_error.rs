//! Failures without an answer, with messages that say what to check. The texts of libraries are not used: they are chains of internals
//! and contain URLs.

use std::{error::Error, io};

use super::{
    hosts_without_address::NoAddress,
    proxy::{HttpsProxy, ProxyError},
};
use crate::google::{
    answers::{
        answer::{CallError, ErrorKind},
        rpc_error,
    },
    clean::{clean, cut},
};

/// Longest text of a library that a message quotes, in bytes.
const MAX_QUOTE: usize = 160;

/// A failure of a library.
pub(in crate::google) type BoxError = Box<dyn Error + Send + Sync>;

/// What stopped the opening of a stream.
#[derive(Debug, thiserror::Error)]
pub(in crate::google) enum NoStream {
    /// The proxy did.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// A library failed.
    #[error("{error}")]
    Failed {
        /// The cause.
        #[source]
        error: BoxError,
        /// The proxy on the way, which has opened its tunnel.
        proxy: Option<HttpsProxy>,
    },
    /// It took longer than the limit.
    #[error("no connection within the time limit")]
    TooSlow,
}

/// What a failed request or a failed read of its answer means for the call.
///
/// Without a connection the request never left.
pub(in crate::google) fn from_reqwest(
    error: reqwest::Error,
    host: &str,
    secrets: &[&str],
) -> CallError {
    let not_sent = error.is_connect();
    CallError {
        not_sent,
        ..failure(error, host, secrets)
    }
}

/// What the failure to open a connection means: the request never left.
pub(in crate::google) fn no_connection(error: &NoStream, host: &str) -> CallError {
    let kind = match error {
        NoStream::Proxy(ProxyError {
            timed_out: true, ..
        }) => ErrorKind::Timeout,
        _ => ErrorKind::Network,
    };
    CallError {
        not_sent: true,
        ..rpc_error::error(kind, None, format!("{host}: {}", no_stream(error)))
    }
}

/// What stopped the opening of a stream.
pub(in crate::google) fn no_stream(error: &NoStream) -> String {
    match error {
        NoStream::Proxy(error) => error.to_string(),
        NoStream::Failed { error, proxy: None } => cause_of_no_connection(error.as_ref()),
        NoStream::Failed {
            error,
            proxy: Some(proxy),
        } => through_proxy(error.as_ref(), proxy),
        NoStream::TooSlow => error.to_string(),
    }
}

/// Why there is no connection, from the innermost cause that is known.
fn cause_of_no_connection(error: &(dyn Error + 'static)) -> String {
    cause(error).unwrap_or_else(|| format!("no connection ({})", innermost(error, &[])))
}

/// Why a proxy itself cannot be reached.
pub(in crate::google) fn no_connection_to_proxy(error: &(dyn Error + 'static)) -> String {
    if has_unknown_authority(error) {
        "TLS: its certificate is from an unknown authority; name the authority with SSL_CERT_FILE"
            .to_owned()
    } else {
        cause_of_no_connection(error)
    }
}

/// What failed at the far end of a tunnel. A proxy that inspects TLS shows a certificate of its own.
fn through_proxy(error: &(dyn Error + 'static), proxy: &HttpsProxy) -> String {
    let why = if has_unknown_authority(error) {
        "TLS: the certificate is from an unknown authority. If the proxy inspects TLS, name its authority with SSL_CERT_FILE"
            .to_owned()
    } else {
        cause_of_no_connection(error)
    };
    proxy
        .error(format!(
            "opened a tunnel, but there is no connection: {why}"
        ))
        .to_string()
}

fn has_unknown_authority(error: &(dyn Error + 'static)) -> bool {
    use rustls::{CertificateError, Error as Tls};
    const UNKNOWN: Tls = Tls::InvalidCertificate(CertificateError::UnknownIssuer);
    causes(error).any(|cause| cause.downcast_ref::<Tls>() == Some(&UNKNOWN))
}

/// The same where it took too long.
pub(in crate::google) fn no_connection_in_time(host: &str) -> CallError {
    let message = format!("no connection to {host} within the time limit");
    CallError {
        not_sent: true,
        ..rpc_error::error(ErrorKind::Timeout, None, message)
    }
}

/// What it means that a connection broke under a request.
pub(in crate::google) fn broke(error: &hyper::Error, host: &str, secrets: &[&str]) -> CallError {
    if error.is_timeout() {
        let message = format!("no answer from {host} within the time limit");
        return rpc_error::error(ErrorKind::Timeout, None, message);
    }
    let wrong = broken(error, secrets);
    rpc_error::error(ErrorKind::Network, None, format!("{host}: {wrong}"))
}

/// Why a connection broke, from the innermost cause that is known.
pub(in crate::google) fn broken(error: &hyper::Error, secrets: &[&str]) -> String {
    cause(error).unwrap_or_else(|| format!("the connection broke ({})", innermost(error, secrets)))
}

fn failure(error: reqwest::Error, host: &str, secrets: &[&str]) -> CallError {
    if error.is_timeout() {
        let doing = if error.is_connect() {
            "no connection to"
        } else {
            "no answer from"
        };
        let message = format!("{doing} {host} within the time limit");
        return rpc_error::error(ErrorKind::Timeout, None, message);
    }
    let message = format!("{host}: {}", describe(error, secrets));
    rpc_error::error(ErrorKind::Network, None, message)
}

/// What failed, from the innermost cause that is known.
fn describe(error: reqwest::Error, secrets: &[&str]) -> String {
    // The query of a subject token's address may hold a secret.
    let error = &error.without_url();
    if error.is_dns() {
        return NO_ADDRESS.to_owned();
    }
    if let Some(wrong) = cause(error) {
        return wrong;
    }
    if error.is_builder() {
        return format!(
            "cannot create the HTTP client ({})",
            innermost(error, secrets)
        );
    }
    let doing = if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    format!("{doing} ({})", innermost(error, secrets))
}

/// The message for a host without an address.
pub(in crate::google) const NO_ADDRESS: &str = "host name not found (DNS)";

/// What caused it, if that is known.
fn cause(error: &(dyn Error + 'static)) -> Option<String> {
    let tls = |cause: &(dyn Error + 'static)| cause.downcast_ref().map(tls_failure);
    if let Some(wrong) = causes(error).find_map(tls) {
        return Some(format!("TLS: {wrong}"));
    }
    if causes(error).any(|cause| cause.is::<NoAddress>()) {
        return Some(NO_ADDRESS.to_owned());
    }
    causes(error).find_map(io_failure).map(str::to_owned)
}

/// The error and what caused it, outermost first.
pub(in crate::google) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| -> Option<&'a (dyn Error + 'static)> {
        let error: &'a (dyn Error + 'static) = *error;
        // An io::Error hides what it wraps from `source`.
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        }
    })
    // A circular chain must not hang the process.
    .take(16)
}

fn innermost(error: &(dyn Error + 'static), secrets: &[&str]) -> String {
    let innermost = causes(error).last().map(ToString::to_string);
    cut(&clean(&innermost.unwrap_or_default(), secrets), MAX_QUOTE)
}

/// What failed in TLS.
pub(in crate::google) fn tls_failure(error: &rustls::Error) -> String {
    use rustls::{CertificateError, Error as Tls};
    match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the server's certificate is from an unknown authority (for endpoint overrides, use --ca-file)".to_owned()
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "the server's certificate is for another host".to_owned(),
        Tls::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => "the server's certificate has expired".to_owned(),
        Tls::General(text) if text.starts_with("No CA certificates") => {
            "no certificate authorities on this system (mount /etc/ssl/certs, or set SSL_CERT_FILE)".to_owned()
        }
        other => cut(&clean(&other.to_string(), &[]), MAX_QUOTE),
    }
}

fn io_failure(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    use io::ErrorKind as Io;
    match cause.downcast_ref::<io::Error>()?.kind() {
        Io::ConnectionRefused => Some("connection refused"),
        Io::ConnectionReset | Io::BrokenPipe | Io::ConnectionAborted => {
            Some("the connection was reset")
        }
        Io::HostUnreachable | Io::NetworkUnreachable => Some("host or network unreachable"),
        Io::UnexpectedEof => Some("the connection was closed before the answer was complete"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::{ResponseBuilderExt, Url};

    #[test]
    fn no_query_is_shown() {
        let url = Url::parse("https://issuer.example/token?code=hidden").unwrap();
        let response = http::Response::builder().status(500).url(url);
        let response = reqwest::Response::from(response.body("").unwrap());
        let error = response.error_for_status().unwrap_err();
        assert!(error.to_string().contains("hidden"), "{error}");
        let described = describe(error, &[]);
        assert!(!described.contains("hidden"), "{described}");
    }
}
