//! `--endpoint-override SERVICE[/LOCATION[+LOCATION...]]=URL`: other hosts for the calls, named by the administrator alone
//! (a regional private endpoint, an emulator). No object can name one.
//!
//! Guarantee: a location from an object leads only to a host below googleapis.com, or below the domain of `--universe-domain`. In any other domain an attacker could register the
//! name, get a certificate for it and receive the operator's token, so there the administrator must list the locations.

use reqwest::Url;
use std::{collections::BTreeMap, net::IpAddr, str::FromStr};

use super::service::{Service, service};
use crate::google::{names::operation_name::is_location, universe_domain::UniverseDomain};

const PLACEHOLDER: &str = "{location}";

/// The location of a name that has none.
const GLOBAL: &str = "global";

/// The separator of locations in an override. Commas separate the overrides.
const AND: char = '+';

/// Every name below this domain is Google's.
const GOOGLES: &str = ".googleapis.com";

/// One `--endpoint-override`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointOverride {
    service: &'static str,
    /// Each location with its base URL, without a slash at the end; without a location it may hold `{location}` in its host.
    templates: Vec<(Option<String>, String)>,
}

/// An invalid `--endpoint-override`. The message names the wrong part and what is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("endpoint override {given:?}: {wrong}")]
pub struct InvalidEndpointOverride {
    given: String,
    wrong: String,
}

/// All overrides of this process, and the universe of the other hosts. The override with a location wins over the one for the whole
/// service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointOverrides {
    universe: UniverseDomain,
    templates: BTreeMap<(&'static str, Option<String>), String>,
}

impl EndpointOverrides {
    /// Collects the flag's values. If two have the same service and location, the later one wins.
    pub fn new(overrides: impl IntoIterator<Item = EndpointOverride>) -> Self {
        let templates = overrides
            .into_iter()
            .flat_map(|o| {
                let of = move |(location, template)| ((o.service, location), template);
                o.templates.into_iter().map(of)
            })
            .collect();
        Self {
            templates,
            universe: UniverseDomain::default(),
        }
    }

    /// The same in this universe: hosts of the catalogue are in its domain.
    #[must_use]
    pub fn in_universe(self, universe: UniverseDomain) -> Self {
        Self { universe, ..self }
    }

    /// The base URL of a service's host in this universe, without overrides.
    pub(super) fn of_catalogue(&self, service: &Service, location: Option<&str>) -> String {
        format!("https://{}", self.universe.host(service.host(location)))
    }

    /// The base URL for a service and a name's location. A name without a location counts as `global`.
    pub fn endpoint(&self, service: &'static str, location: Option<&str>) -> Option<String> {
        let location = location.unwrap_or(GLOBAL);
        self.templates
            .get(&(service, Some(location.to_owned())))
            .or_else(|| self.templates.get(&(service, None)))
            .map(|template| template.replace(PLACEHOLDER, location))
    }

    /// The base URLs without a placeholder, which are known before there is any object.
    pub fn fixed_endpoints(&self) -> impl Iterator<Item = &str> {
        self.templates
            .values()
            .map(String::as_str)
            .filter(|template| !template.contains(PLACEHOLDER))
    }
}

impl FromStr for EndpointOverride {
    type Err = InvalidEndpointOverride;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        parse(given).map_err(|wrong| InvalidEndpointOverride {
            // The URL may contain a password, so the message does not repeat it.
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
        "\"=\" is missing; use SERVICE[/LOCATION]=URL, for example dialogflow/us=https://dialogflow.us.rep.googleapis.com",
    )?;
    let (name, locations) = match key.split_once('/') {
        Some((name, locations)) => (name, locations.split(AND).collect()),
        None => (key, Vec::new()),
    };
    let service = service(name).map(|row| row.name).ok_or_else(|| {
        format!(
            "SERVICE {name:?} is unknown; use a value of spec.service, such as dialogflow or aiplatform"
        )
    })?;
    if locations.iter().any(|location| !is_location(location)) {
        return Err(
            "LOCATION must be a location as in operation names, for example europe-west1; separate several locations with +"
                .to_owned(),
        );
    }
    let templates = if locations.is_empty() {
        vec![(None, check_template(url)?)]
    } else {
        let filled = locations.into_iter().map(|location| {
            let url = check_url(url, location)?.replace(PLACEHOLDER, location);
            Ok((Some(location.to_owned()), url))
        });
        filled.collect::<Result<_, String>>()?
    };
    Ok(EndpointOverride { service, templates })
}

/// Checks a URL for all possible locations.
fn check_template(url: &str) -> Result<String, String> {
    let template = check_url(url, GLOBAL)?;
    let after = template.rsplit_once(PLACEHOLDER).map(|(_, after)| after);
    let host = after.map(|after| after.split_once(':').map_or(after, |(host, _)| host));
    if host.is_some_and(|host| !host.ends_with(GOOGLES)) {
        return Err(
            "URL: {location} without a list of locations is allowed only below googleapis.com; for another host, list the locations, for example dialogflow/us+europe-west1=https://{location}-dialogflow.private.example"
                .to_owned(),
        );
    }
    Ok(template)
}

/// Checks the URL with this location in place of the placeholder. Returns the template without a slash at the end.
fn check_url(template: &str, location: &str) -> Result<String, String> {
    let template = template.strip_suffix('/').unwrap_or(template);
    let filled = template.replace(PLACEHOLDER, location);
    if filled.contains(['{', '}']) {
        return Err("URL: the only placeholder is {location}".to_owned());
    }
    let url = Url::parse(&filled).map_err(|e| format!("URL is invalid ({e})"))?;
    let host = url.host_str().unwrap_or_default();
    if !url.username().is_empty() || url.password().is_some() || filled.contains('@') {
        return Err("URL must not contain a user name or password".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("URL must not contain \"?\" or \"#\"".to_owned());
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(host) => {}
        "http" => {
            return Err(format!(
                "URL: http is allowed only for loopback hosts (127.0.0.0/8, [::1], localhost), not for {host}; use https"
            ));
        }
        other => return Err(format!("URL must start with https://, not with {other}:")),
    }
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    // Also refuses other spellings of a URL: the given text must be exactly what is called.
    if filled != format!("{}://{host}{port}", url.scheme()) {
        return Err(
            "URL must be only https://HOST[:PORT], in lower case, without a path and without the default port"
                .to_owned(),
        );
    }
    if template.contains(PLACEHOLDER) {
        // In the last label it could turn a name into an IP address.
        let suffix = template.rsplit(PLACEHOLDER).next().unwrap_or_default();
        if !suffix.contains('.') || host.parse::<IpAddr>().is_ok() {
            return Err(
                "URL: {location} must be in the host name, but not in its last label".to_owned(),
            );
        }
    }
    Ok(template.to_owned())
}

/// Whether a URL's host can only be this machine.
pub(in super::super) fn is_loopback(host: &str) -> bool {
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
            "dialogflow=https://{location}-dialogflow.p.googleapis.com",
            "dialogflow/us=https://dialogflow.us.rep.googleapis.com/",
        ]);
        for (location, endpoint) in [
            (Some("us"), "https://dialogflow.us.rep.googleapis.com"),
            (
                Some("europe-west1"),
                "https://europe-west1-dialogflow.p.googleapis.com",
            ),
            (None, "https://global-dialogflow.p.googleapis.com"),
        ] {
            assert_eq!(
                given.endpoint("dialogflow", location).as_deref(),
                Some(endpoint)
            );
        }
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
    }

    #[test]
    fn listed_locations_have_hosts_of_their_own() {
        let given =
            overrides(&["dialogflow/us+europe-west1=https://{location}-df.private.example:8443/"]);
        for (location, endpoint) in [
            (Some("us"), Some("https://us-df.private.example:8443")),
            (
                Some("europe-west1"),
                Some("https://europe-west1-df.private.example:8443"),
            ),
            (Some("invented"), None),
            (Some("global"), None),
            (None, None),
        ] {
            let found = given.endpoint("dialogflow", location);
            assert_eq!(found.as_deref(), endpoint, "{location:?}");
        }
        assert_eq!(given.fixed_endpoints().count(), 2);
        let same = overrides(&["dialogflow/us+eu=https://df.private.example"]);
        assert_eq!(
            same.endpoint("dialogflow", Some("us")),
            same.endpoint("dialogflow", Some("eu"))
        );
    }

    #[test]
    fn the_one_for_global_covers_names_without_a_location() {
        let given = overrides(&[
            "dialogflow/global=https://private.example",
            "dialogflow=https://other.example",
        ]);
        for (location, endpoint) in [
            (None, "https://private.example"),
            (Some("global"), "https://private.example"),
            (Some("us"), "https://other.example"),
        ] {
            let found = given.endpoint("dialogflow", location);
            assert_eq!(found.as_deref(), Some(endpoint), "{location:?}");
        }
        let alone = overrides(&["dialogflow/global+us=https://private.example"]);
        assert!(alone.endpoint("dialogflow", None).is_some());
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
            ("dialogflow", "\"=\" is missing"),
            ("gke=https://a.example", "SERVICE \"gke\" is unknown"),
            ("dialogflow/EU=https://a.example", "LOCATION must be"),
            ("dialogflow/=https://a.example", "LOCATION must be"),
            ("dialogflow=", "URL is invalid"),
            ("dialogflow=a.example", "URL is invalid"),
            ("dialogflow=ftp://a.example", "must start with https://"),
            ("dialogflow=http://a.example", "only for loopback hosts"),
            (
                "dialogflow=http://localhost.evil.example",
                "only for loopback hosts",
            ),
            ("dialogflow=http://10.0.0.1", "only for loopback hosts"),
            ("dialogflow=https://u:secret@a.example", "user name"),
            ("dialogflow=https://@a.example", "user name"),
            ("dialogflow=https://a.example?x=1", "\"?\""),
            ("dialogflow=https://a.example#x", "\"#\""),
            ("dialogflow=https://a.example/v2", "without a path"),
            ("dialogflow=https://A.example", "lower case"),
            ("dialogflow=https:a.example", "https://HOST"),
            ("dialogflow=https://a.example\\b", "https://HOST"),
            ("dialogflow=https://{region}.example", "only placeholder"),
            ("dialogflow/us+=https://a.example", "LOCATION must be"),
            ("dialogflow/us,eu=https://a.example", "LOCATION must be"),
            ("dialogflow/us+EU=https://a.example", "LOCATION must be"),
            ("dialogflow=https://{location}.com", "list the locations"),
            (
                "dialogflow=https://{location}-df.private.example",
                "list the locations",
            ),
            (
                "dialogflow=https://{location}.private.example:8443",
                "list the locations",
            ),
            (
                "dialogflow=https://{location}googleapis.com",
                "list the locations",
            ),
            (
                "dialogflow=https://{location}.googleapis.com.evil.example",
                "list the locations",
            ),
            (
                "dialogflow=https://x.googleapis.com.{location}.evil.example",
                "list the locations",
            ),
            (
                "dialogflow=https://{location}.example.googleapis.com.",
                "list the locations",
            ),
            ("dialogflow/us+eu=https://df.{location}", "last label"),
            ("dialogflow=https://a.{location}", "last label"),
            ("dialogflow=https://{location}", "last label"),
            (
                "dialogflow=http://127.0.0.{location}",
                "only for loopback hosts",
            ),
        ] {
            let error = given.parse::<EndpointOverride>().unwrap_err().to_string();
            assert!(error.contains(said), "{given}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
