//! What in `deploy/` is made from something else: the CRDs' copies, the rules that the chart and the namespaced overlay share
//! with the base, the chart's copies of the monitoring files, the list and the table of its values, and `install.yaml`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::chart_values;

/// The image in `deploy/base`, without its tag. Names below `.invalid` never resolve (RFC 2606), so no registry can serve it by
/// accident.
pub const PLACEHOLDER_IMAGE: &str = "your-registry.invalid/opcancel-controller";

/// The role whose rules the namespaced overlay gives namespace by namespace.
const CONTROLLER_ROLE: &str = "opcancel-controller";

/// The page with the table of the chart's values.
const README: &str = "deploy/README.md";

/// The files with the ClusterRoles that everything else is made from.
const ROLE_FILES: [&str; 2] = [
    "deploy/base/controller-role.yaml",
    "deploy/base/people-roles.yaml",
];

/// The copies of `crds/` and of the base's rules, by their paths below `root`, as they should be.
///
/// # Errors
/// When `crds/` or the base's roles cannot be read.
pub fn copies(root: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(root.join("crds")).context("cannot read crds/")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let text = read(&entry.path())?;
        for folder in ["deploy/base/crds", "deploy/chart/crds"] {
            files.insert(format!("{folder}/{name}"), text.clone());
        }
    }
    for path in ROLE_FILES {
        for object in documents(&read(&root.join(path))?)? {
            if object.get("kind") != Some(&json!("ClusterRole")) {
                continue;
            }
            let name = object
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .with_context(|| format!("{path} has a ClusterRole without a name"))?;
            let rules = object.get("rules").cloned().unwrap_or_default();
            files.insert(
                format!("deploy/chart/files/rules/{name}.yaml"),
                yaml(path, &[&rules])?,
            );
            if name == CONTROLLER_ROLE {
                let rules = in_a_namespace(rules);
                files.insert(
                    format!("deploy/chart/files/rules/{name}-in-a-namespace.yaml"),
                    yaml(path, &[&rules])?,
                );
                files.insert(
                    "deploy/overlays/namespaced/watched/role.yaml".to_owned(),
                    role_and_binding(path, &rules)?,
                );
            }
        }
    }
    for name in ["rules.yaml", "dashboard.json"] {
        let text = read(&root.join("deploy/monitoring").join(name))?;
        files.insert(format!("deploy/chart/files/monitoring/{name}"), text);
    }
    let values = read(&root.join("deploy/chart/values.yaml"))?;
    let schema = read(&root.join("deploy/chart/values.schema.json"))?;
    let values = chart_values::read(&values, &schema)?;
    files.insert(
        "deploy/chart/files/values.txt".to_owned(),
        chart_values::lines(&values),
    );
    let page = read(&root.join(README))?;
    files.insert(
        README.to_owned(),
        chart_values::with_table(&page, &values).context(README)?,
    );
    Ok(files)
}

/// The text of `deploy/install.yaml`: the base as this kubectl renders it.
///
/// # Errors
/// When kubectl cannot be run or refuses the base.
pub fn install(root: &Path, kubectl: &Path) -> Result<String> {
    let rendered = kustomize(kubectl, &root.join("deploy/base"))?;
    let image =
        "# Replace your-registry.invalid with your registry: the project publishes no image.\n";
    Ok(format!("{}{image}{rendered}", header("deploy/base")))
}

/// What `kubectl kustomize FOLDER` prints.
///
/// # Errors
/// When kubectl cannot be run, or refuses the folder: with what it said.
pub fn kustomize(kubectl: &Path, folder: &Path) -> Result<String> {
    let output = Command::new(kubectl)
        .arg("kustomize")
        .arg(folder)
        .output()
        .with_context(|| format!("cannot run {}", kubectl.display()))?;
    if !output.status.success() {
        bail!(
            "kubectl kustomize {} failed: {}",
            folder.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Writes all of it anew below `root`, and returns the paths of the files that were changed.
///
/// # Errors
/// When something cannot be read, rendered or written.
pub fn write(root: &Path, kubectl: &Path) -> Result<Vec<String>> {
    let mut changed = Vec::new();
    let mut put = |path: String, text: String| -> Result<()> {
        let file = root.join(&path);
        if fs::read_to_string(&file).is_ok_and(|found| found == text) {
            return Ok(());
        }
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, text).with_context(|| format!("cannot write {path}"))?;
        changed.push(path);
        Ok(())
    };
    for (path, text) in copies(root)? {
        put(path, text)?;
    }
    // Rendered from the copies, so after them.
    put("deploy/install.yaml".to_owned(), install(root, kubectl)?)?;
    Ok(changed)
}

/// The objects of a YAML text of several documents.
///
/// # Errors
/// When it is no YAML.
pub fn documents(text: &str) -> Result<Vec<Value>> {
    let mut objects: Vec<Value> = serde_saphyr::from_multiple(text)?;
    objects.retain(|object| !object.is_null());
    Ok(objects)
}

/// The same rules for a Role, which can allow to get its own namespace, but neither to list nor to watch it.
fn in_a_namespace(mut rules: Value) -> Value {
    for rule in rules.as_array_mut().into_iter().flatten() {
        if rule.get("resources") == Some(&json!(["namespaces"])) {
            rule["verbs"] = json!(["get"]);
        }
    }
    rules
}

/// The Role and the RoleBinding of one namespace, which is left to kustomize.
fn role_and_binding(source: &str, rules: &Value) -> Result<String> {
    let object = |kind: &str, parts: Value| {
        let mut object = Map::from_iter([
            (
                "apiVersion".to_owned(),
                json!("rbac.authorization.k8s.io/v1"),
            ),
            ("kind".to_owned(), json!(kind)),
            ("metadata".to_owned(), json!({"name": CONTROLLER_ROLE})),
        ]);
        if let Value::Object(parts) = parts {
            object.extend(parts);
        }
        Value::Object(object)
    };
    let role = object("Role", json!({ "rules": rules }));
    let binding = object(
        "RoleBinding",
        json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": CONTROLLER_ROLE},
            "subjects": [{"kind": "ServiceAccount", "name": CONTROLLER_ROLE, "namespace": "opcancel-system"}],
        }),
    );
    yaml(source, &[&role, &binding])
}

fn yaml(source: &str, documents: &[&Value]) -> Result<String> {
    let documents = documents
        .iter()
        .map(|document| Ok(serde_saphyr::to_string(document)?))
        .collect::<Result<Vec<String>>>()?;
    Ok(format!("{}{}", header(source), documents.join("---\n")))
}

fn header(source: &str) -> String {
    format!("# Generated from {source} by `cargo xtask deploy`; do not edit.\n")
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
