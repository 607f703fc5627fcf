//! The TLS provider of the process, the trusted certificate authorities, and `--ca-file`.

use rustls::{
    ClientConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject},
};
use rustls_platform_verifier::Verifier;
#[cfg(test)]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::network_error;
use crate::google::byte_order_mark::without_mark;

/// Installs ring as the provider for every TLS connection of the process. It must be called first: the HTTP clients have no provider of
/// their own, and with two providers the first connection would panic. If a provider is installed already, it does nothing.
pub fn install_provider() {
    // An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether this system has certificate authorities. Without them only endpoint overrides can be called.
///
/// # Errors
/// With what is missing.
pub fn find_authorities() -> Result<(), String> {
    let made = Trust::new(Vec::new(), false).configuration(false);
    made.map(drop)
        .map_err(|error| network_error::tls_failure(&error))
}

/// The trusted authorities, with TLS 1.2 or newer: the system's, and for endpoint overrides also those of `--ca-file`. They are read
/// once, because that takes some milliseconds of CPU time. Connections with the same configuration resume each other's sessions.
#[derive(Debug)]
pub(in crate::google) struct Trust {
    /// For the catalogue's hosts.
    catalogue: Configured,
    /// For endpoint overrides, if they trust more.
    overrides: Option<Configured>,
    /// For a proxy that is itself reached over TLS.
    proxy: Configured,
    #[cfg(test)]
    built: AtomicUsize,
}

/// A configuration that is built at first use. A failure is not cached: the authorities may be mounted later.
#[derive(Debug)]
struct Configured {
    more_roots: Vec<CertificateDer<'static>>,
    protocols: &'static [&'static [u8]],
    made: Mutex<Option<Arc<ClientConfig>>>,
}

impl Trust {
    /// Reads nothing yet.
    pub fn new(override_roots: Vec<CertificateDer<'static>>, http1_only: bool) -> Self {
        const HTTP1: &[&[u8]] = &[b"http/1.1"];
        let protocols: &[&[u8]] = if http1_only {
            HTTP1
        } else {
            &[b"h2", b"http/1.1"]
        };
        let configured = |protocols, more_roots| Configured {
            more_roots,
            protocols,
            made: Mutex::default(),
        };
        Self {
            catalogue: configured(protocols, Vec::new()),
            overrides: (!override_roots.is_empty()).then(|| configured(protocols, override_roots)),
            proxy: configured(HTTP1, Vec::new()),
            #[cfg(test)]
            built: AtomicUsize::new(0),
        }
    }

    /// The configuration for an endpoint override or for a host of the catalogue.
    ///
    /// # Errors
    /// If this system has no certificate authorities.
    pub fn configuration(&self, overridden: bool) -> Result<Arc<ClientConfig>, rustls::Error> {
        let which = match &self.overrides {
            Some(overrides) if overridden => overrides,
            _ => &self.catalogue,
        };
        self.made(which)
    }

    /// What to connect with, to a proxy that speaks TLS itself.
    ///
    /// # Errors
    /// If this system has no certificate authorities.
    pub fn proxy_configuration(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        self.made(&self.proxy)
    }

    fn made(&self, which: &Configured) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut made = which.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref() {
            return Ok(made.clone());
        }
        #[cfg(test)]
        self.built.fetch_add(1, Ordering::Relaxed);
        let new = Arc::new(which.make()?);
        *made = Some(new.clone());
        Ok(new)
    }

    /// How often authorities were read.
    #[cfg(test)]
    pub fn built(&self) -> usize {
        self.built.load(Ordering::Relaxed)
    }
}

impl Configured {
    fn make(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = CryptoProvider::get_default()
            .cloned()
            .unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()));
        let verifier = Verifier::new_with_extra_roots(self.more_roots.clone(), provider.clone())?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            // As strict as rustls' own verifier: it is that one, with the system's authorities.
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = self.protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

/// Why the contents of `--ca-file` are no certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--ca-file: {0}; use PEM certificates, each starting with -----BEGIN CERTIFICATE-----")]
pub struct InvalidCaFile(String);

/// The certificates of a `--ca-file`, from its contents.
///
/// # Errors
/// If it contains none, or one cannot be read.
pub fn read_ca_file(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidCaFile> {
    let pem = without_mark(pem).map_err(InvalidCaFile)?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| InvalidCaFile("a certificate cannot be read".to_owned()))?;
    if certificates.is_empty() {
        return Err(InvalidCaFile("it contains no certificate".to_owned()));
    }
    let mut roots = rustls::RootCertStore::empty();
    for der in &certificates {
        roots
            .add(der.clone())
            .map_err(|_| InvalidCaFile("a certificate is invalid".to_owned()))?;
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_twice_is_harmless() {
        install_provider();
        install_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }

    #[test]
    fn a_byte_order_mark_hides_no_certificate() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pem = made.cert.pem();
        for text in [
            format!("\u{feff}{pem}"),
            format!("\u{feff}{pem}{pem}"),
            pem.clone(),
        ] {
            let expected = text.matches("BEGIN").count();
            assert_eq!(read_ca_file(text.as_bytes()).unwrap().len(), expected);
        }
        let utf16: Vec<u8> = pem.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let error = read_ca_file(&utf16).unwrap_err().to_string();
        assert!(error.contains("it is in UTF-16"), "{error}");
    }

    #[test]
    fn what_holds_no_certificate_is_refused() {
        for (pem, said) in [
            ("", "no certificate"),
            ("hello", "no certificate"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "is invalid",
            ),
            (
                "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
                "cannot be read",
            ),
        ] {
            let error = read_ca_file(pem.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{pem}: {error}");
        }
    }
}
