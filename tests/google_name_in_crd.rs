//! The grammar of operation names stands in two places, in the code and in the CRD. They must be one grammar.
#![allow(clippy::unwrap_used)]

use opcancel::{
    api::cancellation_crd,
    google::{
        catalogue,
        operation_name::{MAX_LOCATION, MAX_OPERATION, MAX_PROJECT, NAME_PATTERN},
    },
};

#[test]
fn the_crd_checks_names_as_the_code_does() {
    let services: Vec<_> = catalogue::service_names().collect();
    let crd = cancellation_crd(&services).unwrap();
    let crd = serde_json::to_string(&crd).unwrap();
    let longest =
        "projects//locations//operations/".len() + MAX_PROJECT + MAX_LOCATION + MAX_OPERATION;
    for rule in [
        format!("self.matches('{NAME_PATTERN}')"),
        format!("self.split('/')[1].size() <= {MAX_PROJECT}"),
        format!("self.split('/')[3].size() <= {MAX_LOCATION}"),
        format!("part.size() <= {MAX_OPERATION}"),
        format!("\"maxLength\":{longest}"),
    ] {
        assert!(crd.contains(&rule), "not in the CRD: {rule}");
    }
}
