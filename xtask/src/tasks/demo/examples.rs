//! The files in `examples/`, and how each says that it ends.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The annotation with how an example ends: its outcome, or the reason why it waits.
const ENDS_AS: &str = "examples.opcancel.github.io/ends-as";

/// One OperationCancellation of the examples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Example {
    /// Its namespace and its name.
    pub(super) key: Key,
    /// `spec.service`.
    pub(super) service: String,
    /// `spec.operationName`.
    pub(super) operation: String,
    /// How its file says that it ends.
    pub(super) ends_as: String,
    /// The file's name.
    pub(super) file: String,
}

/// The key of an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Key {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The folder beside the other examples that has those of further services.
const SERVICES: &str = "services";

/// The examples, in the order of their files, and these files.
pub(super) struct Examples {
    pub(super) files: Vec<PathBuf>,
    pub(super) cancellations: Vec<Example>,
}

impl Examples {
    /// Reads the manifests in `folder` and in its subfolder `services`, but in no other.
    ///
    /// # Errors
    /// When one cannot be read, or a cancellation does not say how it ends.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let mut files = manifests_in(folder)?;
        files.extend(manifests_in(&folder.join(SERVICES))?);
        let mut cancellations = Vec::new();
        for path in &files {
            let text = fs::read_to_string(path)?;
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let read = cancellations_in(&text, &file);
            cancellations.extend(read.with_context(|| path.display().to_string())?);
        }
        Ok(Self {
            files,
            cancellations,
        })
    }
}

/// The manifests in a folder, by name.
fn manifests_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("cannot read the examples in {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// As much of a manifest as the demo reads.
#[derive(Deserialize)]
struct Manifest {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    spec: Map<String, Value>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: Option<String>,
    #[serde(default)]
    annotations: Map<String, Value>,
}

fn cancellations_in(text: &str, file: &str) -> Result<Vec<Example>> {
    let manifests: Vec<Manifest> = serde_saphyr::from_multiple(text)?;
    let mut found = Vec::new();
    for manifest in manifests {
        if manifest.kind != "OperationCancellation" {
            continue;
        }
        let metadata = manifest.metadata;
        let text = |map: &Map<String, Value>, key: &str| {
            map.get(key).and_then(Value::as_str).map(str::to_owned)
        };
        let Some(namespace) = metadata.namespace else {
            bail!("{} has no namespace", metadata.name);
        };
        let field = |name: &str| {
            text(&manifest.spec, name).with_context(|| format!("{} has no {name}", metadata.name))
        };
        found.push(Example {
            service: field("service")?,
            operation: field("operationName")?,
            ends_as: text(&metadata.annotations, ENDS_AS)
                .with_context(|| format!("{} has no annotation {ENDS_AS}", metadata.name))?,
            key: Key {
                namespace,
                name: metadata.name,
            },
            file: file.to_owned(),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_cancellation_that_does_not_say_how_it_ends_is_refused() {
        let text = "kind: Namespace\nmetadata: {name: a}\n---\nkind: OperationCancellation\n\
                    metadata: {name: b, namespace: a}\nspec: {service: s, operationName: projects/p/operations/o}\n";
        let error = cancellations_in(text, "b.yaml").unwrap_err();
        assert!(error.to_string().contains(ENDS_AS), "{error}");
    }

    /// Every outcome that a demo can show in a minute, and both ways to wait.
    #[test]
    fn the_examples_have_all_outcomes() {
        let folder = crate::tasks::cargo::root().join("examples");
        let examples = Examples::read(&folder).unwrap();
        let ends: Vec<&str> = examples
            .cancellations
            .iter()
            .map(|e| e.ends_as.as_str())
            .collect();
        for fate in [
            "Cancelled",
            "Completed",
            "Failed",
            "NotFound",
            "Unsupported",
            "NoGrant",
            "Suspended",
        ] {
            assert!(ends.contains(&fate), "no example ends as {fate}: {ends:?}");
        }
        assert!(examples.cancellations.len() >= 10, "{ends:?}");
    }

    /// Operations of other services end in their own ways.
    #[test]
    fn the_examples_have_services_besides_dialogflow() {
        let folder = crate::tasks::cargo::root().join("examples");
        let examples = Examples::read(&folder).unwrap();
        let services = examples.cancellations.iter().map(|e| e.service.as_str());
        let services: BTreeSet<&str> = services.collect();
        let emulated = BTreeSet::from(crate::tasks::stand_ins::SERVICES);
        assert_eq!(services, emulated, "the emulator stands in for these");
        assert!(services.len() > 4 && services.contains("container"));
    }
}
