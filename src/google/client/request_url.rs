//! The URLs of GET and cancel, built only from parsed parts.

use reqwest::Url;

use crate::google::{catalogue::Target, names::operation_name::OperationName};

/// No URL can be built: the endpoint is invalid, or the parser changed the path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot build a URL from the endpoint {endpoint}; check --endpoint-override")]
pub struct UnusableEndpoint {
    endpoint: String,
}

/// `GET {endpoint}/{version}/{name}`.
///
/// # Errors
/// If the parsed URL is not exactly the intended one.
pub fn get_url(target: &Target, name: &OperationName) -> Result<Url, UnusableEndpoint> {
    build(target, name, "")
}

/// `POST {endpoint}/{version}/{name}:cancel`.
///
/// # Errors
/// As [`get_url`].
pub fn cancel_url(target: &Target, name: &OperationName) -> Result<Url, UnusableEndpoint> {
    build(target, name, ":cancel")
}

fn build(target: &Target, name: &OperationName, verb: &str) -> Result<Url, UnusableEndpoint> {
    // A colon could be taken for the start of the verb, and the parentheses of `(default)` are encoded, too. All other characters of the
    // grammar need no encoding (google/api/http.proto).
    let name = name
        .as_str()
        .replace(':', "%3A")
        .replace('(', "%28")
        .replace(')', "%29");
    let path = format!("/{}/{name}{verb}", target.version);
    let unusable = || UnusableEndpoint {
        endpoint: target.endpoint.clone(),
    };
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
    use crate::google::catalogue::{endpoint::EndpointOverrides, resolve};
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

    proptest! {
        #[test]
        fn the_path_has_exactly_the_names_segments(
            project in "([a-z0-9][a-z0-9.-]{0,5}:)?[a-z0-9][a-z0-9-]{0,9}",
            operation in "[A-Za-z0-9][A-Za-z0-9._~-]{0,20}",
        ) {
            let name = OperationName::parse(&format!("projects/{project}/operations/{operation}")).unwrap();
            let target = resolve("dialogflow", None, &name, &EndpointOverrides::default()).unwrap();
            let url = get_url(&target, &name).unwrap();
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            let encoded = project.replace(':', "%3A");
            prop_assert_eq!(segments, vec!["v2", "projects", &encoded, "operations", &operation]);
        }
    }
}
