//! The flags that say how the controller acts as tenants' ServiceAccounts.

use std::time::Duration;

use clap::Args;

use crate::{
    controller::TenantIdentities,
    duration_text::within,
    google::{
        UniverseDomain,
        identity::{
            CacheLimits, Environment, TokenEndpoint, WorkloadIdentity, WorkloadIdentityConfig,
            WorkloadIdentityProvider,
        },
        proxy::HttpsProxy,
        token::TokenError,
    },
};

/// Time limit of one request to a token server for a ServiceAccount's identity.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How the controller acts as ServiceAccounts.
#[derive(Args, Clone, Debug)]
pub struct WorkloadIdentityArguments {
    /// Turns on spec.serviceAccountName, and says how Google knows this cluster's ServiceAccounts: `gke` (this GKE cluster),
    /// projects/PROJECT/locations/LOCATION/clusters/CLUSTER (GKE), projects/PROJECT/locations/LOCATION/memberships/MEMBERSHIP (a
    /// fleet), or projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER. Default: off
    #[arg(
        long,
        value_name = "PROVIDER",
        env = "OPCANCEL_WORKLOAD_IDENTITY_PROVIDER"
    )]
    pub workload_identity_provider: Option<WorkloadIdentityProvider>,

    /// How long the controller uses a token of a ServiceAccount's identity at most (10s to 1h). It never uses one for more than 80 % of
    /// its lifetime
    #[arg(long, value_name = "DURATION", env = "OPCANCEL_SERVICE_ACCOUNT_TOKEN_MAX_AGE", default_value = "12m", value_parser = within("10s", "1h"), allow_hyphen_values = true)]
    pub service_account_token_max_age: Duration,

    /// URL of Google's Security Token Service for ServiceAccounts: https and a host; http only for loopback. Default: sts in the domain of
    /// --universe-domain
    #[arg(long, value_name = "URL", env = "OPCANCEL_STS_ENDPOINT")]
    pub sts_endpoint: Option<TokenEndpoint>,

    /// URL of Google's IAM Credentials API for ServiceAccounts: https and a host; http only for loopback. Default: iamcredentials in the
    /// domain of --universe-domain
    #[arg(long, value_name = "URL", env = "OPCANCEL_IAM_CREDENTIALS_ENDPOINT")]
    pub iam_credentials_endpoint: Option<TokenEndpoint>,
}

impl WorkloadIdentityArguments {
    /// The identities of ServiceAccounts; none without `--workload-identity-provider`.
    ///
    /// # Errors
    /// If there are no certificate authorities, or `GCE_METADATA_HOST` is no host.
    pub fn tenants(
        self,
        environment: &Environment,
        scopes: &[String],
        https_proxy: Option<&HttpsProxy>,
        universe: &UniverseDomain,
    ) -> Result<Option<TenantIdentities>, TokenError> {
        let Some(provider) = self.workload_identity_provider else {
            return Ok(None);
        };
        let identity = WorkloadIdentity::new(&WorkloadIdentityConfig {
            provider,
            metadata_host: environment.metadata_host.clone(),
            sts: (self.sts_endpoint).unwrap_or_else(|| TokenEndpoint::in_universe("sts", universe)),
            iam_credentials: (self.iam_credentials_endpoint)
                .unwrap_or_else(|| TokenEndpoint::in_universe("iamcredentials", universe)),
            scopes: scopes.to_vec(),
            request_timeout: TOKEN_TIMEOUT,
            https_proxy: https_proxy.cloned(),
        })?;
        let limits = CacheLimits {
            max_age: self.service_account_token_max_age,
            ..CacheLimits::default()
        };
        Ok(Some(TenantIdentities { identity, limits }))
    }
}
