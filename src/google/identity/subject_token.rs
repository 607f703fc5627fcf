//! Where an `external_account` file says that its subject token is: the proof of who this workload is, which STS
//! exchanges. It is read again for each exchange: the kubelet replaces the file while the process runs.

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use super::{
    credential_fields::Fields,
    guarded_http::{GuardedHttp, MAX_ANSWER},
    secret::Secret,
    token_answer,
};
use crate::google::{
    answers::proto_json::Object, byte_order_mark::without_mark, catalogue::endpoint::is_loopback,
    identity::token::TokenError, text_file::read_capped,
};

/// A source of subject tokens.
#[derive(Debug)]
pub(super) struct SubjectToken {
    source: Source,
    /// Name of the field that holds it in JSON; absent means that the token is the whole text.
    json_field: Option<String>,
}

#[derive(Debug)]
enum Source {
    File(PathBuf),
    Url(Box<GuardedHttp>, HeaderMap),
}

impl SubjectToken {
    /// Reads `credential_source`.
    ///
    /// # Errors
    /// If it is of a kind that this program does not have, or makes no sense.
    pub fn new(fields: &Fields<'_>, limit: Duration) -> Result<Self, TokenError> {
        const USE_FILE: &str = "use credential_source.file with a projected ServiceAccount token";
        for (field, why) in [
            (
                "executable",
                "is not supported: this program starts no other programs",
            ),
            (
                "environment_id",
                "is not supported: AWS credentials are not read",
            ),
            (
                "certificate",
                "is not supported: X.509 credentials are not read",
            ),
        ] {
            if fields.has(field) {
                return Err(fields.wrong(field, format!("{why}; {USE_FILE}")));
            }
        }
        let source = match (fields.optional("file")?, fields.optional("url")?) {
            (Some(path), None) => Source::File(PathBuf::from(path)),
            (None, Some(url)) => {
                let url = source_url(&url).ok_or_else(|| {
                    fields.wrong("url", "must be an https:// URL (http:// only for loopback and link-local addresses) without a user name")
                })?;
                let http =
                    GuardedHttp::new(url, limit, None).map_err(|why| fields.wrong("url", why))?;
                Source::Url(Box::new(http), headers(fields)?)
            }
            (Some(_), Some(_)) => {
                return Err(fields.wrong(
                    "url",
                    "must not be set together with file; remove one of them",
                ));
            }
            (None, None) => return Err(fields.wrong("file", "is missing; set file or url")),
        };
        let json_field = match fields.object("format")? {
            None => None,
            Some(format) => match format.optional("type")?.as_deref() {
                None | Some("text") => None,
                Some("json") => Some(format.required("subject_token_field_name")?),
                Some(_) => return Err(format.wrong("type", "must be text or json")),
            },
        };
        Ok(Self { source, json_field })
    }

    /// The token as it is now.
    ///
    /// # Errors
    /// With the reason in words; a file that is not there yet is one.
    pub async fn read(&self) -> Result<Secret, String> {
        let (text, place) = match &self.source {
            Source::File(path) => {
                let place = format!("the subject token file {}", path.display());
                let path = path.clone();
                let max = u64::try_from(MAX_ANSWER).unwrap_or(u64::MAX);
                let read = tokio::task::spawn_blocking(move || read_capped(&path, max)).await;
                match read {
                    Ok(Ok(text)) => (text, place),
                    Ok(Err(error)) => return Err(format!("{place} cannot be read: {error}")),
                    Err(_) => return Err(format!("{place}: the process is stopping")),
                }
            }
            Source::Url(http, headers) => {
                let place = format!("the subject token server {}", http.host());
                let answer = http.get(headers.clone()).await;
                let answer = answer.map_err(|why| format!("{place}: {why}"))?;
                if answer.status != 200 {
                    let sent: Vec<_> = headers.values().filter_map(|v| v.to_str().ok()).collect();
                    let why = token_answer::refusal(&answer, &sent);
                    return Err(format!("{place}: {why}"));
                }
                let text = without_mark(&answer.body).map_err(|why| format!("{place}: {why}"))?;
                (String::from_utf8_lossy(text).into_owned(), place)
            }
        };
        self.take(&text).map_err(|why| format!("{place}: {why}"))
    }

    fn take(&self, text: &str) -> Result<Secret, String> {
        let token = match &self.json_field {
            None => text.trim().to_owned(),
            Some(field) => Object::from_body(text.as_bytes())
                .and_then(|object| object.string(field))
                .map_err(|error| format!("unexpected JSON: {error}"))?
                .ok_or_else(|| format!("its JSON has no field {field:?}"))?,
        };
        if token.is_empty() {
            return Err("it is empty".to_owned());
        }
        Ok(Secret::new(token))
    }
}

/// As for token servers, but with a query, and http also for link-local addresses: that is how clouds' own metadata
/// servers are reached.
fn source_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    let near = is_loopback(host) || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_link_local());
    let safe = url.scheme() == "https" || (url.scheme() == "http" && near);
    let plain = url.username().is_empty() && url.password().is_none();
    (safe && plain).then_some(url)
}

fn headers(fields: &Fields<'_>) -> Result<HeaderMap, TokenError> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields.pairs("headers")? {
        let wrong = || fields.wrong("headers", "has a name or a value that HTTP does not allow");
        let name = HeaderName::try_from(name).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value).map_err(|_| wrong())?;
        // It may be what opens the door.
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_reached_over_tls_or_are_near() {
        for (url, good) in [
            ("https://issuer.example/token?x=1", true),
            ("http://127.0.0.1:8080/token", true),
            (
                "http://169.254.169.254/metadata/identity/oauth2/token?resource=x",
                true,
            ),
            ("http://issuer.example/token", false),
            ("http://10.0.0.1/token", false),
            ("https://u:p@issuer.example/", false),
            ("file:///token", false),
            ("token", false),
        ] {
            assert_eq!(source_url(url).is_some(), good, "{url}");
        }
    }

    #[test]
    fn text_is_trimmed_and_json_is_opened() {
        let source = || Source::File(PathBuf::new());
        let text = SubjectToken {
            source: source(),
            json_field: None,
        };
        assert_eq!(text.take(" eyJ.a.b\n").unwrap().text(), "eyJ.a.b");
        assert!(text.take(" \n").is_err());
        let json = SubjectToken {
            source: source(),
            json_field: Some("access_token".to_owned()),
        };
        let good = r#"{"access_token":"eyJ.a.b","expires_in":1}"#;
        assert_eq!(json.take(good).unwrap().text(), "eyJ.a.b");
        for bad in [
            "eyJsecret",
            r#"{"other":"eyJsecret"}"#,
            r#"{"access_token":1}"#,
            r#"{"access_token":""}"#,
        ] {
            let error = json.take(bad).unwrap_err();
            assert!(!error.contains("eyJ"), "{error}");
        }
    }
}
