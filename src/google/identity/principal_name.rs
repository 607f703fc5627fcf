//! Google's names for identities, and which of them are acceptable (docs/identity.md#gke).
//!
//! Source of the forms: Google's IAM documentation, "Principal identifiers".

/// What a node's own service account ends with, by default with the Editor role.
const NODE_ACCOUNT: &str = "-compute@developer.gserviceaccount.com";

/// Longest e-mail address (RFC 5321): 64 before the @, 255 after it.
const MAX_EMAIL: usize = 320;

/// Whether a text has the form of a service account's e-mail address, or of what GKE's metadata server says in its place
/// for a workload that is a principal itself (`PROJECT.svc.id.goog`). Such a text needs no encoding in a URL's path.
pub(super) fn is_account(text: &str) -> bool {
    (1..=MAX_EMAIL).contains(&text.len())
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'@' | b'.' | b'-' | b'_' | b'+' | b':')
        })
}

/// Whether such a text is the name of an identity, not just any word.
fn is_identity_name(account: &str) -> bool {
    account.contains('@') || account.ends_with(".svc.id.goog")
}

/// What can be said of the identity behind an STS audience before anybody asked: which pool it belongs to. The subject in
/// that pool is what the provider's attribute mapping makes of the subject token, which only Google knows.
///
/// `principalSet://iam.googleapis.com/.../POOL/*` for a pool's provider, and `PROJECT.svc.id.goog` for a fleet or GKE.
pub(super) fn pool_of_audience(audience: &str) -> Option<String> {
    if let Some(rest) = audience.strip_prefix("identitynamespace:") {
        let (pool, _) = rest.split_once(':')?;
        return is_account(pool).then(|| pool.to_owned());
    }
    let name = audience.strip_prefix("//iam.googleapis.com/")?;
    let (pool, provider) = name.split_once("/providers/")?;
    let parts: Vec<_> = pool.split('/').collect();
    let known = matches!(
        parts.as_slice(),
        ["projects", _, "locations", _, "workloadIdentityPools", _]
            | ["locations", _, "workforcePools", _]
    );
    let good = known && !provider.is_empty() && parts.iter().all(|part| is_account(part));
    good.then(|| format!("principalSet://iam.googleapis.com/{pool}/*"))
}

/// Whether an audience names a workforce pool: such identities belong to no project.
pub(super) fn is_workforce(audience: &str) -> bool {
    pool_of_audience(audience).is_some_and(|pool| pool.contains("/workforcePools/"))
}

/// Refuses an unexpected identity of the metadata server.
///
/// # Errors
/// With the whole sentence.
pub(super) fn check_metadata(email: &str, expected: Option<&str>) -> Result<(), String> {
    match expected {
        Some(expected) if expected == email => Ok(()),
        Some(expected) => Err(format!(
            "the metadata server's identity is {email}, but {expected} is expected (--expect-principal); no call is made"
        )),
        None if email.ends_with(NODE_ACCOUNT) => Err(format!(
            "the metadata server returns the node's own service account {email}, because Workload Identity is not active here (hostNetwork, or a node pool without GKE_METADATA); no call is made with it"
        )),
        None if !is_identity_name(email) => Err(format!(
            "the metadata server's identity is {email}, which is not a Google identity; no call is made (if it is one, set --expect-principal)"
        )),
        None => Ok(()),
    }
}

/// Refuses a file for another identity than the expected one, or one that does not name its identity.
///
/// # Errors
/// With the whole sentence.
pub(super) fn check_file(
    source: &str,
    principal: Option<&str>,
    expected: Option<&str>,
) -> Result<(), String> {
    match (expected, principal) {
        (None, _) => Ok(()),
        (Some(expected), Some(principal)) if expected == principal => Ok(()),
        (Some(expected), Some(principal)) => Err(format!(
            "the identity of {source} is {principal}, but {expected} is expected (--expect-principal){}",
            if principal.contains('@') {
                ""
            } else {
                "; to act as a service account, add the field service_account_impersonation_url"
            }
        )),
        (Some(_), None) => Err(format!(
            "{source} does not name its identity, so --expect-principal cannot be checked; use a file that names a service account (external_account with service_account_impersonation_url, impersonated_service_account or service_account), or remove --expect-principal"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_identity_that_was_meant_is_used() {
        const NODE: &str = "123-compute@developer.gserviceaccount.com";
        const OWN: &str = "opcancel@acme.iam.gserviceaccount.com";
        for (email, expected, good) in [
            (OWN, None, true),
            (OWN, Some(OWN), true),
            (OWN, Some("other@acme.iam.gserviceaccount.com"), false),
            (OWN, Some(""), false),
            (NODE, None, false),
            (NODE, Some(NODE), true),
            (NODE, Some(OWN), false),
            ("acme.svc.id.goog", None, true),
            ("default", None, false),
            ("default", Some("default"), true),
        ] {
            assert_eq!(
                check_metadata(email, expected).is_ok(),
                good,
                "{email} {expected:?}"
            );
        }
    }

    #[test]
    fn a_file_speaks_for_whom_it_names_or_is_refused() {
        const OWN: &str = "opcancel@acme.iam.gserviceaccount.com";
        const POOL: &str = "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/*";
        for (principal, expected, good) in [
            (Some(OWN), None, true),
            (None, None, true),
            (Some(OWN), Some(OWN), true),
            (Some(POOL), Some(POOL), true),
            (Some(POOL), Some(OWN), false),
            (Some(OWN), Some(""), false),
            (None, Some(OWN), false),
            (None, Some(""), false),
        ] {
            let checked = check_file("the file", principal, expected);
            assert_eq!(checked.is_ok(), good, "{principal:?} {expected:?}");
        }
    }

    #[test]
    fn an_audience_tells_the_pool_and_no_more() {
        for (audience, pool) in [
            (
                "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/clusters/providers/one",
                Some(
                    "principalSet://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/clusters/*",
                ),
            ),
            (
                "//iam.googleapis.com/locations/global/workforcePools/staff/providers/oidc",
                Some("principalSet://iam.googleapis.com/locations/global/workforcePools/staff/*"),
            ),
            (
                "identitynamespace:acme.svc.id.goog:https://gkehub.googleapis.com/projects/acme/locations/global/memberships/m",
                Some("acme.svc.id.goog"),
            ),
            (
                "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/clusters",
                None,
            ),
            (
                "//iam.googleapis.com/projects/1 2/locations/global/workloadIdentityPools/c/providers/o",
                None,
            ),
            ("identitynamespace:acme", None),
            ("", None),
        ] {
            assert_eq!(pool_of_audience(audience).as_deref(), pool, "{audience}");
            assert_eq!(is_workforce(audience), audience.contains("workforce"));
        }
    }
}
