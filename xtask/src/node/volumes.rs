//! A Pod's volumes, as folders.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, KeyToPath, Pod, PodSpec, Volume, VolumeProjection,
};

use super::api::{Api, PodName};
use crate::control_plane::certificates::write_private;
use crate::control_plane::kubeconfig::{self, Credential};

/// Where the ServiceAccount admission plugin mounts the API server's token.
const API_ACCESS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What stands where, in a container's words and in this machine's.
#[derive(Clone, Debug, Default)]
pub(super) struct Mounts {
    places: Vec<(String, String)>,
    /// A kubeconfig with the Pod's own token, if it mounts one: the place where client libraries
    /// look for it cannot be had.
    pub(super) kubeconfig: Option<String>,
}

impl Mounts {
    /// `text` with the folders instead of the mount paths.
    pub(super) fn replace(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (inside, outside) in &self.places {
            text = text.replace(inside, outside);
        }
        text
    }
}

/// Writes the volumes that a container mounts.
///
/// # Errors
/// When something that a volume names is not there, or the volume is of a kind that no process can have.
pub(super) fn mount(api: &Api, id: &PodName, pod: &Pod, container: &Container) -> Result<Mounts> {
    let Some(spec) = &pod.spec else {
        return Ok(Mounts::default());
    };
    let folder = id.folder(&api.folder);
    let mut mounts = Mounts::default();
    for mount in container.volume_mounts.iter().flatten() {
        let outside = folder.join(&mount.name);
        if mount.mount_path == API_ACCESS {
            let path = folder.join("kubeconfig");
            fs::create_dir_all(&folder)?;
            let token = api.token(id, account(spec), None)?;
            let token = Credential::Token(&token);
            kubeconfig::write(
                &path,
                &api.server_url,
                &api.ca_file,
                account(spec),
                Some(&id.namespace),
                &token,
            )?;
            mounts.kubeconfig = Some(path.to_string_lossy().into_owned());
        }
        let path = outside.to_string_lossy().into_owned();
        mounts.places.push((mount.mount_path.clone(), path));
    }
    for volume in spec.volumes.iter().flatten() {
        let mounted = |path: &str| path != API_ACCESS;
        let wanted = container.volume_mounts.iter().flatten();
        if wanted
            .filter(|mount| mounted(&mount.mount_path))
            .any(|mount| mount.name == volume.name)
        {
            let writer = Writer {
                api,
                id,
                spec,
                mounts: &mounts,
            };
            writer
                .volume(volume, &folder.join(&volume.name))
                .with_context(|| format!("volume {}", volume.name))?;
        }
    }
    Ok(mounts)
}

/// The ServiceAccount of a Pod.
fn account(spec: &PodSpec) -> &str {
    spec.service_account_name.as_deref().unwrap_or("default")
}

struct Writer<'a> {
    api: &'a Api,
    id: &'a PodName,
    spec: &'a PodSpec,
    mounts: &'a Mounts,
}

impl Writer<'_> {
    fn volume(&self, volume: &Volume, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        if volume.empty_dir.is_some() {
            return Ok(());
        }
        if let Some(source) = &volume.config_map {
            let map = self.api.config_map(&self.id.namespace, &source.name)?;
            return self.config_map(&map, source.items.as_deref(), folder);
        }
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            let secret = self.api.secret(&self.id.namespace, name)?;
            for (key, value) in secret.data.into_iter().flatten() {
                write_private(&folder.join(key), &String::from_utf8_lossy(&value.0))?;
            }
            return Ok(());
        }
        if let Some(source) = &volume.projected {
            for source in source.sources.iter().flatten() {
                self.projection(source, folder)?;
            }
            return Ok(());
        }
        bail!("the stand-in for a node does not support this kind of volume")
    }

    fn projection(&self, source: &VolumeProjection, folder: &Path) -> Result<()> {
        if let Some(source) = &source.service_account_token {
            let token = self
                .api
                .token(self.id, account(self.spec), source.audience.as_deref())?;
            write_private(&folder.join(&source.path), &token)?;
        }
        if let Some(source) = &source.config_map {
            let map = self.api.config_map(&self.id.namespace, &source.name)?;
            self.config_map(&map, source.items.as_deref(), folder)?;
        }
        Ok(())
    }

    fn config_map(
        &self,
        map: &ConfigMap,
        items: Option<&[KeyToPath]>,
        folder: &Path,
    ) -> Result<()> {
        for (key, text) in map.data.iter().flatten() {
            let path = match items {
                None => key,
                Some(items) => match items.iter().find(|item| item.key == *key) {
                    Some(item) => &item.path,
                    None => continue,
                },
            };
            // A file may name another file of the container.
            write_private(&folder.join(path), &self.mounts.replace(text))?;
        }
        Ok(())
    }
}
