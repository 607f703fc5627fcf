//! The one TLS provider of the process, and the certificate authorities of `--ca-file`.

use reqwest::Certificate;

use super::{byte_order_mark::without_mark, network_error};

/// Installs ring as the provider for every TLS connection of the process. To be called first of all: the HTTP clients
/// come without a provider of their own, and with two of them the first connection would panic. Calling it again, or
/// after somebody else installed one, changes nothing.
pub fn install_provider() {
    // An error means that one is installed already, which is what was asked for.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Whether this system has certificate authorities. Without them only endpoint overrides can be called.
///
/// # Errors
/// With what is missing, in words.
pub fn find_authorities() -> Result<(), String> {
    let built = reqwest::Client::builder().https_only(true).build();
    built
        .map(drop)
        .map_err(|error| network_error::describe(error, &[]))
}

/// Why the contents of `--ca-file` are no certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--ca-file: {0}; expected certificates in PEM, each from -----BEGIN CERTIFICATE-----")]
pub struct InvalidCaFile(String);

/// The certificates of a `--ca-file`, from its contents.
///
/// # Errors
/// If there is none in it, or one cannot be read.
pub fn read_ca_file(pem: &[u8]) -> Result<Vec<Certificate>, InvalidCaFile> {
    let pem = without_mark(pem).map_err(InvalidCaFile)?;
    let certificates = Certificate::from_pem_bundle(pem)
        .map_err(|_| InvalidCaFile("a certificate cannot be read".to_owned()))?;
    if certificates.is_empty() {
        return Err(InvalidCaFile("there is no certificate in it".to_owned()));
    }
    let mut roots = rustls::RootCertStore::empty();
    for der in pem_certificates(pem)? {
        roots
            .add(der)
            .map_err(|_| InvalidCaFile("a certificate is not a valid one".to_owned()))?;
    }
    Ok(certificates)
}

fn pem_certificates(
    pem: &[u8],
) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, InvalidCaFile> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| InvalidCaFile("a certificate cannot be read".to_owned()))
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
                "not a valid one",
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
