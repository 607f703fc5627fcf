//! The URLs of GET and cancel, built only from parsed parts.

use reqwest::Url;

use crate::google::{
    catalogue::{Target, Version},
    names::operation_name::OperationName,
};

/// No URL can be built: the endpoint is invalid, or the parser changed the path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot build a URL from the endpoint {endpoint}; check --endpoint-override")]
pub struct UnusableEndpoint {
    endpoint: String,
}

/// The URL of GET: `{endpoint}/{prefix}{name}`, as the catalogue has the prefix.
///
/// # Errors
/// If the parsed URL is not exactly the intended one.
pub fn get_url(target: &Target, name: &OperationName) -> Result<Url, UnusableEndpoint> {
    build(target, name, |_| "")
}

/// The URL of the POST: that of GET and the suffix of the catalogue, such as `:cancel`.
///
/// # Errors
/// As [`get_url`].
pub fn cancel_url(target: &Target, name: &OperationName) -> Result<Url, UnusableEndpoint> {
    build(target, name, |version| version.suffix)
}

fn build(
    target: &Target,
    name: &OperationName,
    suffix: impl FnOnce(&Version) -> &str,
) -> Result<Url, UnusableEndpoint> {
    let unusable = || UnusableEndpoint {
        endpoint: target.endpoint.clone(),
    };
    let version = target.version_row().ok_or_else(unusable)?;
    // A colon could be taken for the start of the verb, and the parentheses of `(default)` are encoded, too. All other characters of the
    // grammar need no encoding (google/api/http.proto).
    let name = version
        .in_path(name)
        .replace(':', "%3A")
        .replace('(', "%28")
        .replace(')', "%29");
    let path = format!("/{}{name}{}", version.prefix, suffix(version));
    let url = Url::parse(&format!("{}{path}", target.endpoint)).map_err(|_| unusable())?;
    let same = url.path() == path
        && url.query().is_none()
        && url.fragment().is_none()
        && url.as_str() == format!("{}{path}", target.endpoint);
    if same { Ok(url) } else { Err(unusable()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::google::catalogue::{endpoint::EndpointOverrides, resolve, services};
    use proptest::prelude::*;

    fn urls(name: &str, version: &str) -> (String, String) {
        let name = OperationName::parse(name).unwrap();
        let target = resolve(
            "dialogflow",
            Some(version),
            &name,
            &EndpointOverrides::default(),
        )
        .unwrap();
        (
            get_url(&target, &name).unwrap().into(),
            cancel_url(&target, &name).unwrap().into(),
        )
    }

    #[test]
    fn urls_are_those_of_the_api_definition() {
        assert_eq!(
            urls("projects/p/operations/o", "v2"),
            (
                "https://dialogflow.googleapis.com/v2/projects/p/operations/o".to_owned(),
                "https://dialogflow.googleapis.com/v2/projects/p/operations/o:cancel".to_owned()
            )
        );
        assert_eq!(
            urls("projects/ex.com:p/locations/eu/operations/A~b._", "v3beta1").1,
            "https://eu-dialogflow.googleapis.com/v3beta1/projects/ex.com%3Ap/locations/eu/operations/A~b._:cancel"
        );
    }

    #[test]
    fn prefix_suffix_and_form_in_the_path_are_those_of_the_row() {
        for (service, name, url) in [
            (
                "dns",
                "projects/p/locations/global/operations/o",
                "https://dns.googleapis.com/dns/v1/projects/p/locations/global/operations/o:cancel",
            ),
            (
                "sqladmin",
                "projects/p/operations/o",
                "https://sqladmin.googleapis.com/v1/projects/p/operations/o/cancel",
            ),
            (
                "storage",
                "projects/_/buckets/b.c/operations/o",
                "https://storage.googleapis.com/storage/v1/b/b.c/operations/o/cancel",
            ),
            (
                "cloudbuild",
                "operations/build/acme-prod/NTU4",
                "https://cloudbuild.googleapis.com/v1/operations/build/acme-prod/NTU4:cancel",
            ),
        ] {
            let name = OperationName::parse(name).unwrap();
            let target = resolve(service, None, &name, &EndpointOverrides::default()).unwrap();
            assert_eq!(cancel_url(&target, &name).unwrap().as_str(), url);
        }
    }

    #[test]
    fn an_endpoint_that_is_no_base_url_is_refused() {
        let name = OperationName::parse("projects/p/operations/o").unwrap();
        for endpoint in [
            "",
            "https://",
            "https://a.example?x=",
            "https://a.example/b/..",
            "HTTPS://a.example",
        ] {
            let mut target =
                resolve("dialogflow", None, &name, &EndpointOverrides::default()).unwrap();
            target.endpoint = endpoint.to_owned();
            assert!(get_url(&target, &name).is_err(), "{endpoint}");
        }
    }

    #[test]
    fn a_name_of_any_form_keeps_its_segments() {
        let plain = OperationName::parse("projects/p/operations/o").unwrap();
        let target = resolve("dialogflow", None, &plain, &EndpointOverrides::default()).unwrap();
        let name = "projects/p/databases/(default)/operations/_auto_1";
        let url = get_url(&target, &OperationName::parse(name).unwrap()).unwrap();
        assert_eq!(
            url.as_str(),
            "https://dialogflow.googleapis.com/v2/projects/p/databases/%28default%29/operations/_auto_1"
        );
    }

    /// A name of any form of the catalogue, with the path that it must have after the prefix.
    fn name_of_any_form() -> impl Strategy<Value = (&'static str, &'static Version, String, String)>
    {
        let forms: Vec<_> = services()
            .iter()
            .flat_map(|service| {
                service
                    .versions
                    .iter()
                    .map(move |version| (service.name, version))
            })
            .flat_map(|(service, version)| {
                version
                    .patterns
                    .iter()
                    .map(move |pattern| (service, version, pattern))
            })
            .collect();
        let id = "[A-Za-z0-9_][A-Za-z0-9._~-]{0,12}|[(]default[)]";
        let ids = proptest::collection::vec(id, 16);
        let project = "([a-z0-9][a-z0-9.-]{0,5}:)?[a-z0-9][a-z0-9-]{0,9}";
        let location = "[a-z0-9]{1,9}(-[a-z0-9]{1,9}){0,2}";
        let tail = proptest::collection::vec("[A-Za-z0-9_][A-Za-z0-9._~-]{0,12}", 1..4);
        (
            proptest::sample::select(forms),
            ids,
            project,
            location,
            tail,
        )
            .prop_map(
                |((service, version, pattern), mut ids, project, location, tail)| {
                    let mut values = Vec::new();
                    let mut before = "";
                    let mut name = Vec::new();
                    for word in pattern.segments.split('/') {
                        let value = match (word, before) {
                            ("*", "projects") => project.clone(),
                            ("*", "locations" | "regions" | "zones") => location.clone(),
                            // `(default)` is no id of an operation.
                            ("*", "operations") => tail.concat(),
                            ("*", _) => ids.pop().unwrap(),
                            ("**", _) => tail.join("/"),
                            (word, _) => word.to_owned(),
                        };
                        if word == "*" {
                            values.push(value.clone());
                        }
                        name.push(value);
                        before = word;
                    }
                    let name = name.join("/");
                    let in_path = pattern.path.map(|path| {
                        let mut values = values.into_iter();
                        let words = path.split('/').map(|word| match word {
                            "*" => values.next().unwrap(),
                            word => word.to_owned(),
                        });
                        words.collect::<Vec<_>>().join("/")
                    });
                    let in_path = in_path.unwrap_or_else(|| name.clone());
                    (service, version, name, in_path)
                },
            )
    }

    proptest! {
        /// Whatever name a form takes, the request goes to the service's host, and its path is the name with what the row has
        /// before and after it.
        #[test]
        fn a_name_of_any_form_arrives_where_its_row_says((service, version, name, in_path) in name_of_any_form()) {
            // A bucket or another id may be `(default)`, which not every place allows.
            prop_assume!(OperationName::parse(&name).is_ok());
            let name = OperationName::parse(&name).unwrap();
            let target = resolve(service, Some(version.name), &name, &EndpointOverrides::default());
            let target = target.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let encoded = in_path.replace(':', "%3A").replace('(', "%28").replace(')', "%29");
            let path = format!("/{}{encoded}", version.prefix);
            let (get, cancel) = (get_url(&target, &name).unwrap(), cancel_url(&target, &name).unwrap());
            prop_assert_eq!(get.path(), path.as_str());
            prop_assert_eq!(cancel.path(), format!("{path}{}", version.suffix));
            for url in [get, cancel] {
                let host = url.host_str().unwrap();
                prop_assert!(host.ends_with(".googleapis.com"), "{}", host);
                prop_assert_eq!(format!("https://{host}"), target.endpoint.as_str());
                prop_assert!((url.port(), url.query(), url.fragment()) == (None, None, None));
            }
        }
    }
}
