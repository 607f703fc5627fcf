//! The keys of one control plane: its own CA, the API server's certificate, the client
//! certificates and the key that signs ServiceAccount tokens.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A certificate for a client of the API server, as the two files that a kubeconfig names.
#[derive(Clone, Debug)]
pub(crate) struct ClientCertificate {
    /// PEM file with the certificate.
    pub(crate) certificate: PathBuf,
    /// PEM file with its key.
    pub(crate) key: PathBuf,
}

/// The control plane's certificate authority; its key lives in memory only.
pub(super) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new authority and writes its certificate to `ca.crt` in `folder`.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let mut parameters = parameters("opcancel test control plane", None, Vec::new())?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?;
        write_private(&folder.join("ca.crt"), &certificate.pem())?;
        Ok(Self {
            folder: folder.to_owned(),
            issuer: Issuer::new(parameters, key),
        })
    }

    /// Writes the API server's certificate for loopback: `apiserver.crt` and `apiserver.key`.
    pub(super) fn issue_server(&self) -> Result<()> {
        let names = [
            "localhost",
            "127.0.0.1",
            "kubernetes",
            "kubernetes.default.svc",
        ];
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = parameters("kube-apiserver", None, names)?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue("apiserver", parameters)?;
        Ok(())
    }

    /// Writes a client certificate of the user `name` in `group`: `FILE.crt` and `FILE.key`.
    pub(super) fn issue_client(
        &self,
        file: &str,
        name: &str,
        group: Option<&str>,
    ) -> Result<ClientCertificate> {
        let mut parameters = parameters(name, group, Vec::new())?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(file, parameters)
    }

    /// Writes the key pair that signs ServiceAccount tokens: `tokens.key` and `tokens.pub`.
    pub(super) fn issue_token_key(&self) -> Result<()> {
        let key = KeyPair::generate()?;
        write_private(&self.folder.join("tokens.key"), &key.serialize_pem())?;
        write_private(&self.folder.join("tokens.pub"), &key.public_key_pem())
    }

    fn issue(&self, file: &str, mut parameters: CertificateParams) -> Result<ClientCertificate> {
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.use_authority_key_identifier_extension = true;
        let key_pair = KeyPair::generate()?;
        let signed = parameters.signed_by(&key_pair, &self.issuer)?;
        let certificate = self.folder.join(format!("{file}.crt"));
        let key = self.folder.join(format!("{file}.key"));
        write_private(&certificate, &signed.pem())?;
        write_private(&key, &key_pair.serialize_pem())?;
        Ok(ClientCertificate { certificate, key })
    }
}

/// Writes a file that only this user can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        file.write_all(text.as_bytes())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// What every certificate has: a subject and a life of a year, from yesterday on.
fn parameters(name: &str, group: Option<&str>, names: Vec<String>) -> Result<CertificateParams> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        parameters
            .distinguished_name
            .push(DnType::OrganizationName, group);
    }
    let day = |days: i64| {
        let date = (Timestamp::now() + SignedDuration::from_hours(24 * days))
            .to_zoned(TimeZone::UTC)
            .date();
        rcgen::date_time_ymd(i32::from(date.year()), date.month() as u8, date.day() as u8)
    };
    parameters.not_before = day(-1);
    parameters.not_after = day(365);
    Ok(parameters)
}
