//! Messages for people. Each says what is the case and, if a person has to act, what to do.

use super::{ObjectView, Spec, ending::Ending, failure::Failure};
use crate::{
    api::{
        Call, GROUP, IdentityKind, ObservedOperation, Outcome, Reason, VERSION,
        object_name::is_object_name,
    },
    google::{
        answer::ErrorKind,
        catalogue::{Right, Target},
        error_table,
    },
};

/// The longest message of a condition, in bytes: Helm and kubectl print it on one line.
const LONGEST: usize = 256;

/// Cuts a text to [`LONGEST`] bytes without breaking a character.
pub fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST - 3)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// While it is not known what is granted.
pub const GRANTS_NOT_READ: &str = "The controller could not read the CancellationGrants, or the labels that they select namespaces by; no call is made until it can";

/// The grant that would allow it, ready for `kubectl apply`; if that would be too long, what is missing.
pub fn no_grant(object: &ObjectView, spec: &Spec) -> String {
    let Ok(target) = &spec.target else {
        return "No CancellationGrant allows it".to_owned();
    };
    let (namespace, service) = (&object.namespace, &target.service);
    let identity = spec.identity_kind().name();
    let (list, allowed) = unit(target);
    // JSON, because kubectl 1.32 reads everything that begins with a brace as JSON. Nothing in these names needs an escape.
    let grant = |name: &str| {
        format!(
            r#"{{"apiVersion":"{GROUP}/{VERSION}","kind":"CancellationGrant","metadata":{{"name":"{name}"}},"spec":{{"namespaces":["{namespace}"],"{list}":["{allowed}"],"services":["{service}"],"identities":["{identity}"]}}}}"#
        )
    };
    let name = grant_name(namespace, spec, target);
    let number = number(&name);
    let short = format!("{namespace}.{:08x}", number >> 32);
    [
        (name.clone(), "No grant. An admin can apply: "),
        (name, "No grant. Apply: "),
        (short, "No grant. Apply: "),
        (format!("{number:016x}"), "Apply: "),
    ]
    .into_iter()
    .filter(|(name, _)| is_object_name(name))
    .map(|(name, words)| words.to_owned() + &grant(&name))
    .find(|message| message.len() <= LONGEST)
    .unwrap_or_else(|| {
        cut(format!(
            "No CancellationGrant combines namespace {namespace}, service {service} and identity {identity} with {allowed} in {list}"
        ))
    })
}

/// The list of a grant that would have to contain the operation, and the entry: its project, or its parent, or its own name.
fn unit(target: &Target) -> (&'static str, &str) {
    match (target.project(), target.parent()) {
        (Some(project), _) => ("projects", project),
        (None, Some(parent)) => ("parents", parent),
        (None, None) => ("operationNames", target.name.as_str()),
    }
}

/// A number for a name that is too long (FNV-1a, the same in every release).
fn number(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |number, byte| {
            (number ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// A name for the grant that no other suggested grant has: applying it must not replace another grant.
///
/// Dots separate the parts. Namespaces have no dots, and projects have them only in a domain, whose colon becomes a dot. A parent has
/// slashes, so it makes no object's name and its number is used.
fn grant_name(namespace: &str, spec: &Spec, target: &Target) -> String {
    let (_, allowed) = unit(target);
    let allowed = allowed.replace(':', ".");
    let mut name = format!("{namespace}.{allowed}.{}", target.service);
    if spec.identity_kind() == IdentityKind::ServiceAccount {
        name += ".sa";
    }
    name
}

/// `spec.serviceAccountName` is set.
pub fn identity_not_supported(name: &str) -> String {
    cut(format!(
        "This controller cannot act as ServiceAccount {name}: an administrator has to set --workload-identity-provider; to use \
         the operator's identity, create an OperationCancellation without spec.serviceAccountName"
    ))
}

/// The API as people know it, such as `Kubernetes Engine API`.
fn api(target: Option<&Target>) -> String {
    target.map_or_else(
        || "API".to_owned(),
        |target| format!("{} API", target.product()),
    )
}

/// An operation of this API, such as `Kubernetes Engine operation`.
fn operation(target: Option<&Target>) -> String {
    target.map_or_else(
        || "operation".to_owned(),
        |target| format!("{} operation", target.product()),
    )
}

/// A failed call: of which API, which one, how it failed, and what to do.
pub fn failure(failure: &Failure, spec: &Spec) -> String {
    let failed = failed_call(failure, spec);
    if failure.error.kind == ErrorKind::Token {
        // It is no answer of the API.
        return cut(failed);
    }
    cut(format!("{}: {failed}", api(spec.target.as_ref().ok())))
}

/// GET and cancel returned INVALID_ARGUMENT, and the name does not tell the host.
pub fn another_host(failure: &Failure, target: Option<&Target>) -> String {
    let (service, endpoint) = target.map_or(("the service", "this one"), |target| {
        (target.service.as_str(), target.endpoint.as_str())
    });
    let status = failure.error.kind.name();
    let text = failure.error.message.trim_end_matches('.');
    let separator = if text.is_empty() { "" } else { ". " };
    cut(format!(
        "{}: get and cancel: {status}: another host than {endpoint} may serve the operation; an administrator can set \
         --endpoint-override for {service}{separator}{text}",
        api(target)
    ))
}

/// Which call failed, how, and what to do.
fn failed_call(failure: &Failure, spec: &Spec) -> String {
    let error = &failure.error;
    let call = match failure.call {
        Call::Get => "get",
        Call::Cancel => "cancel",
        Call::Token => "token",
    };
    let cure = cure(failure, spec);
    let text = error.message.trim_end_matches('.');
    if error.kind == ErrorKind::Token {
        // Its text says what to do, as in /readyz.
        let text = if text.is_empty() {
            "no token could be fetched"
        } else {
            text
        };
        return format!("{call}: {text}");
    }
    let separator = if text.is_empty() || cure.is_empty() {
        ""
    } else {
        ". "
    };
    let (status, reason) = (
        error.kind.name(),
        error
            .reason
            .as_deref()
            .map(|r| format!(" ({r})"))
            .unwrap_or_default(),
    );
    // What to do comes first: a long message of the server must not displace it.
    format!("{call}: {status}{reason}: {cure}{separator}{text}")
}

/// What people can do about a failure; empty if they can only wait.
fn cure(failure: &Failure, spec: &Spec) -> String {
    let error = &failure.error;
    let metadata = |key: &str| error.metadata.get(key).map(String::as_str);
    let permission = metadata("permission");
    let text = error_table::remedy(
        error.kind,
        failure.call,
        failure.meaning(spec.target.as_ref().ok()),
        error.reason.as_deref(),
        permission.is_some(),
    );
    if !text.contains('{') {
        return text.to_owned();
    }
    let target = spec.target.as_ref().ok();
    let right = right(target);
    let owner = owner(target);
    let place = place(target);
    let values = [
        ("{owner}", Some(owner.as_str())),
        ("{project}", target.and_then(Target::project)),
        (
            "{api_host}",
            metadata("service").or(target.and_then(Target::api_host)),
        ),
        ("{version}", target.map(|target| target.version.as_str())),
        ("{place}", Some(place.as_str())),
        ("{endpoint}", target.map(|target| target.endpoint.as_str())),
        ("{right}", Some(right.0.as_str())),
        ("{role_to_try}", Some(right.1.as_str())),
        (
            "{consumer}",
            metadata("consumer").or(Some("the identity's project")),
        ),
        ("{permission}", permission),
    ];
    values
        .into_iter()
        .fold(text.to_owned(), |text, (placeholder, value)| {
            text.replace(placeholder, value.unwrap_or("(none)"))
        })
}

/// What to grant if no source names the permission.
const A_ROLE: &str = "a role that can get and cancel operations";

/// What to grant to an identity: a role, with its permission if that is known, and the role to try first.
fn right(target: Option<&Target>) -> (String, String) {
    match target.and_then(Target::right) {
        Some(Right::Permission(permission)) => (format!("a role with {permission}"), String::new()),
        Some(Right::Role(role)) => (A_ROLE.to_owned(), format!("; try {role} first")),
        None => (A_ROLE.to_owned(), String::new()),
    }
}

/// What in a name leads to an endpoint: its location, if it has one.
fn place(target: Option<&Target>) -> String {
    match target.and_then(Target::location) {
        Some(location) => format!("the name, location {location}"),
        None => "the name".to_owned(),
    }
}

/// Where the operation is: its project, else its parent. If its name has neither, the text says only that there is a project.
fn owner(target: Option<&Target>) -> String {
    match target.map(|target| (target.project(), target.parent())) {
        Some((Some(project), _)) => format!("project {project}"),
        Some((None, Some(parent))) => parent.to_owned(),
        Some((None, None)) | None => "the operation's project".to_owned(),
    }
}

/// The message while nothing fails.
pub fn phase(reason: Reason, target: Option<&Target>) -> String {
    let (api, operation) = (api(target), operation(target));
    match reason {
        Reason::Observing => {
            format!("Reading the {operation} before the cancel request is sent")
        }
        Reason::Sending => format!("The cancel request is being sent to the {api}"),
        Reason::Polling => {
            format!("The {api} accepted the cancel request; waiting for the operation to end")
        }
        Reason::Refused => format!(
            "The {api} refused to cancel the operation for now; still polling, will ask again later"
        ),
        Reason::Unsupported => {
            format!("The {api} cannot cancel this operation; checking whether it is done")
        }
        Reason::Throttled => format!(
            "A quota of the {api} is exhausted; the request will be sent when the quota allows it"
        ),
        Reason::NamespaceRateLimited => {
            "This namespace has made as many calls to Google as it may for now (--namespace-calls-per-minute); the call for this \
             object waits for its turn, ahead of all polls"
                .to_owned()
        }
        _ => String::new(),
    }
}

/// How far the cancel request got, once an intent is recorded.
pub fn cancel_requested(reason: Reason, target: Option<&Target>) -> String {
    let api = api(target);
    match reason {
        Reason::Accepted => format!("The {api} accepted the cancel request"),
        Reason::Refused => format!("The {api} refused to cancel the operation"),
        Reason::Unsupported => format!("The {api} cannot cancel this operation"),
        _ => format!("It is not known whether the {api} accepted the cancel request"),
    }
}

/// A suspended object that was observed.
pub fn suspended(target: Option<&Target>) -> String {
    let operation = operation(target);
    format!(
        "Suspended: the {operation} is running and would be cancelled now; set spec.suspend to false to cancel it"
    )
}

/// The message of the outcome.
pub fn ending(
    ending: Ending,
    observed: Option<&ObservedOperation>,
    sent: Sent,
    last: Option<&Failure>,
    spec: Option<&Spec>,
) -> String {
    let target = spec.and_then(|spec| spec.target.as_ref().ok());
    let (api, operation) = (api(target), operation(target));
    let error = observed.and_then(|observed| observed.error.as_ref());
    let detail = error
        .map(|error| format!(": {}", error.message))
        .filter(|detail| detail.len() > 2)
        .unwrap_or_default();
    let text = match ending.outcome {
        Outcome::Cancelled => format!("The {operation} ended with CANCELLED{detail}"),
        Outcome::Completed if ending.no_result => {
            format!("The {operation} is done, without a response or an error")
        }
        Outcome::Completed => match sent {
            Sent::No => format!("The {operation} completed before a cancel request was sent"),
            Sent::Yes => {
                format!("The {operation} completed although the API accepted the cancel request")
            }
            Sent::NotAccepted => {
                format!("The {operation} completed; the API had not accepted the cancel request")
            }
            Sent::Perhaps => format!(
                "The {operation} completed; it is not known whether the cancel request arrived"
            ),
        },
        Outcome::Failed => {
            let status = error.map_or("an error", |error| error.status.as_str());
            format!("The {operation} failed with {status}{detail}")
        }
        Outcome::Ended => format!("The {operation} is done; the API does not say how it ended"),
        Outcome::NotFound => format!("The {api} does not know the operation: {}", check(target)),
        Outcome::Unsupported => format!(
            "The {api} cannot cancel this operation, and it was still running when last seen"
        ),
        Outcome::Rejected => format!("The {api} rejects the request as invalid"),
        Outcome::Unknown => format!(
            "The deadline passed without a final answer: the {operation} may still be running"
        ),
    };
    let why = match (ending.outcome, last, spec) {
        (Outcome::Unknown, Some(last), Some(spec)) => format!("; last {}", failed_call(last, spec)),
        (Outcome::Rejected, Some(last), Some(spec)) => {
            let place = spec.target.as_ref().map_or_else(
                |_| String::new(),
                |target| {
                    let of_location = |location| format!(" for location {location}");
                    let location = target.location().map(of_location).unwrap_or_default();
                    format!(" at {}{location}", target.endpoint)
                },
            );
            format!("{place}: {}", last.error.message)
        }
        _ => String::new(),
    };
    cut(format!("{text}{why}"))
}

/// What may be wrong with a name that the API does not know.
fn check(target: Option<&Target>) -> String {
    let mut parts = vec!["the name"];
    if target.is_some_and(|target| target.location().is_some()) {
        parts.push("the location");
    }
    if target.is_some_and(|target| target.project().is_some()) {
        parts.push("the project");
    }
    parts.push("spec.service");
    let last = parts.pop().unwrap_or_default();
    format!("check {} and {last}", parts.join(", "))
}

/// Whether the API had the cancel request when the operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The API accepted it.
    Yes,
    /// It was never sent.
    No,
    /// It was sent, and the API did not accept it.
    NotAccepted,
    /// It is not known.
    Perhaps,
}
