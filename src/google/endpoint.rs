//! `--endpoint-override SERVICE[/LOCATION]=URL`: other hosts for the calls, named by the administrator alone
//! (a regional private endpoint, an emulator). No object can name one.

use reqwest::Url;
use std::{collections::BTreeMap, net::IpAddr, str::FromStr};

use super::{catalogue, operation_name::is_location};

const PLACEHOLDER: &str = "{location}";

/// One `--endpoint-override`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointOverride {
    service: &'static str,
    location: Option<String>,
    /// Base URL without a slash at the end; may hold `{location}` in its host.
    template: String,
}

/// Why a text is no `--endpoint-override`; the message names the part that is wrong and what is right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("endpoint override {given:?}: {wrong}")]
pub struct InvalidEndpointOverride {
    given: String,
    wrong: String,
}

/// All overrides of this process. The one with a location wins over the one for the whole service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointOverrides {
    templates: BTreeMap<(&'static str, Option<String>), String>,
}

impl EndpointOverrides {
    /// Collects the flag's values; of two for the same service and location the later one counts.
    pub fn new(overrides: impl IntoIterator<Item = EndpointOverride>) -> Self {
        let templates = overrides
            .into_iter()
            .map(|o| ((o.service, o.location), o.template))
            .collect();
        Self { templates }
    }

    /// The base URL for a service and a name's location. A name without a location counts as `global` for the
    /// placeholder, but only an override without a location applies to it.
    pub fn endpoint(&self, service: &'static str, location: Option<&str>) -> Option<String> {
        self.templates
            .get(&(service, location.map(str::to_owned)))
            .or_else(|| self.templates.get(&(service, None)))
            .map(|template| template.replace(PLACEHOLDER, location.unwrap_or("global")))
    }

    /// The base URLs that are known before any object is: those without the placeholder.
    pub fn fixed_endpoints(&self) -> impl Iterator<Item = &str> {
        self.templates
            .values()
            .map(String::as_str)
            .filter(|template| !template.contains(PLACEHOLDER))
    }

    /// Whether any override is for the whole of a service, so that the catalogue's hosts are never called for it.
    pub fn covers(&self, service: &'static str) -> bool {
        self.templates.contains_key(&(service, None))
    }
}

impl FromStr for EndpointOverride {
    type Err = InvalidEndpointOverride;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        parse(given).map_err(|wrong| InvalidEndpointOverride {
            // A URL with a password in it must not come back in a message.
            given: given
                .split_once('=')
                .map_or(given, |(key, _)| key)
                .to_owned(),
            wrong,
        })
    }
}

fn parse(given: &str) -> Result<EndpointOverride, String> {
    let (key, url) = given.split_once('=').ok_or(
        "there is no \"=\"; expected SERVICE[/LOCATION]=URL, such as dialogflow/us=https://dialogflow.us.rep.googleapis.com",
    )?;
    let (service, location) = match key.split_once('/') {
        Some((service, location)) => (service, Some(location)),
        None => (key, None),
    };
    let service = catalogue::service(service)
        .map(|row| row.name)
        .ok_or_else(|| {
            format!(
                "SERVICE {service:?} is unknown; this release knows {}",
                catalogue::service_names().collect::<Vec<_>>().join(", ")
            )
        })?;
    if location.is_some_and(|location| !is_location(location)) {
        return Err(
            "LOCATION must be a location as operation names spell it, such as europe-west1"
                .to_owned(),
        );
    }
    Ok(EndpointOverride {
        service,
        location: location.map(str::to_owned),
        template: check_url(url)?,
    })
}

/// Checks the URL with the placeholder filled in, and gives the template back without a slash at its end.
fn check_url(template: &str) -> Result<String, String> {
    let template = template.strip_suffix('/').unwrap_or(template);
    let filled = template.replace(PLACEHOLDER, "global");
    if filled.contains(['{', '}']) {
        return Err("URL: the only placeholder is {location}".to_owned());
    }
    let url = Url::parse(&filled).map_err(|e| format!("URL is not a URL ({e})"))?;
    let host = url.host_str().unwrap_or_default();
    if !url.username().is_empty() || url.password().is_some() || filled.contains('@') {
        return Err("URL must not hold a user name or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("URL must not hold \"?\" or \"#\"".to_owned());
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(host) => {}
        "http" => {
            return Err(format!(
                "URL: http is for loopback hosts only (127.0.0.0/8, [::1], localhost), {host} is none; use https"
            ));
        }
        other => return Err(format!("URL must start with https://, not with {other}:")),
    }
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    // Also refuses every other way to write a URL: what was given must be what is called.
    if filled != format!("{}://{host}{port}", url.scheme()) {
        return Err(
            "URL must be https://HOST[:PORT] alone, with no path, in lower case, and without a scheme's own port"
                .to_owned(),
        );
    }
    if template.contains(PLACEHOLDER) {
        // In the last label it could turn a name into an address.
        let suffix = template.rsplit(PLACEHOLDER).next().unwrap_or_default();
        if !suffix.contains('.') || host.parse::<IpAddr>().is_ok() {
            return Err(
                "URL: {location} must stand in the host's name and not in its last part".to_owned(),
            );
        }
    }
    Ok(template.to_owned())
}

/// Whether a URL's host can only be this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(given: &[&str]) -> EndpointOverrides {
        EndpointOverrides::new(given.iter().map(|text| text.parse().unwrap()))
    }

    #[test]
    fn the_more_specific_one_wins() {
        let given = overrides(&[
            "dialogflow=https://{location}-dialogflow.private.example",
            "dialogflow/us=https://dialogflow.us.rep.googleapis.com/",
        ]);
        for (location, endpoint) in [
            (Some("us"), "https://dialogflow.us.rep.googleapis.com"),
            (
                Some("europe-west1"),
                "https://europe-west1-dialogflow.private.example",
            ),
            (None, "https://global-dialogflow.private.example"),
        ] {
            assert_eq!(
                given.endpoint("dialogflow", location).as_deref(),
                Some(endpoint)
            );
        }
        assert!(given.covers("dialogflow"));
        assert_eq!(
            given.fixed_endpoints().collect::<Vec<_>>(),
            ["https://dialogflow.us.rep.googleapis.com"]
        );
    }

    #[test]
    fn one_location_leaves_the_others_alone() {
        let given = overrides(&["dialogflow/us=https://us.private.example:8443"]);
        assert_eq!(given.endpoint("dialogflow", None), None);
        assert_eq!(given.endpoint("dialogflow", Some("eu")), None);
        assert!(!given.covers("dialogflow"));
    }

    #[test]
    fn plain_http_is_for_loopback() {
        for url in [
            "http://127.0.0.1:8080",
            "http://127.8.9.1",
            "http://[::1]:80801".trim_end_matches('1'),
            "http://localhost:1",
        ] {
            assert_eq!(
                overrides(&[&format!("dialogflow={url}")])
                    .endpoint("dialogflow", None)
                    .as_deref(),
                Some(url)
            );
        }
    }

    #[test]
    fn wrong_values_say_what_is_wrong() {
        for (given, said) in [
            ("dialogflow", "no \"=\""),
            ("speech=https://a.example", "SERVICE \"speech\" is unknown"),
            ("dialogflow/EU=https://a.example", "LOCATION must be"),
            ("dialogflow/=https://a.example", "LOCATION must be"),
            ("dialogflow=", "not a URL"),
            ("dialogflow=a.example", "not a URL"),
            ("dialogflow=ftp://a.example", "must start with https://"),
            ("dialogflow=http://a.example", "loopback hosts only"),
            (
                "dialogflow=http://localhost.evil.example",
                "loopback hosts only",
            ),
            ("dialogflow=http://10.0.0.1", "loopback hosts only"),
            ("dialogflow=https://u:secret@a.example", "user name"),
            ("dialogflow=https://@a.example", "user name"),
            ("dialogflow=https://a.example?x=1", "\"?\""),
            ("dialogflow=https://a.example#x", "\"#\""),
            ("dialogflow=https://a.example/v2", "no path"),
            ("dialogflow=https://A.example", "lower case"),
            ("dialogflow=https:a.example", "https://HOST"),
            ("dialogflow=https://a.example\\b", "https://HOST"),
            ("dialogflow=https://{region}.example", "only placeholder"),
            ("dialogflow=https://a.{location}", "last part"),
            ("dialogflow=https://{location}", "last part"),
            (
                "dialogflow=http://127.0.0.{location}",
                "loopback hosts only",
            ),
        ] {
            let error = given.parse::<EndpointOverride>().unwrap_err().to_string();
            assert!(error.contains(said), "{given}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
