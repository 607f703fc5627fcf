//! What keeps anybody from asking: told as what to mend, for a table full of refusals would look like a fault of Google's or
//! ours.

use super::seen::Seen;

/// What is to be mended, if the first answer says that there is no use in asking on. That a caller lacks a permission is not
/// among it: Google also says so of what does not exist, and that is one of the questions.
pub fn wrong(seen: &Seen, service: &str) -> Option<String> {
    let message = seen.message.as_deref().unwrap_or_default();
    let Some(http) = seen.http_status else {
        return Some(format!("{}: {message}", seen.status));
    };
    let payer = seen
        .metadata
        .get("consumer")
        .map_or("the project that pays", String::as_str);
    let cure = match (http, seen.reason.as_deref()) {
        (_, Some("SERVICE_DISABLED")) => format!("enable the {service} API in {payer}"),
        (_, Some("USER_PROJECT_DENIED")) => format!(
            "grant roles/serviceusage.serviceUsageConsumer in {payer} to whoever asks, or name another payer with --quota-project"
        ),
        (401, _) => {
            "the token is not taken: run gcloud auth application-default login, or give another file with --credentials".to_owned()
        }
        _ => return None,
    };
    Some(format!("{}: {cure}. {message}", seen.short()))
}
