//! Each server that the controller speaks TLS with, with each kind of certificate: that of an unknown authority, for another host, expired,
//! and with no authorities on this machine at all. The environment names a proxy, which must not be used. The metadata server is missing:
//! it speaks plain HTTP.
//!
//! Authorities and proxies are read from the environment: the test runs itself again with others.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

#[path = "support/tls_server.rs"]
mod tls_server;

use std::{
    ffi::OsStr,
    net::TcpListener,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use kube::{Client, Config};
use opcancel::{
    controller::{
        clock::Clock,
        tenant_tokens::{AtHand, TenantTokens},
    },
    google::{
        catalogue::resolve,
        client::{ClientConfig, OperationsClient},
        endpoint::EndpointOverrides,
        identity::{CacheLimits, GoogleAccount, Secret, WorkloadIdentity, WorkloadIdentityConfig},
        operation_name::OperationName,
        proxy::{HttpsProxy, ProxyUrl},
        request_reason::RequestReason,
        tls,
        token::Token,
    },
    telemetry::metrics::Metrics,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use serde_json::json;
use strum::VariantArray;
use tls_server::{Rules, Seen, TlsServer, is_request};

const SECRET: &str = "canary-of-the-token";
const FOLDER: &str = "OPCANCEL_TEST_FOLDER";
const NAME: &str = "projects/acme/locations/eu/operations/o-1";
const EMAIL: &str = "deployer@acme.iam.gserviceaccount.com";

#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
enum Hop {
    /// Reading the ServiceAccount, and TokenRequest: one host, one certificate.
    ApiServer,
    Sts,
    IamCredentials,
    Get,
    Cancel,
    /// The proxy of `--https-proxy`, on the way to the Security Token Service.
    Proxy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
enum Certificate {
    Good,
    OfAnUnknownAuthority,
    ForAnotherHost,
    Expired,
}

impl Certificate {
    /// What a message says of it. That of the API server is the message of rustls.
    fn said(self, hop: Hop, has_authorities: bool) -> Option<&'static str> {
        let of_rustls = hop == Hop::ApiServer && has_authorities;
        match self {
            Self::OfAnUnknownAuthority if of_rustls => Some("UnknownIssuer"),
            Self::ForAnotherHost if of_rustls => Some("not valid for name"),
            _ if !has_authorities => Some("authorit"),
            Self::Good => None,
            Self::OfAnUnknownAuthority => Some("unknown authority"),
            Self::ForAnotherHost => Some("another host"),
            Self::Expired => Some("expired"),
        }
    }
}

/// An authority: its certificate, and what signs others.
fn authority(name: &str) -> (rcgen::Certificate, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    (made, Issuer::new(params, key))
}

/// The token of a ServiceAccount, as far as the controller reads it.
fn subject_token() -> String {
    let claims = json!({"kubernetes.io": {"serviceaccount": {"uid": "u"}}});
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("eyJhbGciOiJub25lIn0.{claims}.{SECRET}")
}

/// What the API server answers.
fn of_api_server(segment: &str) -> String {
    let answer = match segment {
        "token" => json!({"status": {"token": subject_token()}}),
        _ => json!({"metadata": {"namespace": "team", "name": "deployer", "uid": "u",
            "annotations": {"iam.gke.io/gcp-service-account": EMAIL}}}),
    };
    answer.to_string()
}

/// A server of this hop with this certificate, as it stands in the folder.
async fn server(hop: Hop, certificate: Certificate, folder: &Path) -> TlsServer {
    let http1 = !matches!(hop, Hop::Get | Hop::Cancel);
    let read = |what: &str| std::fs::read(folder.join(format!("{certificate:?}.{what}"))).unwrap();
    let rules = Rules {
        answer: Box::new(move |_, _, segment| {
            let answer = match segment {
                _ if hop == Hop::ApiServer => of_api_server(segment),
                "token" => format!(r#"{{"access_token":"ya29.{SECRET}","expires_in":3600}}"#),
                "o-1" => format!(r#"{{"name":"{NAME}"}}"#),
                "o-1:cancel" => "{}".to_owned(),
                _ => format!(
                    r#"{{"accessToken":"ya29.{SECRET}","expireTime":"2100-01-01T00:00:00Z"}}"#
                ),
            };
            Box::pin(async { answer })
        }),
        http1,
        ..Rules::default()
    };
    TlsServer::start_with(rules, read("cert").into(), read("key").into()).await
}

/// Calls a hop whose server has this certificate. The other hops' servers have a good one.
async fn call(
    hop: Hop,
    bad: &TlsServer,
    good: &TlsServer,
    cluster: Option<Vec<u8>>,
) -> Result<(), String> {
    let url = |server: &TlsServer| format!("https://localhost:{}", server.address.port());
    if matches!(hop, Hop::Get | Hop::Cancel) {
        let client = OperationsClient::new(ClientConfig::default()).unwrap();
        let overriding = format!("dialogflow={}", url(bad)).parse().unwrap();
        let overrides = EndpointOverrides::new([overriding]);
        let name = OperationName::parse(NAME).unwrap();
        let target = resolve("dialogflow", None, &name, &overrides).unwrap();
        let token = Token::new(&format!("ya29.{SECRET}")).unwrap();
        let (reason, now) = (RequestReason::new("", "n", "n", "u"), SystemTime::now());
        let answered = match hop {
            Hop::Cancel => client.cancel(&target, &reason, &token, now).await,
            _ => client.get(&target, &reason, &token, now).await.map(drop),
        };
        return answered.map_err(|error| format!("{} {error:?}", error.message));
    }
    let through = (hop == Hop::Proxy).then(|| url(bad));
    let (sts, iam) = match hop {
        Hop::Sts => (url(bad), url(good)),
        Hop::IamCredentials => (url(good), url(bad)),
        Hop::Proxy => ("https://sts.googleapis.com".to_owned(), url(good)),
        _ => (url(good), url(good)),
    };
    let identity = WorkloadIdentity::new(&WorkloadIdentityConfig {
        provider: "projects/acme/locations/eu/clusters/main".parse().unwrap(),
        metadata_host: None,
        sts: sts.parse().unwrap(),
        iam_credentials: iam.parse().unwrap(),
        scopes: vec!["scope".to_owned()],
        request_timeout: Duration::from_secs(10),
        https_proxy: through.map(|url| HttpsProxy::new(&ProxyUrl::from(url.as_str())).unwrap()),
    })
    .map_err(|error| error.to_string())?;
    if hop == Hop::ApiServer {
        return of_tenant(&url(bad), identity, cluster).await;
    }
    let audiences = identity.audiences().await.unwrap();
    let (token, account) = (Secret::new(SECRET), GoogleAccount::new(EMAIL).unwrap());
    let exchanged = identity.exchange(&audiences, &token, Some(&account));
    exchanged
        .await
        .map(drop)
        .map_err(|error| format!("{error} {error:?}"))
}

/// Obtains the token of a ServiceAccount from this API server. `cluster` is the authority that the kubeconfig names.
async fn of_tenant(
    api_server: &str,
    identity: WorkloadIdentity,
    cluster: Option<Vec<u8>>,
) -> Result<(), String> {
    let mut config = Config::new(api_server.parse().unwrap());
    config.default_retry = false;
    config.root_cert = cluster.map(|authority| vec![authority]);
    let client = Client::try_from(config).map_err(|error| error.to_string())?;
    let (clock, metrics) = (Clock::start(), Arc::<Metrics>::default());
    let limits = CacheLimits::default();
    let tenants = TenantTokens::new(client, identity, clock.clone(), metrics, limits);
    let since = clock.mono();
    let obtained = tenants.obtain("team", "deployer", since).await;
    obtained.map_err(|error| error.to_string())?;
    match tenants.at_hand("team", "deployer", since) {
        AtHand::Token(_) => Ok(()),
        AtHand::Failed(error) => Err(format!("{error} {error:?}")),
        AtHand::Nothing => Err("nothing is at hand".to_owned()),
    }
}

#[test]
fn no_token_goes_to_a_server_with_a_wrong_certificate() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let has_authorities = std::env::var_os("SSL_CERT_FILE").unwrap() != *"/dev/null";
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(every_cell(Path::new(&folder), has_authorities));
    }
    let folder = tempfile::tempdir().unwrap();
    let (ca, issuer) = authority("trusted");
    let (_, stranger) = authority("stranger");
    for certificate in Certificate::VARIANTS {
        let host = match certificate {
            Certificate::ForAnotherHost => "other.example",
            _ => "localhost",
        };
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        if *certificate == Certificate::Expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let issuer = match certificate {
            Certificate::OfAnUnknownAuthority => &stranger,
            _ => &issuer,
        };
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, issuer).unwrap();
        let write = |what: &str, bytes: &[u8]| {
            std::fs::write(folder.path().join(format!("{certificate:?}.{what}")), bytes).unwrap();
        };
        write("cert", made.der());
        write("key", &key.serialize_der());
    }
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(folder.path().join("ca.der"), ca.der()).unwrap();
    std::fs::write(&ca_file, ca.pem()).unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
    for authorities in [ca_file.as_os_str(), OsStr::new("/dev/null")] {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        for variable in [
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
        ] {
            again.env(variable, &proxy_url);
        }
        again
            .args([
                "--exact",
                "no_token_goes_to_a_server_with_a_wrong_certificate",
            ])
            .env(FOLDER, folder.path())
            .env("SSL_CERT_FILE", authorities)
            .env_remove("SSL_CERT_DIR");
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}"
        );
    }
    assert!(proxy.accept().is_err(), "the environment's proxy was used");
}

async fn every_cell(folder: &Path, has_authorities: bool) {
    tls::install_provider();
    for hop in Hop::VARIANTS {
        for certificate in Certificate::VARIANTS {
            let bad = server(*hop, *certificate, folder).await;
            let good = server(Hop::Sts, Certificate::Good, folder).await;
            let authority = std::fs::read(folder.join("ca.der")).unwrap();
            let cluster = has_authorities.then_some(authority);
            let answered = call(*hop, &bad, &good, cluster).await;
            let said = certificate.said(*hop, has_authorities);
            match (&answered, said) {
                (Ok(()), None) if *hop != Hop::Proxy => {}
                // It trusts the proxy, behind which there is nothing.
                (Err(error), None) if *hop == Hop::Proxy => {
                    assert!(!error.contains(SECRET), "{error}");
                    let asked = bad.count(|seen| is_request(seen, "CONNECT"));
                    assert_eq!(asked, 1, "{error}");
                }
                (Err(error), Some(said)) => {
                    assert!(error.contains(said), "{hop:?} x {certificate:?}: {error}");
                    assert!(
                        !error.contains(SECRET),
                        "{hop:?} x {certificate:?}: {error}"
                    );
                    let requests = bad.count(|seen| matches!(seen, Seen::Request(..)));
                    assert_eq!(requests, 0, "{hop:?} x {certificate:?}");
                }
                _ => panic!("{hop:?} x {certificate:?}: {answered:?}"),
            }
        }
    }
}
