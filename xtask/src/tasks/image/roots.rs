//! The certificate authorities of the image: Mozilla's, from a crate that `Cargo.lock` pins. The build machine's own
//! would differ from machine to machine, and may hold an authority that is nobody else's business.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Certificates in PEM, for `/etc/ssl/certs/ca-certificates.crt`.
pub(super) fn bundle() -> String {
    let mut pem = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut text = STANDARD.encode(certificate);
        while !text.is_empty() {
            let rest = text.split_off(text.len().min(64));
            pem.push_str(&text);
            pem.push('\n');
            text = rest;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

/// How many there are.
pub(super) fn count() -> usize {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_holds_every_authority_in_lines_that_every_reader_takes() {
        let bundle = bundle();
        let read: Vec<Vec<u8>> = bundle
            .split("-----BEGIN CERTIFICATE-----\n")
            .skip(1)
            .map(|block| {
                let (body, _) = block.split_once("-----END CERTIFICATE-----\n").unwrap();
                assert!(body.lines().all(|line| line.len() <= 64));
                STANDARD.decode(body.replace('\n', "")).unwrap()
            })
            .collect();
        let meant: Vec<&[u8]> = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(AsRef::as_ref)
            .collect();
        assert_eq!(read, meant);
        assert!(read.len() > 100, "{}", read.len());
        // Google's own, without which nothing would work.
        let google = b"Google Trust Services LLC";
        assert!(
            read.iter()
                .any(|der| der.windows(google.len()).any(|part| part == google))
        );
    }
}
