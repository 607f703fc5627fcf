//! Consent to cancel. The one function that sends a cancel ([`super::paced_client::PacedClient::cancel`]) needs a
//! [`CancelConsent`]. Only this module creates one: from a flag and, if the flag is not for a running operation, from the
//! answer to the last GET.

use super::{arguments::Arguments, observation::NameForm, random_name::RandomName};
use opcancel::google::{
    answer::{ErrorKind, GetAnswer, Operation},
    operation_name::OperationName,
};

/// The answer to the last GET of an operation.
#[derive(Clone, Debug)]
pub struct LastAnswer {
    answer: GetAnswer,
    about: NameForm,
}

impl LastAnswer {
    /// `about` is how the answer names the operation; [`NameForm::Other`] if there is no operation in it.
    pub fn new(answer: GetAnswer, about: NameForm) -> Self {
        Self { answer, about }
    }

    /// The operation. `None` if the answer is about another one, for example from a gateway that mixes up its connections.
    pub fn operation(&self) -> Option<&Operation> {
        let ours = self.about != NameForm::Other;
        self.answer.as_ref().ok().filter(|_| ours)
    }

    /// Whether there is an operation whose `done` has this value.
    pub fn done(&self, wanted: bool) -> bool {
        self.operation()
            .is_some_and(|operation| operation.done == wanted)
    }
}

/// Consent to send cancels for one operation. It cannot be copied, and no other module can create one.
#[derive(Debug, PartialEq, Eq)]
pub struct CancelConsent {
    name: OperationName,
}

/// Why there is no consent, as the report prints it.
pub type NoConsent = &'static str;

impl CancelConsent {
    /// For the operation that `--cancel` names.
    ///
    /// # Errors
    /// If the flag is not given.
    pub fn running(arguments: &Arguments) -> Result<Self, NoConsent> {
        let name = arguments.cancel.clone().ok_or("needs --cancel NAME")?;
        Ok(Self { name })
    }

    /// For the operation of `--finished`, with `--cancel-finished`, if the last GET reported that it is done: an operation
    /// that is done never runs again.
    ///
    /// # Errors
    /// If a flag is not given, or the GET returned anything else.
    pub fn finished(arguments: &Arguments, last: Option<&LastAnswer>) -> Result<Self, NoConsent> {
        let name = arguments.finished.clone().ok_or("needs --finished NAME")?;
        if !arguments.cancel_finished {
            return Err("needs --cancel-finished");
        }
        match last {
            Some(answer) if answer.done(true) => Ok(Self { name }),
            _ => Err("not cancelled: no GET reported that it is done"),
        }
    }

    /// For a random name, with `--cancel-missing`, if the last GET reported NOT_FOUND. In the project of
    /// `--forbidden-project` PERMISSION_DENIED also counts, since the caller cannot get any other answer there.
    ///
    /// # Errors
    /// If the flag is not given, or the GET returned anything else.
    pub fn missing(
        arguments: &Arguments,
        random: &RandomName,
        last: Option<&LastAnswer>,
    ) -> Result<Self, NoConsent> {
        if !arguments.cancel_missing {
            return Err("needs --cancel-missing");
        }
        let project = random.name().project();
        let forbidden = project.is_some() && arguments.forbidden_project.as_deref() == project;
        match last.map(|last| &last.answer) {
            Some(Err(error))
                if error.kind == ErrorKind::NotFound
                    || forbidden && error.kind == ErrorKind::PermissionDenied =>
            {
                Ok(Self {
                    name: random.name().clone(),
                })
            }
            _ => Err("not cancelled: no GET reported that there is no such operation"),
        }
    }

    /// The operation that may be cancelled.
    pub fn name(&self) -> &OperationName {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::{super::arguments::tests::parse, *};
    use opcancel::google::rpc_error::error;
    use proptest::prelude::*;

    const RUNNING: &str = "projects/p/operations/running";
    const FINISHED: &str = "projects/p/operations/finished";

    fn answers() -> Vec<Option<LastAnswer>> {
        let operation = |done, about| {
            let operation = Operation {
                done,
                ..Operation::default()
            };
            Some(LastAnswer::new(Ok(operation), about))
        };
        let errors = ErrorKind::ALL.iter().map(|&kind| {
            let error = error(kind, Some(400), String::new());
            Some(LastAnswer::new(Err(error), NameForm::Other))
        });
        let mut all = vec![None];
        for about in [NameForm::AsAsked, NameForm::ProjectNumber, NameForm::Other] {
            all.extend([operation(true, about), operation(false, about)]);
        }
        all.extend(errors);
        all
    }

    proptest! {
        /// Over all flags and all that a GET can say.
        #[test]
        fn consent_comes_only_from_the_flags_and_a_get(
            cancel: bool, finished: bool, cancel_finished: bool, cancel_missing: bool, in_forbidden: bool,
            answer in proptest::sample::select(answers()),
        ) {
            let mut flags = vec!["--project=p".to_owned(), "--forbidden-project=q".to_owned()];
            let mut add = |wanted: bool, flag: String| if wanted { flags.push(flag) };
            add(cancel, format!("--cancel={RUNNING}"));
            add(finished, format!("--finished={FINISHED}"));
            add(cancel_finished && finished, "--cancel-finished".to_owned());
            add(cancel_missing, "--cancel-missing".to_owned());
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let arguments = parse(&flags).unwrap();
            let random = RandomName::draw(arguments.version_row().unwrap(), if in_forbidden { "q" } else { "p" }, None).unwrap();
            let last = answer.as_ref();
            let on_running = CancelConsent::running(&arguments).ok().map(|consent| consent.name().to_string());
            prop_assert_eq!(on_running, cancel.then(|| RUNNING.to_owned()));
            let done = last.is_some_and(|last| {
                last.about != NameForm::Other && last.answer.as_ref().is_ok_and(|operation| operation.done)
            });
            let on_finished = CancelConsent::finished(&arguments, last).ok().map(|consent| consent.name().to_string());
            prop_assert_eq!(on_finished, (finished && cancel_finished && done).then(|| FINISHED.to_owned()));
            let refusal = last.and_then(|last| last.answer.as_ref().err()).map(|error| error.kind.name());
            let none = refusal == Some("NOT_FOUND") || in_forbidden && refusal == Some("PERMISSION_DENIED");
            let on_missing = CancelConsent::missing(&arguments, &random, last).ok().map(|consent| consent.name().clone());
            prop_assert_eq!(on_missing, (cancel_missing && none).then(|| random.name().clone()));
        }
    }
}
