//! Each of Google's servers with each kind of certificate: that of an unknown authority, for another host, expired, and with no
//! authorities on this machine at all. The environment names a proxy, which must not be used.
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
    time::{Duration, SystemTime},
};

use opcancel::google::{
    catalogue::resolve,
    client::{ClientConfig, OperationsClient},
    endpoint::EndpointOverrides,
    identity::{GoogleAccount, Secret, WorkloadIdentity, WorkloadIdentityConfig},
    operation_name::OperationName,
    request_reason::RequestReason,
    tls,
    token::Token,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use strum::VariantArray;
use tls_server::{Rules, Seen, TlsServer};

const SECRET: &str = "canary-of-the-token";
const FOLDER: &str = "OPCANCEL_TEST_FOLDER";
const NAME: &str = "projects/acme/locations/eu/operations/o-1";
const EMAIL: &str = "deployer@acme.iam.gserviceaccount.com";

#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
enum Hop {
    Sts,
    IamCredentials,
    Get,
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
enum Certificate {
    Good,
    OfAnUnknownAuthority,
    ForAnotherHost,
    Expired,
}

impl Certificate {
    /// What a message says of it.
    fn said(self, has_authorities: bool) -> Option<&'static str> {
        match self {
            _ if !has_authorities => Some("authorit"),
            Self::Good => None,
            Self::OfAnUnknownAuthority => Some("unknown authority"),
            Self::ForAnotherHost => Some("another host"),
            Self::Expired => Some("expired"),
        }
    }
}

/// An authority: its certificate, and what signs others.
fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

/// A server with this certificate, as it stands in the folder.
async fn server(certificate: Certificate, folder: &Path, http1: bool) -> TlsServer {
    let read = |what: &str| std::fs::read(folder.join(format!("{certificate:?}.{what}"))).unwrap();
    let rules = Rules {
        answer: Box::new(|_, _, segment| {
            let answer = match segment {
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
async fn call(hop: Hop, bad: &TlsServer, good: &TlsServer) -> Result<(), String> {
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
    let (sts, iam) = match hop {
        Hop::Sts => (bad, good),
        _ => (good, bad),
    };
    let identity = WorkloadIdentity::new(&WorkloadIdentityConfig {
        provider: "projects/acme/locations/eu/clusters/main".parse().unwrap(),
        metadata_host: None,
        sts: url(sts).parse().unwrap(),
        iam_credentials: url(iam).parse().unwrap(),
        scopes: vec!["scope".to_owned()],
        request_timeout: Duration::from_secs(10),
        https_proxy: None,
    })
    .map_err(|error| error.to_string())?;
    let audiences = identity.audiences().await.unwrap();
    let (token, account) = (Secret::new(SECRET), GoogleAccount::new(EMAIL).unwrap());
    let exchanged = identity.exchange(&audiences, &token, Some(&account));
    exchanged
        .await
        .map(drop)
        .map_err(|error| format!("{error} {error:?}"))
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
    std::fs::write(&ca_file, ca).unwrap();
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
            let http1 = matches!(hop, Hop::Sts | Hop::IamCredentials);
            let bad = server(*certificate, folder, http1).await;
            let good = server(Certificate::Good, folder, http1).await;
            let answered = call(*hop, &bad, &good).await;
            let said = certificate.said(has_authorities);
            match (&answered, said) {
                (Ok(()), None) => {}
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
