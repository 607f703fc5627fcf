//! The bill of materials (SBOM) beside the image, in CycloneDX 1.5: cargo-cyclonedx writes it, and here it is held
//! against what cargo really builds. The tool asks cargo about the whole workspace, whose tests turn on features that
//! the program does not have, and does not tell what only ran inside the compiler.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::binary::{c_library, only_with, said, target};
use crate::tasks::cargo;
use crate::tasks::cargo_tool::CargoTool;

const CARGO_CYCLONEDX: CargoTool = CargoTool {
    name: "cargo-cyclonedx",
    version: "0.5.9",
    asked: &["cyclonedx", "--version"],
};

/// The package that a bill is of.
pub(super) struct Package {
    pub(super) name: &'static str,
    /// Its folder in the sources.
    pub(super) folder: &'static str,
    /// Its program that is in the image.
    pub(super) program: &'static str,
}

/// The crates of a bill, as `NAME VERSION`.
struct Crates {
    /// Linked into the program.
    linked: BTreeSet<String>,
    /// These, and macros with what they need: they ran in the compiler, and their output was compiled.
    all: BTreeSet<String>,
}

/// The bill of the program that is built from the sources in `source`. It holds neither a path of this machine nor
/// another time than `epoch`, so that it is the same each time.
pub(super) fn write(source: &Path, epoch: &str, package: &Package) -> Result<String> {
    let program = CARGO_CYCLONEDX.get()?;
    let target = target()?;
    let mut tool = std::process::Command::new(program);
    only_with(&mut tool, std::env::vars_os());
    tool.args([
        "cyclonedx",
        "--quiet",
        "--quiet",
        "--format",
        "json",
        "--spec-version",
        "1.5",
    ])
    .args([
        "--no-build-deps",
        "--target",
        &target,
        "--override-filename",
        "bom",
    ])
    .env("SOURCE_DATE_EPOCH", epoch)
    .current_dir(source);
    said(&mut tool)?;
    let file = source.join(package.folder).join("bom.json");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let text = text.replace(&source.display().to_string(), "/opcancel");
    let mut bill =
        serde_json::from_str(&text).context("the output of cargo-cyclonedx is not JSON")?;
    let crates = Crates {
        linked: tree(source, &target, package, "normal,no-proc-macro")?,
        all: tree(source, &target, package, "normal")?,
    };
    reconcile(&mut bill, &crates)?;
    leave_out_other_programs(&mut bill, package.program)?;
    add_c_library(&mut bill, &c_library()?)?;
    Ok(format!("{bill:#}\n"))
}

/// What cargo builds of a kind for the program alone.
fn tree(source: &Path, target: &str, package: &Package, edges: &str) -> Result<BTreeSet<String>> {
    let mut tree = cargo::cargo(&[
        "tree",
        "--locked",
        "--package",
        package.name,
        "--prefix",
        "none",
    ]);
    only_with(&mut tree, std::env::vars_os());
    tree.args(["--target", target, "--edges", edges, "--format", "{p}"])
        .current_dir(source);
    let listed = said(&mut tree)?;
    let crates = listed.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some(format!(
            "{} {}",
            words.next()?,
            words.next()?.strip_prefix('v')?
        ))
    });
    // The program's own package is what the bill is of.
    let own = format!("{} ", package.name);
    Ok(crates.filter(|name| !name.starts_with(&own)).collect())
}

/// Leaves out of the bill what the program is not built with, and marks as `excluded` what only ran in the compiler.
///
/// # Errors
/// If a crate of the program is missing.
fn reconcile(bill: &mut Value, crates: &Crates) -> Result<()> {
    let mut left_out = BTreeSet::new();
    let mut found = BTreeSet::new();
    let components = array(bill, "components")?;
    components.retain_mut(|component| {
        let name = name(component);
        if !crates.all.contains(&name) {
            left_out.insert(reference(component, "bom-ref"));
            return false;
        }
        let scope = if crates.linked.contains(&name) {
            "required"
        } else {
            "excluded"
        };
        if let Some(component) = component.as_object_mut() {
            component.insert("scope".to_owned(), json!(scope));
        }
        found.insert(name);
        true
    });
    let missing: Vec<&String> = crates.all.difference(&found).collect();
    ensure!(missing.is_empty(), "cargo-cyclonedx left out {missing:?}");
    ensure!(
        crates.linked.is_subset(&crates.all),
        "cargo tree contradicts itself"
    );

    let dependencies = array(bill, "dependencies")?;
    dependencies.retain(|row| !left_out.contains(&reference(row, "ref")));
    for row in dependencies {
        if let Some(on) = row.get_mut("dependsOn").and_then(Value::as_array_mut) {
            on.retain(|name| !left_out.contains(name.as_str().unwrap_or_default()));
        }
    }
    Ok(())
}

/// Leaves out programs of the package that are not in the image.
///
/// # Errors
/// If the image's own is not in the bill.
fn leave_out_other_programs(bill: &mut Value, program: &str) -> Result<()> {
    let package = bill
        .pointer_mut("/metadata/component")
        .context("the bill of materials names no component")?;
    let targets = array(package, "components")?;
    let is = |target: &Value, field: &str, text: &str| reference(target, field) == text;
    targets.retain(|target| !is(target, "type", "application") || is(target, "name", program));
    ensure!(
        targets.iter().any(|target| is(target, "name", program)),
        "cargo-cyclonedx left out {program}"
    );
    Ok(())
}

/// The C library is linked in too, and scanners should know.
fn add_c_library(bill: &mut Value, library: &str) -> Result<()> {
    let (name, version) = library.split_once(' ').unwrap_or((library, ""));
    let debian = version.contains('-') && Path::new("/etc/debian_version").exists();
    let kind = if debian { "deb/debian" } else { "generic" };
    // The characters of a version that a package URL does not take as they are.
    let escaped = version.replace('+', "%2B").replace('~', "%7E");
    let purl = format!("pkg:{kind}/{name}@{escaped}");
    array(bill, "components")?.push(json!({
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "scope": "required",
        "description": "The C library, linked statically",
        "purl": purl,
    }));
    Ok(())
}

/// Counts the components that are in the program.
pub(super) fn count(bill: &str) -> Result<usize> {
    let mut bill: Value = serde_json::from_str(bill)?;
    let components = array(&mut bill, "components")?.iter();
    Ok(components
        .filter(|component| component["scope"] == "required")
        .count())
}

fn array<'a>(bill: &'a mut Value, name: &str) -> Result<&'a mut Vec<Value>> {
    bill.get_mut(name)
        .and_then(Value::as_array_mut)
        .with_context(|| format!("the bill of materials has no {name}"))
}

fn name(component: &Value) -> String {
    format!(
        "{} {}",
        reference(component, "name"),
        reference(component, "version")
    )
}

fn reference(value: &Value, field: &str) -> String {
    value
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::image::binary::PROGRAM;

    fn bill() -> Value {
        json!({
            "components": [
                {"bom-ref": "a", "name": "linked", "version": "1.0.0", "scope": "required"},
                {"bom-ref": "b", "name": "macros", "version": "2.0.0", "scope": "required"},
                {"bom-ref": "c", "name": "tests-only", "version": "3.0.0", "scope": "required"},
            ],
            "dependencies": [
                {"ref": "a", "dependsOn": ["b", "c"]},
                {"ref": "c", "dependsOn": ["a"]},
            ],
        })
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_bill_lists_what_is_built_and_tells_what_is_linked() {
        let mut bill = bill();
        let crates = Crates {
            linked: set(&["linked 1.0.0"]),
            all: set(&["linked 1.0.0", "macros 2.0.0"]),
        };
        reconcile(&mut bill, &crates).unwrap();
        let scopes: Vec<(String, String)> = array(&mut bill, "components")
            .unwrap()
            .iter()
            .map(|component| (name(component), reference(component, "scope")))
            .collect();
        let pair = |name: &str, scope: &str| (name.to_owned(), scope.to_owned());
        assert_eq!(
            scopes,
            [
                pair("linked 1.0.0", "required"),
                pair("macros 2.0.0", "excluded")
            ]
        );
        assert_eq!(
            bill["dependencies"],
            json!([{"ref": "a", "dependsOn": ["b"]}])
        );
        assert_eq!(count(&bill.to_string()).unwrap(), 1);
    }

    #[test]
    fn programs_that_are_not_in_the_image_are_not_in_its_bill() {
        let target = |kind: &str, name: &str| json!({"type": kind, "name": name});
        let library = target("library", "opcancel");
        let programs = [PROGRAM, "opcancel-other"].map(|name| target("application", name));
        let bill_of =
            |targets: &[Value]| json!({"metadata": {"component": {"components": targets}}});
        let mut bill = bill_of(&[library.clone(), programs[0].clone(), programs[1].clone()]);
        leave_out_other_programs(&mut bill, PROGRAM).unwrap();
        assert_eq!(bill, bill_of(&[library.clone(), programs[0].clone()]));
        let error =
            leave_out_other_programs(&mut bill_of(&[library, programs[1].clone()]), PROGRAM);
        assert!(error.unwrap_err().to_string().contains(PROGRAM));
    }

    #[test]
    fn a_crate_of_the_program_that_the_bill_lacks_is_an_error() {
        let crates = Crates {
            linked: set(&["linked 1.0.1"]),
            all: set(&["linked 1.0.1"]),
        };
        let error = reconcile(&mut bill(), &crates).unwrap_err().to_string();
        assert!(error.contains("linked 1.0.1"), "{error}");
    }
}
