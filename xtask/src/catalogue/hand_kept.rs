//! What the discovery documents do not say, as `catalogue/services.yaml` has it: hosts by location, default versions, permissions,
//! and what is left out or deviates, each with its evidence.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HandKept {
    /// The sources that evidence names, each with its release or commit.
    pub sources: BTreeMap<String, String>,
    pub services: BTreeMap<String, Service>,
}

/// A service.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// Its title, if no discovery document has one.
    #[serde(default)]
    pub title: Option<String>,
    /// The version for an object without one. Once released, it never changes.
    #[serde(default)]
    pub default: Option<String>,
    #[serde(default)]
    pub hosts: Option<Hosts>,
    /// The IAM permission that the cancel request needs.
    #[serde(default)]
    pub permission: Option<String>,
    /// A predefined role, for a service whose permission is not known.
    #[serde(default)]
    pub role: Option<String>,
    /// Why this permission or role is believed to be the right one.
    #[serde(default)]
    pub permission_evidence: Option<String>,
    /// A role for the controller alone, for a service that people use much.
    #[serde(default)]
    pub custom_role: Option<CustomRole>,
    /// Why the host is believed to be the right one.
    #[serde(default)]
    pub host_evidence: Option<String>,
    /// Names do not tell the host: another one may serve the operation.
    #[serde(default)]
    pub host_may_differ: bool,
    #[serde(default)]
    pub deviations: Vec<Deviation>,
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
}

/// What the controller needs in IAM.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomRole {
    /// The permissions, each with its evidence. Without any, the predefined role is used.
    #[serde(default)]
    pub permissions: BTreeMap<String, String>,
}

/// Hosts that depend on the location in the name. Names without a location, or with `global`, go to the global host.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hosts {
    /// With the placeholder `{location}`, or `{region}` for the region of a zone.
    pub by_location: String,
    /// Locations with other hosts.
    #[serde(default)]
    pub exceptions: BTreeMap<String, String>,
}

/// Something in the documents that differs from the usual form and that the data can express, or that does no harm.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deviation {
    pub kind: DeviationKind,
    /// The versions that deviate; all if it is absent.
    #[serde(default)]
    pub versions: Vec<String>,
    /// What deviates: the prefix, the suffix, the path, the form of names, or a name of a field.
    pub what: String,
    /// What stands in its place, for `path_of_name` and `narrower_get`.
    #[serde(default)]
    pub instead: Option<String>,
    pub why: String,
}

/// The kinds of deviations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeviationKind {
    /// The path begins with another text than the version.
    Prefix,
    /// The path ends with another text than `:cancel`.
    Suffix,
    /// The path has not the name in it, but another form with the same wildcards: `what` is the path, `instead` the name.
    PathOfName,
    /// The request has a field; it can be left out.
    RequestField,
    /// The cancel takes a query parameter; it can be left out.
    Query,
    /// The answer to cancel has no body.
    EmptyAnswer,
    /// GET takes only the form `instead`: the row has that.
    NarrowerGet,
    /// The document has no cloud-platform for cancel, but for GET.
    CancelScopes,
    /// GET answers an operation with `status` instead of `done`.
    DoneStatus,
    /// UNIMPLEMENTED as the answer to cancel may mean that the operation cannot be cancelled in its present state.
    UnimplementedMayPass,
}

impl DeviationKind {
    /// The words in `docs/services.md`.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Prefix => "start of the path",
            Self::Suffix => "end of the path",
            Self::PathOfName => "form in the path, and the name",
            Self::RequestField => "field of the request, which is not sent",
            Self::Query => "query parameter, which is not sent",
            Self::EmptyAnswer => "answer without a body",
            Self::NarrowerGet => "GET takes fewer names",
            Self::CancelScopes => "scopes",
            Self::DoneStatus => "form of the operation",
            Self::UnimplementedMayPass => {
                "answer that counts as a refusal, after which the controller asks again"
            }
        }
    }
}

/// A method that no row covers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeftOut {
    pub version: String,
    /// The form of names.
    pub name: String,
    pub reason: Reason,
    pub why: String,
}

/// Why a method is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    /// There is no GET for the name, so an end could not be seen.
    NoGet,
    /// The cancel request is a GET.
    CancelByGet,
    /// The scope cloud-platform is not enough.
    Scopes,
    /// Other forms of the same version cover all names that exist.
    Covered,
}

impl Reason {
    /// The word in the coverage; `None` if the method counts as covered.
    pub(super) const fn in_coverage(self) -> Option<&'static str> {
        match self {
            Self::NoGet => Some("no GET"),
            Self::CancelByGet => Some("cancel by GET"),
            Self::Scopes => Some("cloud-platform is not enough"),
            Self::Covered => None,
        }
    }
}

/// Parses the file.
///
/// # Errors
/// If it has another form, or evidence names no source.
pub(super) fn parse(text: &str) -> Result<HandKept> {
    let hand_kept: HandKept = serde_saphyr::from_str(text)?;
    for (name, service) in &hand_kept.services {
        let of_permission = service.permission.is_some() || service.role.is_some();
        if of_permission != service.permission_evidence.is_some() {
            bail!("{name}: permission or role, and permission_evidence, need each other");
        }
        if service.default.is_some() != service.host_evidence.is_some() {
            bail!("{name}: default and host_evidence need each other");
        }
        let whys = service.deviations.iter().map(|deviation| &deviation.why);
        let mut whys = whys.chain(service.left_out.iter().map(|row| &row.why));
        if whys.any(|why| why.is_empty()) {
            bail!(
                "{name}: each deviation, and each method that is left out, needs its reason in why"
            );
        }
        let of_role = service
            .custom_role
            .iter()
            .flat_map(|role| role.permissions.values());
        for evidence in [&service.permission_evidence, &service.host_evidence]
            .into_iter()
            .flatten()
            .chain(of_role)
        {
            let source = evidence
                .split([':', ',', ';', ' '])
                .next()
                .unwrap_or_default();
            if !hand_kept.sources.contains_key(source) {
                bail!("{name}: the evidence {evidence:?} begins with no name in sources");
            }
        }
    }
    Ok(hand_kept)
}
