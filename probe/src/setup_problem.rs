//! Problems of the set-up that prevent every request, reported as one sentence that says what to do. A table full of refusals
//! would look like a fault of Google's API or of opcancel.

use super::observation::ObservedAnswer;

/// What to do, if the answer to the first request shows that no other request can succeed. A missing permission does not count:
/// Google also reports it for operations that do not exist, and that is one of the questions.
pub fn setup_problem(observed: &ObservedAnswer, service: &str) -> Option<String> {
    let message = observed.message.as_deref().unwrap_or_default();
    let Some(http) = observed.http_status else {
        return Some(format!("{}: {message}", observed.status));
    };
    let payer = observed
        .metadata
        .get("consumer")
        .map_or("the quota project", String::as_str);
    let cure = match (http, observed.reason.as_deref()) {
        (_, Some("SERVICE_DISABLED")) => format!("enable the {service} API in {payer}"),
        (_, Some("USER_PROJECT_DENIED")) => format!(
            "grant roles/serviceusage.serviceUsageConsumer in {payer} to the caller, or choose another quota project with --quota-project"
        ),
        (401, _) => {
            "Google rejects the token: run gcloud auth application-default login, or use another file with --credentials".to_owned()
        }
        _ => return None,
    };
    Some(format!("{}: {cure}. {message}", observed.short()))
}
