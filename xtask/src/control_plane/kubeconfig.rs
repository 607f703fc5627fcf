//! Kubeconfig files for the users of a control plane.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::certificates::{ClientCertificate, write_private};

/// How a kubeconfig's user proves who it is.
pub(crate) enum Credential<'a> {
    /// By a client certificate.
    Certificate(&'a ClientCertificate),
    /// By a bearer token, such as a ServiceAccount's.
    Token(&'a str),
}

/// Writes a kubeconfig with one user, `name`, to `path`, readable by this user only.
///
/// The namespace is the context's default; the server's certificate is verified against `ca_file`.
pub(crate) fn write(
    path: &Path,
    server_url: &str,
    ca_file: &Path,
    name: &str,
    namespace: Option<&str>,
    credential: &Credential<'_>,
) -> Result<()> {
    let user: Value = match credential {
        Credential::Certificate(files) => json!({
            "client-certificate": files.certificate,
            "client-key": files.key,
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "opcancel",
            "cluster": { "server": server_url, "certificate-authority": ca_file },
        }],
        "users": [{ "name": name, "user": user }],
        "contexts": [{
            "name": "opcancel",
            "context": {
                "cluster": "opcancel",
                "user": name,
                "namespace": namespace.unwrap_or("default"),
            },
        }],
        "current-context": "opcancel",
    });
    let text = serde_saphyr::to_string(&config).context("cannot write a kubeconfig")?;
    // Another test binary may read the file of the same ServiceAccount just now.
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    write_private(&fresh, &text)?;
    std::fs::rename(&fresh, path).with_context(|| format!("cannot write {}", path.display()))
}
