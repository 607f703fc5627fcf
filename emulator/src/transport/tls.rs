//! The emulator's own certificate authority, and the certificates of its servers: valid ones, and those that a client must
//! reject.

use std::{fmt, net::IpAddr, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::scenario::connection_fault::Certificate;

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A name is not valid in a certificate, or the system has no randomness for a key.
    #[error("cannot create a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// rustls rejects one of these certificates.
    #[error("rustls rejects the certificate: {0}")]
    Tls(#[from] rustls::Error),
}

/// The authority's certificate and the servers'.
pub struct Tls {
    authority: String,
    good: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
    other_host: Arc<ServerConfig>,
    unknown_authority: Arc<ServerConfig>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// A new authority, and certificates for these hosts (names, also with a leading `*.`, and IP addresses). Keys live in
    /// memory only.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn new(hosts: &[String]) -> Result<Self, TlsError> {
        let authority = authority("the authority of operations-emulator")?;
        let stranger = unknown_authority()?;
        let expired = |params: &mut CertificateParams| {
            params.not_before = rcgen::date_time_ymd(2019, 1, 1);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        };
        let other = ["other.invalid".to_owned()];
        Ok(Self {
            good: server(&authority, hosts, |_| ())?,
            expired: server(&authority, hosts, expired)?,
            other_host: server(&authority, &other, |_| ())?,
            unknown_authority: server(&stranger, hosts, |_| ())?,
            authority: authority.pem(),
        })
    }

    /// The authority's certificate (PEM), which clients must trust.
    pub fn authority_pem(&self) -> &str {
        &self.authority
    }

    /// The configuration of a connection with this certificate. The client chooses HTTP/2 or HTTP/1.1.
    pub(super) fn config(&self, shown: Certificate) -> Arc<ServerConfig> {
        Arc::clone(match shown {
            Certificate::Good => &self.good,
            Certificate::Expired => &self.expired,
            Certificate::OtherHost => &self.other_host,
            Certificate::UnknownAuthority => &self.unknown_authority,
        })
    }
}

/// The hosts of every emulator's certificate: loopback, its own address, and Google's.
pub(crate) fn usual_hosts(listens_on: IpAddr) -> Vec<String> {
    let mut hosts = ["localhost", "127.0.0.1", "::1", "*.googleapis.com"]
        .map(str::to_owned)
        .to_vec();
    let address = listens_on.to_string();
    if !hosts.contains(&address) && !listens_on.is_unspecified() {
        hosts.push(address);
    }
    hosts
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn unknown_authority() -> Result<Authority, rcgen::Error> {
    authority("an authority that nobody knows")
}

fn authority(name: &str) -> Result<Authority, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

fn server(
    authority: &Authority,
    hosts: &[String],
    spoil: impl FnOnce(&mut CertificateParams),
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    // Not the authority's name: for OpenSSL, a certificate with the name of its issuer is self-signed.
    params
        .distinguished_name
        .push(DnType::CommonName, "operations-emulator");
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    spoil(&mut params);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, authority)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
