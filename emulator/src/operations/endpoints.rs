//! The checks of hosts and locations, and the names of projects.

use crate::scenario::endpoint::Endpoint;

/// The location in a name or parent; `global` if it has none.
pub fn location(name: &str) -> &str {
    let mut segments = name.split('/').skip(2);
    match (segments.next(), segments.next()) {
        (Some("locations"), Some(location)) => location,
        _ => "global",
    }
}

/// The message for a request to the wrong host; `None` if the host serves the location or is unknown. `usual` is the service's host for
/// names without a location.
pub fn wrong_host(
    usual: &str,
    endpoints: &[Endpoint],
    host: Option<&str>,
    name: &str,
) -> Option<String> {
    let host = host?;
    let without_port = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let meant = |endpoint: &&Endpoint| {
        endpoint.host.eq_ignore_ascii_case(host) || endpoint.host.eq_ignore_ascii_case(without_port)
    };
    let asked = endpoints.iter().find(meant)?;
    let location = location(name);
    let serves = |endpoint: &&Endpoint| endpoint.locations.iter().any(|known| known == location);
    if location == "-" || serves(&asked) {
        return None;
    }
    let right = match endpoints.iter().find(serves) {
        Some(endpoint) => endpoint.host.clone(),
        None if location == "global" => usual.to_owned(),
        None => format!("{location}-{usual}"),
    };
    Some(format!(
        "The location {location} of the resource {name} is not served by {without_port}. Please find the correct endpoint for the \
         location: {right}."
    ))
}

/// The name with its project replaced, if it is `from`.
pub fn in_project(name: &str, from: &str, to: &str) -> Option<String> {
    let rest = name.strip_prefix("projects/")?.strip_prefix(from)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| format!("projects/{to}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, location: &str) -> Endpoint {
        Endpoint {
            host: host.into(),
            locations: vec![location.into()],
        }
    }

    #[test]
    fn a_host_serves_its_locations_and_names_the_others_hosts() {
        let endpoints = [
            endpoint("global.test", "global"),
            endpoint("eu.test:81", "eu"),
        ];
        // The name of the service is translate.
        let usual = "translation.googleapis.com";
        let asked = |host: &str, name: &str| wrong_host(usual, &endpoints, Some(host), name);
        let (plain, eu) = (
            "projects/p/operations/o",
            "projects/p/locations/eu/operations/o",
        );
        assert_eq!(asked("GLOBAL.test:8080", plain), None);
        assert_eq!(asked("eu.test:81", eu), None);
        assert_eq!(asked("elsewhere.test", eu), None);
        assert_eq!(asked("global.test", "projects/p/locations/-"), None);
        assert!(
            asked("global.test", eu)
                .expect("wrong")
                .ends_with("eu.test:81.")
        );
        assert!(
            asked("eu.test:81", plain)
                .expect("wrong")
                .ends_with("global.test.")
        );
        let asia = asked("global.test", "projects/p/locations/asia/operations/o");
        assert!(
            asia.expect("wrong")
                .ends_with("asia-translation.googleapis.com.")
        );
        let elsewhere = wrong_host(usual, &endpoints[1..], Some("eu.test:81"), plain);
        assert!(
            elsewhere
                .expect("wrong")
                .ends_with(": translation.googleapis.com.")
        );
    }

    #[test]
    fn projects_are_replaced_whole() {
        assert_eq!(
            in_project("projects/p/operations/o", "p", "7").as_deref(),
            Some("projects/7/operations/o")
        );
        assert_eq!(
            in_project("projects/p", "p", "7").as_deref(),
            Some("projects/7")
        );
        assert_eq!(in_project("projects/pp/operations/o", "p", "7"), None);
    }
}
