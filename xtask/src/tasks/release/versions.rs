//! Whether the repository has the version that is to be released.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xtask::deploy_files;

/// The label with the version, on each object.
const LABEL: &str = "/metadata/labels/app.kubernetes.io~1version";

/// A version in the repository.
struct Found {
    place: &'static str,
    version: String,
    cure: &'static str,
}

/// Fails if a file has another version, and lists all of them with what to change.
pub(super) fn check(root: &Path, version: &str) -> Result<()> {
    let read = |path: &str| {
        fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
    };
    let chart = read("deploy/chart/Chart.yaml")?;
    let install = read("deploy/install.yaml")?;
    compare(
        &found(env!("CARGO_PKG_VERSION"), &chart, &install)?,
        version,
    )
}

/// The versions of the crates, of a Chart.yaml, and of an install.yaml.
fn found(crates: &str, chart: &str, install: &str) -> Result<Vec<Found>> {
    let one = |place, version: &str, cure| Found {
        place,
        version: version.to_owned(),
        cure,
    };
    let chart: Value = serde_saphyr::from_str(chart).context("deploy/chart/Chart.yaml")?;
    let of_chart = |key: &str| {
        let version = chart.get(key).and_then(Value::as_str);
        version.unwrap_or("none").to_owned()
    };
    let mut all = vec![
        one("Cargo.toml", crates, "set `version` of [workspace.package]"),
        one(
            "deploy/chart/Chart.yaml",
            &of_chart("version"),
            "set `version`",
        ),
        one(
            "deploy/chart/Chart.yaml",
            &of_chart("appVersion"),
            "set `appVersion`",
        ),
    ];
    let objects = deploy_files::documents(install)?;
    let labels: BTreeSet<&str> = objects
        .iter()
        .map(|object| {
            object
                .pointer(LABEL)
                .and_then(Value::as_str)
                .unwrap_or("none")
        })
        .collect();
    for label in labels {
        all.push(one(
            "deploy/install.yaml",
            label,
            "set the label `app.kubernetes.io/version` in deploy/base/kustomization.yaml, and run cargo xtask deploy",
        ));
    }
    let images = objects
        .iter()
        .filter_map(|object| object.pointer("/spec/template/spec/containers/0/image"));
    for image in images {
        let tag = image.as_str().and_then(|image| image.rsplit_once(':'));
        all.push(one(
            "deploy/install.yaml",
            tag.map_or("none", |(_, tag)| tag),
            "set the tag of the image in deploy/base/deployment.yaml, and run cargo xtask deploy",
        ));
    }
    Ok(all)
}

fn compare(found: &[Found], version: &str) -> Result<()> {
    let others = found.iter().filter(|found| found.version != version);
    let lines: Vec<String> = others
        .map(
            |Found {
                 place,
                 version,
                 cure,
             }| format!("\n  {place} has {version}: {cure}"),
        )
        .collect();
    if !lines.is_empty() {
        bail!(
            "the repository does not have the version {version}:{}",
            lines.concat()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(crates: &str, chart: &str, install: &str) -> String {
        let chart = format!("version: {chart}\nappVersion: 1.0.0\n");
        let install = install.replace('%', "metadata: {labels: {app.kubernetes.io/version: ");
        let found = found(crates, &chart, &install).unwrap();
        compare(&found, "1.0.0").map_or_else(|error| error.to_string(), |()| String::new())
    }

    const DEPLOYMENT: &str =
        "%1.0.0}}\nspec: {template: {spec: {containers: [{image: 'r:5/o:TAG'}]}}}\n";

    #[test]
    fn each_version_that_differs_is_named_with_what_to_change() {
        let install = DEPLOYMENT.replace("TAG", "1.0.0");
        assert_eq!(error("1.0.0", "1.0.0", &install), "");
        for (found, said) in [
            (error("1.0.1", "1.0.0", &install), "Cargo.toml has 1.0.1"),
            (error("1.0.0", "0.9.0", &install), "Chart.yaml has 0.9.0"),
            (
                error("1.0.0", "1.0.0", &DEPLOYMENT.replace("TAG", "2")),
                "install.yaml has 2: set the tag",
            ),
            (
                error("1.0.0", "1.0.0", &format!("{install}---\n%2.0.0}}}}\n")),
                "install.yaml has 2.0.0: set the label",
            ),
            (
                error("1.0.0", "1.0.0", &format!("{install}---\nkind: A\n")),
                "install.yaml has none: set the label",
            ),
        ] {
            assert!(found.contains(said), "{found}");
            assert_eq!(found.lines().count(), 2, "{found}");
        }
    }
}
