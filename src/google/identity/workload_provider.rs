//! How Google knows the ServiceAccounts of this cluster: as those of a GKE cluster, of a member of a fleet, or by a provider of a
//! workload identity pool.
//!
//! Source of the audiences: Google's documentation of Workload Identity Federation for GKE, for fleets, and for Kubernetes.

use std::{fmt, str::FromStr};

use super::principal_name::pool_of_audience;

/// The value of `--workload-identity-provider`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadIdentityProvider {
    /// The GKE cluster that this process runs in. The metadata server knows its name.
    ThisGkeCluster,
    /// A provider whose name is given.
    Named(Audiences),
}

/// The audiences of the two tokens that a ServiceAccount's identity takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Audiences {
    /// The audience of the ServiceAccount's own token, which the API server issues.
    pub subject_token: String,
    /// The audience at Google's Security Token Service: the provider.
    pub exchange: String,
}

/// `--workload-identity-provider` has another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "use gke, projects/PROJECT/locations/LOCATION/clusters/CLUSTER (GKE), projects/PROJECT/locations/LOCATION/memberships/MEMBERSHIP (a fleet), or projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER"
)]
pub struct InvalidProvider;

/// How people and Google's tools begin the name of a provider.
const PREFIXES: [&str; 2] = ["https://iam.googleapis.com/", "//iam.googleapis.com/"];

/// Longest segment of a name, in bytes.
const LONGEST: usize = 63;

impl FromStr for WorkloadIdentityProvider {
    type Err = InvalidProvider;

    fn from_str(text: &str) -> Result<Self, InvalidProvider> {
        if text == "gke" {
            return Ok(Self::ThisGkeCluster);
        }
        let name = PREFIXES
            .into_iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        let segments: Vec<_> = name.split('/').collect();
        let audiences = match segments.as_slice() {
            [
                "projects",
                project,
                "locations",
                location,
                "clusters",
                cluster,
            ] => Audiences::of_gke(project, location, cluster),
            [
                "projects",
                project,
                "locations",
                location,
                "memberships",
                member,
            ] => Audiences::of_fleet(project, location, member),
            [
                "projects",
                number,
                "locations",
                "global",
                "workloadIdentityPools",
                pool,
                "providers",
                provider,
            ] => Audiences::of_provider(number, pool, provider),
            _ => None,
        };
        audiences.map(Self::Named).ok_or(InvalidProvider)
    }
}

impl Audiences {
    /// Those of a GKE cluster; `None` if a part of its name has characters that such names do not have.
    pub(super) fn of_gke(project: &str, location: &str, cluster: &str) -> Option<Self> {
        let cluster = format!("v1/projects/{project}/locations/{location}/clusters/{cluster}");
        Self::of_google(
            project,
            format!("https://container.googleapis.com/{cluster}"),
        )
    }

    fn of_fleet(project: &str, location: &str, member: &str) -> Option<Self> {
        let member = format!("projects/{project}/locations/{location}/memberships/{member}");
        Self::of_google(project, format!("https://gkehub.googleapis.com/{member}"))
    }

    /// The pool that Google itself has for each project with clusters.
    fn of_google(project: &str, provider: String) -> Option<Self> {
        let (_, name) = provider.split_once(".com/")?;
        let good = name.split('/').all(is_segment);
        let pool = format!("{project}.svc.id.goog");
        good.then(|| Self {
            exchange: format!("identitynamespace:{pool}:{provider}"),
            subject_token: pool,
        })
    }

    fn of_provider(number: &str, pool: &str, provider: &str) -> Option<Self> {
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        let good = digits && [number, pool, provider].into_iter().all(is_segment);
        let name = format!(
            "//iam.googleapis.com/projects/{number}/locations/global/workloadIdentityPools/{pool}/providers/{provider}"
        );
        good.then(|| Self {
            subject_token: name.clone(),
            exchange: name,
        })
    }

    /// Google's name for a ServiceAccount that acts for itself. In a pool of Google's it is `POOL[NAMESPACE/NAME]`, as in IAM
    /// bindings. In another pool, the provider's mapping decides the name, and only Google has the mapping. So the whole pool is named.
    pub fn principal(&self, namespace: &str, name: &str) -> String {
        let pool = pool_of_audience(&self.exchange).unwrap_or_default();
        if self.exchange.starts_with("identitynamespace:") {
            format!("{pool}[{namespace}/{name}]")
        } else {
            pool
        }
    }
}

impl fmt::Display for Audiences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.exchange)
    }
}

/// Whether a text can be a part of these names. A project with a domain cannot: the Security Token Service could read an audience with
/// its colon in two ways.
fn is_segment(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Audiences {
        match text.parse() {
            Ok(WorkloadIdentityProvider::Named(audiences)) => audiences,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn each_kind_has_its_audiences() {
        let gke = named("projects/acme-prod/locations/europe-west1/clusters/main");
        assert_eq!(gke.subject_token, "acme-prod.svc.id.goog");
        assert_eq!(
            gke.exchange,
            "identitynamespace:acme-prod.svc.id.goog:https://container.googleapis.com/v1/projects/acme-prod/locations/europe-west1/clusters/main"
        );
        assert_eq!(
            gke.principal("team", "deployer"),
            "acme-prod.svc.id.goog[team/deployer]"
        );
        let fleet = named("projects/acme-prod/locations/global/memberships/on-premises");
        assert_eq!(fleet.subject_token, "acme-prod.svc.id.goog");
        assert_eq!(
            fleet.exchange,
            "identitynamespace:acme-prod.svc.id.goog:https://gkehub.googleapis.com/projects/acme-prod/locations/global/memberships/on-premises"
        );
        let name = "projects/123/locations/global/workloadIdentityPools/clusters/providers/one";
        let provider = named(name);
        assert_eq!(
            provider.exchange,
            format!("//iam.googleapis.com/{name}"),
            "as STS wants it"
        );
        assert_eq!(provider.subject_token, provider.exchange);
        assert_eq!(
            provider.principal("team", "deployer"),
            "principalSet://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/clusters/*"
        );
        for pasted in [
            format!("//iam.googleapis.com/{name}"),
            format!("https://iam.googleapis.com/{name}"),
        ] {
            assert_eq!(named(&pasted), provider);
        }
        assert_eq!("gke".parse(), Ok(WorkloadIdentityProvider::ThisGkeCluster));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "GKE",
            "off",
            "projects/acme-prod",
            "projects/acme-prod/locations/europe-west1/clusters/",
            "projects/acme-prod/locations/europe-west1/clusters/a/b",
            "projects/acme-prod/locations/../clusters/a",
            "projects/example.com:acme/locations/europe-west1/clusters/a",
            "projects/acme/locations/global/workloadIdentityPools/p/providers/one",
            "projects/123/locations/europe/workloadIdentityPools/p/providers/one",
            "projects/123/locations/global/workloadIdentityPools/p/providers/one?x",
            "projects/123/locations/global/workloadIdentityPools/p",
            "http://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/one",
            "//sts.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/providers/one",
        ] {
            assert_eq!(
                text.parse::<WorkloadIdentityProvider>(),
                Err(InvalidProvider),
                "{text}"
            );
        }
    }
}
