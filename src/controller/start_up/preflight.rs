//! Checks before the controller begins: the cluster can be reached, it has the CRDs with every field that is stored, and the
//! controller has its rights. What is missing may come later, so no check ends the process.

use std::{collections::BTreeSet, time::Duration};

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, Client, Error, api::PostParams};
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    api::{GROUP, VERSION, cancellation_crd, grant_crd},
    backoff::doubling,
    controller::{
        api_server::{
            api_answer::{Refused, within},
            kube_error::{self, APPLY_CRDS},
        },
        leadership::LeaderElection,
        rate_limited_warning::RateLimitedWarning,
    },
    google::catalogue,
    telemetry::health::Health,
};

/// The name of this step of the readiness.
pub const STEP: &str = "cluster";

const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Where the controller needs a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the whole cluster.
    Cluster,
    /// In the namespaces of `--watch-namespace`, or in the whole cluster.
    Watched,
    /// In the whole cluster, and only without `--watch-namespace`.
    ClusterIfAllWatched,
    /// Only in the namespaces of `--watch-namespace`, each on the namespace itself.
    WatchedNamespace,
}

/// The rights of the controller: verb, group, resource, subresource, and where.
const RIGHTS: [(&str, &str, &str, &str, Place); 10] = [
    ("list", GROUP, "operationcancellations", "", Place::Watched),
    ("watch", GROUP, "operationcancellations", "", Place::Watched),
    ("get", GROUP, "operationcancellations", "", Place::Watched),
    (
        "patch",
        GROUP,
        "operationcancellations",
        "status",
        Place::Watched,
    ),
    ("list", GROUP, "cancellationgrants", "", Place::Cluster),
    ("watch", GROUP, "cancellationgrants", "", Place::Cluster),
    ("create", "events.k8s.io", "events", "", Place::Watched),
    ("list", "", "namespaces", "", Place::ClusterIfAllWatched),
    ("watch", "", "namespaces", "", Place::ClusterIfAllWatched),
    ("get", "", "namespaces", "", Place::WatchedNamespace),
];

/// The rights of the controller for the Lease of the leader election.
const LEASE_RIGHTS: [&str; 4] = ["create", "get", "watch", "patch"];

const LEASE_GROUP: &str = "coordination.k8s.io";

/// Waits until all checks pass. Logs what is missing and what to do about it.
pub async fn wait(
    client: &Client,
    namespaces: &[String],
    election: Option<&LeaderElection>,
    health: &Health,
) {
    let mut warning = RateLimitedWarning::default();
    let mut failures = 0u32;
    loop {
        match check(client, namespaces, election).await {
            Ok(()) => break,
            Err(message) => {
                health.not_yet(STEP, message.as_str());
                warning.warn(&message);
            }
        }
        failures = failures.saturating_add(1);
        sleep(doubling(FIRST_PAUSE, LONGEST_PAUSE, failures)).await;
    }
    warning.resolved("everything that was missing in the cluster is there now");
    health.done(STEP);
}

async fn check(
    client: &Client,
    namespaces: &[String],
    election: Option<&LeaderElection>,
) -> Result<(), String> {
    check_schemas(client).await?;
    check_rights(client, namespaces).await?;
    match election {
        Some(election) => check_lease_rights(client, election).await,
        None => Ok(()),
    }
}

/// Checks that the served CRDs have every field that this program stores, in the OpenAPI schema.
async fn check_schemas(client: &Client) -> Result<(), String> {
    let path = format!("/openapi/v3/apis/{GROUP}/{VERSION}");
    let missing = format!("the CRDs are missing: {APPLY_CRDS}");
    let request = http::Request::get(&path)
        .body(Vec::new())
        .map_err(|error| error.to_string())?;
    let served: Value = match within(REQUEST_TIMEOUT, client.request(request)).await {
        Ok(served) => served,
        Err(Refused { error, .. }) => {
            return Err(match kube_error::code(&error) {
                Some(404) => missing,
                Some(401) => format!(
                    "the API server does not accept the credentials: {}",
                    kube_error::describe(&error)
                ),
                Some(403) => format!(
                    "the API server does not let the controller read {path}, which the ClusterRole opcancel-controller-grants allows: {}",
                    kube_error::describe(&error)
                ),
                _ => not_reached(&error),
            });
        }
    };
    let services: Vec<_> = catalogue::service_names().collect();
    for (kind, crd) in [
        ("OperationCancellation", cancellation_crd(&services)),
        ("CancellationGrant", grant_crd(&services)),
    ] {
        let schema = served_schema(&served, kind)
            .ok_or_else(|| format!("{missing} ({kind} is not served)"))?;
        let ours = crd
            .and_then(serde_json::to_value)
            .map_err(|error| error.to_string())?;
        let ours = ours
            .pointer("/spec/versions/0/schema/openAPIV3Schema")
            .unwrap_or(&Value::Null);
        let mut lacking = BTreeSet::new();
        lacking_fields(ours, schema, "", &mut lacking);
        if let Some(field) = lacking.first() {
            return Err(format!(
                "the CRD of {kind} is older than this controller (it lacks {field}{}): {APPLY_CRDS}",
                if lacking.len() > 1 {
                    format!(" and {} more fields", lacking.len() - 1)
                } else {
                    String::new()
                }
            ));
        }
    }
    Ok(())
}

/// The schema of a kind in an OpenAPI v3 document of our group.
fn served_schema<'a>(document: &'a Value, kind: &str) -> Option<&'a Value> {
    let schemas = document.pointer("/components/schemas")?.as_object()?;
    schemas.values().find(|schema| {
        let kinds = schema
            .get("x-kubernetes-group-version-kind")
            .and_then(Value::as_array);
        kinds.into_iter().flatten().any(|gvk| {
            gvk.get("kind").and_then(Value::as_str) == Some(kind)
                && gvk.get("group").and_then(Value::as_str) == Some(GROUP)
        })
    })
}

/// Collects the fields of `ours` that `theirs` lacks: the API server drops or refuses them.
fn lacking_fields(ours: &Value, theirs: &Value, path: &str, lacking: &mut BTreeSet<String>) {
    if let Some(properties) = ours.get("properties").and_then(Value::as_object) {
        for (name, schema) in properties {
            if path.is_empty() && matches!(name.as_str(), "metadata" | "apiVersion" | "kind") {
                continue;
            }
            let here = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            match theirs
                .get("properties")
                .and_then(|properties| properties.get(name))
            {
                Some(theirs) => lacking_fields(schema, theirs, &here, lacking),
                None => {
                    lacking.insert(here);
                }
            }
        }
    }
    if let (Some(ours), Some(theirs)) = (ours.get("items"), theirs.get("items")) {
        lacking_fields(ours, theirs, &format!("{path}[]"), lacking);
    }
}

/// Checks the permissions with SelfSubjectAccessReviews.
async fn check_rights(client: &Client, namespaces: &[String]) -> Result<(), String> {
    for (verb, group, resource, subresource, place) in RIGHTS {
        for namespace in place.namespaces(namespaces) {
            let named = namespace.filter(|_| place == Place::WatchedNamespace);
            let attributes = ResourceAttributes {
                verb: Some(verb.to_owned()),
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                subresource: (!subresource.is_empty()).then(|| subresource.to_owned()),
                namespace: namespace.cloned(),
                name: named.cloned(),
                ..ResourceAttributes::default()
            };
            if !is_allowed(client, attributes).await? {
                let what = if subresource.is_empty() {
                    resource.to_owned()
                } else {
                    format!("{resource}/{subresource}")
                };
                let group = if group.is_empty() { "core" } else { group };
                let place = namespace.map_or_else(String::new, |namespace| {
                    format!(" in namespace {namespace}")
                });
                return Err(not_allowed(&format!("{verb} {what} ({group}){place}")));
            }
        }
    }
    Ok(())
}

impl Place {
    /// The namespaces to check, each or the whole cluster, if these are watched.
    fn namespaces(self, watched: &[String]) -> Vec<Option<&String>> {
        let whole_cluster = vec![None];
        match self {
            Self::Cluster => whole_cluster,
            Self::Watched | Self::ClusterIfAllWatched if watched.is_empty() => whole_cluster,
            Self::ClusterIfAllWatched => Vec::new(),
            Self::Watched | Self::WatchedNamespace => watched.iter().map(Some).collect(),
        }
    }
}

/// Checks the permissions for the Lease of the leader election.
async fn check_lease_rights(client: &Client, election: &LeaderElection) -> Result<(), String> {
    let LeaderElection {
        namespace, lease, ..
    } = election;
    for verb in LEASE_RIGHTS {
        // A role cannot name an object that is to be created.
        let name = (verb != "create").then_some(lease);
        let attributes = ResourceAttributes {
            verb: Some(verb.to_owned()),
            group: Some(LEASE_GROUP.to_owned()),
            resource: Some("leases".to_owned()),
            namespace: Some(namespace.clone()),
            name: name.cloned(),
            ..ResourceAttributes::default()
        };
        if !is_allowed(client, attributes).await? {
            let what = name.map_or_else(|| "leases".to_owned(), |name| format!("the lease {name}"));
            let missing = format!("{verb} {what} ({LEASE_GROUP}) in namespace {namespace}");
            return Err(format!(
                "{}; or use --leader-elect=false if only one controller runs",
                not_allowed(&missing)
            ));
        }
    }
    Ok(())
}

/// Whether the API server allows a request.
async fn is_allowed(client: &Client, attributes: ResourceAttributes) -> Result<bool, String> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            non_resource_attributes: None,
        },
        ..SelfSubjectAccessReview::default()
    };
    let params = PostParams::default();
    match within(REQUEST_TIMEOUT, api.create(&params, &review)).await {
        Ok(answer) => Ok(answer.status.is_some_and(|status| status.allowed)),
        // Without reviews the requests themselves will show what is missing.
        Err(refused) if kube_error::code(&refused.error) == Some(403) => Ok(true),
        Err(refused) => Err(not_reached(&refused.error)),
    }
}

fn not_reached(error: &Error) -> String {
    let why = kube_error::describe(error);
    format!("the API server cannot be reached: {why}")
}

fn not_allowed(what: &str) -> String {
    format!(
        "the controller may not {what}: {}, and run as the ServiceAccount opcancel-controller",
        kube_error::ROLES
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_that_is_not_served_is_named_with_its_path() {
        let ours = json!({"properties": {
            "metadata": {"properties": {"x": {}}},
            "status": {"properties": {
                "outcome": {"type": "string"},
                "conditions": {"items": {"properties": {"type": {}, "newer": {}}}},
                "target": {"properties": {"endpoint": {}}},
            }},
        }});
        let theirs = json!({"properties": {
            "status": {"properties": {
                "outcome": {"type": "string"},
                "conditions": {"items": {"properties": {"type": {}, "another": {}}}},
            }},
        }});
        let mut lacking = BTreeSet::new();
        lacking_fields(&ours, &theirs, "", &mut lacking);
        assert_eq!(
            lacking.into_iter().collect::<Vec<_>>(),
            ["status.conditions[].newer", "status.target"]
        );
    }

    #[test]
    fn the_deployed_roles_give_exactly_these_rights() {
        let text = include_str!("../../../deploy/base/controller-role.yaml");
        let objects: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
        let texts = |list: &Value| -> Vec<String> {
            let list = list.as_array().unwrap().iter();
            list.map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        // What these checks themselves need.
        let own = [
            json!({"nonResourceURLs": [format!("/openapi/v3/apis/{GROUP}/{VERSION}")], "verbs": ["get"]}),
            json!({"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews"], "verbs": ["create"]}),
        ];
        let (mut given, mut found) = (BTreeSet::new(), 0);
        for role in objects.iter().filter(|role| role["kind"] == "ClusterRole") {
            for rule in role["rules"].as_array().unwrap() {
                if own.contains(rule) {
                    found += 1;
                    continue;
                }
                for resource in texts(&rule["resources"]) {
                    for verb in texts(&rule["verbs"]) {
                        let [group] = &texts(&rule["apiGroups"])[..] else {
                            panic!("one group a rule: {rule}");
                        };
                        given.insert((verb, group.clone(), resource.clone()));
                    }
                }
            }
        }
        let asked = RIGHTS.map(|(verb, group, resource, subresource, _)| {
            let resource = format!("{resource}/{subresource}");
            let resource = resource.trim_end_matches('/').to_owned();
            (verb.to_owned(), group.to_owned(), resource)
        });
        assert_eq!(given, BTreeSet::from(asked));
        assert_eq!(found, own.len());
    }

    #[test]
    fn our_own_crds_lack_nothing() {
        let services: Vec<_> = catalogue::service_names().collect();
        let crd = serde_json::to_value(cancellation_crd(&services).unwrap()).unwrap();
        let schema = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema")
            .unwrap();
        let mut lacking = BTreeSet::new();
        lacking_fields(schema, schema, "", &mut lacking);
        assert!(lacking.is_empty());
        lacking_fields(schema, &json!({}), "", &mut lacking);
        assert_eq!(lacking.into_iter().collect::<Vec<_>>(), ["spec", "status"]);
    }

    #[test]
    fn a_kind_is_found_by_its_group() {
        let gvk = |group: &str| json!([{"group": group, "kind": "CancellationGrant", "version": "v1alpha1"}]);
        let document = json!({"components": {"schemas": {
            "a": {"x-kubernetes-group-version-kind": gvk("elsewhere.example")},
            "b": {"x-kubernetes-group-version-kind": gvk(GROUP), "title": "ours"},
        }}});
        assert_eq!(
            served_schema(&document, "CancellationGrant").unwrap()["title"],
            "ours"
        );
        assert!(served_schema(&document, "OperationCancellation").is_none());
    }
}
