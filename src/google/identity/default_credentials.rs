//! Where the operator's credentials are: the search order of application-default credentials (AIP-4110).

use std::{
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use crate::google::{identity::token::TokenError, text_file::read_capped};

const FILE_VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const WELL_KNOWN_FILE: &str = "application_default_credentials.json";

/// Maximum size of a credential file, in bytes. Real ones have less than 4 KiB.
const MAX_FILE: u64 = 64 * 1024;

/// The part of the environment that decides where the credentials are. If it is empty, Google's metadata server is used.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `GOOGLE_APPLICATION_CREDENTIALS`
    pub credentials_file: Option<PathBuf>,
    /// gcloud's folder: `CLOUDSDK_CONFIG`, or `~/.config/gcloud`.
    pub gcloud_folder: Option<PathBuf>,
    /// `GCE_METADATA_HOST`: `HOST[:PORT]` of the metadata server.
    pub metadata_host: Option<String>,
}

impl Environment {
    /// Reads the variables of this process. An empty variable counts as absent, except that an empty `GCE_METADATA_HOST` is an error.
    pub fn of_process() -> Self {
        Self::read(|name| env::var_os(name))
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        Self {
            credentials_file: path(FILE_VARIABLE),
            gcloud_folder: path("CLOUDSDK_CONFIG")
                .or_else(|| path("HOME").map(|home| home.join(".config/gcloud"))),
            metadata_host: variable("GCE_METADATA_HOST")
                .map(|host| host.to_string_lossy().into_owned()),
        }
    }
}

/// Where credentials are.
#[derive(Debug)]
pub(super) enum FoundCredentials {
    /// In a file.
    File {
        /// Its name in messages: the path, and how it was found.
        name: String,
        /// Its contents.
        text: String,
    },
    /// At the metadata server, because there is no file.
    MetadataServer,
}

/// Finds the credentials. If a file is named but cannot be read, that is an error: looking further could find another identity.
///
/// # Errors
/// With the file, and what is wrong with it.
pub(super) fn find(environment: &Environment) -> Result<FoundCredentials, TokenError> {
    if let Some(path) = &environment.credentials_file {
        let name = format!("{} ({FILE_VARIABLE})", path.display());
        let text = read(path).map_err(|error| unreadable(&name, &error))?;
        return Ok(FoundCredentials::File { name, text });
    }
    let Some(folder) = &environment.gcloud_folder else {
        return Ok(FoundCredentials::MetadataServer);
    };
    let path = folder.join(WELL_KNOWN_FILE);
    let name = format!("{} (gcloud's well-known file)", path.display());
    match read(&path) {
        Ok(text) => Ok(FoundCredentials::File { name, text }),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(FoundCredentials::MetadataServer)
        }
        Err(error) => Err(unreadable(&name, &error)),
    }
}

fn read(path: &Path) -> io::Result<String> {
    read_capped(path, MAX_FILE)
}

fn unreadable(name: &str, error: &io::Error) -> TokenError {
    TokenError::new(format!(
        "the credential file {name} cannot be read: {error}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            let found = variables.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn found(environment: &Environment) -> Result<String, String> {
        match find(environment) {
            Ok(FoundCredentials::File { text, .. }) => Ok(text),
            Ok(FoundCredentials::MetadataServer) => Ok("metadata".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_order_is_googles() {
        let home = tempfile::tempdir().unwrap();
        let gcloud = home.path().join(".config/gcloud");
        let named = home.path().join("named.json");
        fs::create_dir_all(&gcloud).unwrap();
        let (home, named) = (home.path().to_str().unwrap(), named.to_str().unwrap());
        let nothing = environment(&[]);
        assert_eq!(found(&nothing), Ok("metadata".to_owned()));
        let both = environment(&[("HOME", home), (FILE_VARIABLE, named)]);
        let only_home = environment(&[("HOME", home), (FILE_VARIABLE, "")]);
        assert_eq!(found(&only_home), Ok("metadata".to_owned()));
        fs::write(gcloud.join(WELL_KNOWN_FILE), "well-known").unwrap();
        assert_eq!(found(&only_home), Ok("well-known".to_owned()));
        let error = found(&both).unwrap_err();
        assert!(
            error.contains(named) && error.contains(FILE_VARIABLE),
            "a file that is named and not there: {error}"
        );
        fs::write(named, "named").unwrap();
        assert_eq!(found(&both), Ok("named".to_owned()));
        let moved = environment(&[("HOME", home), ("CLOUDSDK_CONFIG", "/nonexistent")]);
        assert_eq!(found(&moved), Ok("metadata".to_owned()));
        let through_a_file = environment(&[("CLOUDSDK_CONFIG", named)]);
        assert_eq!(found(&through_a_file), Ok("metadata".to_owned()));
    }
}
