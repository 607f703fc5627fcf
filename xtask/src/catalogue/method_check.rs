//! The checks that each method passes before it becomes a row: whatever no row can express is an error, unless the file kept by hand
//! names it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};

use super::{
    discovery::{CancelMethod, OperationForm},
    hand_kept::{Deviation, DeviationKind, HandKept, LeftOut, Reason, Service},
    name_glob,
};

pub(super) const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The usual end of the path of a cancel.
pub(super) const SUFFIX: &str = ":cancel";

/// What a version of a service has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub prefix: String,
    pub suffix: String,
    pub operation: OperationForm,
    /// UNIMPLEMENTED as the answer to cancel may be about the operation's state.
    pub unimplemented_may_pass: bool,
}

/// The checks, with the hand-kept file and what of it was needed.
pub(super) struct MethodCheck<'a> {
    hand_kept: &'a HandKept,
    used: BTreeSet<String>,
}

/// What a method becomes.
pub(super) enum Verdict<'a> {
    Row(Version, String, Option<String>),
    LeftOut(&'a LeftOut),
}

impl<'a> MethodCheck<'a> {
    pub fn new(hand_kept: &'a HandKept) -> Self {
        Self {
            hand_kept,
            used: BTreeSet::new(),
        }
    }

    /// What the method becomes.
    ///
    /// # Errors
    /// If no row can express it, and the hand-kept file does not name why.
    pub fn judge(&mut self, method: &CancelMethod) -> Result<Verdict<'a>> {
        let service = self.service(&method.service)?;
        let prefix = self.prefix(method);
        let suffix = self.deviation(method, DeviationKind::Suffix, |_| true);
        let suffix = suffix.map_or(SUFFIX, |deviation| deviation.what.as_str());
        let in_path = method
            .path
            .strip_prefix(&prefix)
            .and_then(|rest| rest.strip_suffix(suffix))
            .with_context(|| format!("the path {} is not {prefix}NAME{suffix}", method.path))?;
        let mapped = self.deviation(method, DeviationKind::PathOfName, |what| what == in_path);
        let mut name = mapped
            .and_then(|mapped| mapped.instead.as_deref())
            .unwrap_or(in_path)
            .to_owned();
        if let Some(left_out) = service
            .left_out
            .iter()
            .find(|row| row.version == method.version && row.name == name)
        {
            self.check_left_out(method, left_out)?;
            self.used
                .insert(key(&method.service, &left_out.version, &left_out.name));
            return Ok(Verdict::LeftOut(left_out));
        }
        self.check_request(method)?;
        let get = method.get.as_ref().context("there is no GET beside it")?;
        ensure!(get.verb == "GET", "its GET is a {}", get.verb);
        let got = get
            .path
            .strip_prefix(&prefix)
            .with_context(|| format!("GET has the path {}", get.path))?;
        if got != in_path {
            ensure!(
                name_glob::covers(in_path, got) && mapped.is_none(),
                "GET has the path {}",
                get.path
            );
            let narrower =
                self.deviation(method, DeviationKind::NarrowerGet, |what| what == in_path);
            let named = narrower.and_then(|narrower| narrower.instead.as_deref()) == Some(got);
            ensure!(named, "GET takes only {got}");
            name = got.to_owned();
        }
        let version = Version {
            prefix,
            suffix: suffix.to_owned(),
            operation: self.operation(method, get.answer)?,
            unimplemented_may_pass: self
                .deviation(method, DeviationKind::UnimplementedMayPass, |_| true)
                .is_some(),
        };
        Ok(Verdict::Row(
            version,
            name,
            mapped.is_some().then(|| in_path.to_owned()),
        ))
    }

    fn service(&self, name: &str) -> Result<&'a Service> {
        let service = self.hand_kept.services.get(name);
        service.with_context(|| format!("the hand-kept file has no service {name}: add it, with its default version and hosts"))
    }

    /// The deviation of this kind, marked as used.
    fn deviation(
        &mut self,
        method: &CancelMethod,
        kind: DeviationKind,
        what: impl Fn(&str) -> bool,
    ) -> Option<&'a Deviation> {
        let service = self.hand_kept.services.get(&method.service)?;
        let found = service.deviations.iter().find(|deviation| {
            deviation.kind == kind && deviation.is_of(&method.version) && what(&deviation.what)
        })?;
        self.used.insert(deviation_key(&method.service, found));
        Some(found)
    }

    fn prefix(&mut self, method: &CancelMethod) -> String {
        let other = self.deviation(method, DeviationKind::Prefix, |_| true);
        other.map_or_else(
            || format!("{}/", method.version),
            |other| other.what.clone(),
        )
    }

    /// The request needs no body and no query, and its answer holds nothing.
    fn check_request(&mut self, method: &CancelMethod) -> Result<()> {
        ensure!(
            method.verb == "POST",
            "the cancel request is a {}",
            method.verb
        );
        ensure!(!method.needs_query, "the cancel request needs a query");
        for query in &method.query {
            let named = self.deviation(method, DeviationKind::Query, |what| what == query);
            ensure!(
                named.is_some(),
                "the cancel request has a query parameter {query}"
            );
        }
        for field in &method.request_fields {
            let named = self.deviation(method, DeviationKind::RequestField, |what| what == field);
            ensure!(named.is_some(), "the cancel request has a field {field}");
        }
        match &method.answer_fields {
            None => {
                let named = self.deviation(method, DeviationKind::EmptyAnswer, |_| true);
                ensure!(
                    named.is_some(),
                    "the answer to the cancel request has no body"
                );
            }
            Some(fields) => ensure!(
                fields.is_empty(),
                "the answer to the cancel request has fields {fields:?}"
            ),
        }
        let get = method.get.as_ref().map(|get| get.scopes.as_slice());
        ensure!(
            get.is_none_or(has_cloud_platform),
            "the scope cloud-platform is not enough for GET"
        );
        if !has_cloud_platform(&method.scopes) {
            let named = self.deviation(method, DeviationKind::CancelScopes, |_| true);
            ensure!(
                named.is_some(),
                "the scope cloud-platform is not enough for cancel"
            );
        }
        Ok(())
    }

    fn operation(&mut self, method: &CancelMethod, form: OperationForm) -> Result<OperationForm> {
        match form {
            OperationForm::Longrunning => {}
            OperationForm::DoneStatus => {
                let named = self.deviation(method, DeviationKind::DoneStatus, |_| true);
                ensure!(
                    named.is_some(),
                    "GET answers an operation with status instead of done"
                );
            }
            OperationForm::Other => {
                bail!("GET answers neither an operation with done nor one with status")
            }
        }
        Ok(form)
    }

    /// What is left out for a reason must have that reason.
    fn check_left_out(&self, method: &CancelMethod, left_out: &LeftOut) -> Result<()> {
        let has_reason = match left_out.reason {
            Reason::NoGet => method.get.is_none(),
            Reason::CancelByGet => method.verb == "GET",
            Reason::Scopes => !has_cloud_platform(&method.scopes),
            // Checked against the rows, once all are there.
            Reason::Covered => true,
        };
        ensure!(
            has_reason,
            "the hand-kept file leaves it out for a reason that it does not have: {:?}",
            left_out.reason
        );
        Ok(())
    }

    /// To be called after all methods.
    ///
    /// # Errors
    /// If the hand-kept file names what no document has.
    pub fn finish(&self) -> Result<()> {
        for (name, service) in &self.hand_kept.services {
            let deviations = service.deviations.iter();
            let deviations = deviations.map(|deviation| deviation_key(name, deviation));
            let left_out = service.left_out.iter();
            let left_out = left_out.map(|row| key(name, &row.version, &row.name));
            let unused: Vec<_> = deviations
                .chain(left_out)
                .filter(|key| !self.used.contains(key))
                .collect();
            ensure!(
                unused.is_empty(),
                "the hand-kept file names what no document has: {unused:?}"
            );
        }
        Ok(())
    }
}

impl Deviation {
    fn is_of(&self, version: &str) -> bool {
        self.versions.is_empty() || self.versions.iter().any(|of| of == version)
    }
}

fn has_cloud_platform(scopes: &[String]) -> bool {
    scopes.iter().any(|scope| scope == CLOUD_PLATFORM)
}

fn key(service: &str, of: &str, what: &str) -> String {
    format!("{service}: {of} {what}")
}

fn deviation_key(service: &str, deviation: &Deviation) -> String {
    let of = format!("{:?} {:?}", deviation.kind, deviation.versions);
    key(service, &of, &deviation.what)
}
