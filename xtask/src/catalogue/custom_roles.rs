//! The section of `docs/services.md` with an IAM role for each of the services that people use most, and the commands that create it.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};

use super::{
    hand_kept::{CustomRole, HandKept, Service},
    rows::Rows,
};

/// Evidence that begins with this word is no evidence.
const GUESS: &str = "guess";

const INTRODUCTION: &str = "
## Custom roles

For the services that people use most: a role with no more than what the controller needs, or a predefined role if no source names the
permissions. Each permission has its evidence, which begins with one of the [sources](#sources). A permission with **guess** has
none: test the role with [the probe](probe.md), and look for the missing permission in `status.lastError.metadata`.

In the commands, `acme-prod` is the project of the operations, and `opcancel@acme-prod.iam.gserviceaccount.com` the controller's identity. The
API must be enabled in the project of the identity.
";

/// Writes the section.
///
/// # Errors
/// If a role does not fit its service.
pub(super) fn write(
    page: &mut String,
    services: &BTreeMap<String, Rows>,
    hand_kept: &HandKept,
) -> Result<()> {
    page.push_str(INTRODUCTION);
    for (name, rows) in services {
        let service = hand_kept
            .services
            .get(name)
            .context("a service without a hand-kept entry")?;
        let Some(role) = &service.custom_role else {
            continue;
        };
        check(service, role).with_context(|| name.clone())?;
        let product = rows.product(name, service)?;
        writeln!(page, "\n### {product}: {name}\n")?;
        match &service.role {
            Some(predefined) if role.permissions.is_empty() => writeln!(
                page,
                "Predefined role: `{predefined}`. Evidence: {}.",
                evidence(service)
            )?,
            _ => permissions(page, role)?,
        }
        commands(page, name, &rows.host, product, service, role)?;
    }
    Ok(())
}

/// The role has what the catalogue says that the cancel request needs, and a source for each permission.
fn check(service: &Service, role: &CustomRole) -> Result<()> {
    if let Some(permission) = &service.permission {
        ensure!(
            role.permissions.contains_key(permission),
            "the custom role lacks {permission}"
        );
    }
    ensure!(
        !role.permissions.is_empty() || service.role.is_some(),
        "the custom role has no permission, and there is no predefined role"
    );
    for permission in role.permissions.keys() {
        let parts: Vec<_> = permission.split('.').collect();
        let good = parts.len() == 3
            && parts
                .iter()
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()));
        ensure!(good, "{permission} is no permission");
    }
    Ok(())
}

fn evidence(service: &Service) -> &str {
    service.permission_evidence.as_deref().unwrap_or_default()
}

fn permissions(page: &mut String, role: &CustomRole) -> Result<()> {
    page.push_str("| permission | evidence |\n|---|---|\n");
    for (permission, evidence) in &role.permissions {
        let evidence = match evidence.strip_prefix(GUESS) {
            Some(rest) => format!("**{GUESS}**{rest}"),
            None => evidence.clone(),
        };
        writeln!(page, "| `{permission}` | {evidence} |")?;
    }
    Ok(())
}

fn commands(
    page: &mut String,
    name: &str,
    host: &str,
    product: &str,
    service: &Service,
    role: &CustomRole,
) -> Result<()> {
    let permissions: Vec<&str> = role.permissions.keys().map(String::as_str).collect();
    writeln!(
        page,
        "\n```sh\n# Needs Google.\ngcloud services enable {host} --project=acme-prod"
    )?;
    let granted = if permissions.is_empty() {
        service.role.clone().unwrap_or_default()
    } else {
        writeln!(
            page,
            "gcloud iam roles create opcancel.{name} --project=acme-prod --title='opcancel: {product}' --permissions={}",
            permissions.join(",")
        )?;
        format!("projects/acme-prod/roles/opcancel.{name}")
    };
    writeln!(
        page,
        "gcloud projects add-iam-policy-binding acme-prod --role={granted} --member=serviceAccount:opcancel@acme-prod.iam.gserviceaccount.com\n```"
    )?;
    Ok(())
}
