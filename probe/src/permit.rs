//! Leave to cancel. The one function that sends a cancel ([`super::wire::Wire::cancel`]) wants a [`MayCancel`], and one is
//! made only here: out of a flag, and, where the flag is not for an operation that runs, out of what a GET has just said.

use super::{arguments::Arguments, fresh::Fresh, seen::NameForm};
use opcancel::google::{
    answer::{ErrorKind, GetAnswer, Operation},
    operation_name::OperationName,
};

/// What a GET said of the operation that it asked about.
#[derive(Clone, Debug)]
pub struct Said {
    answer: GetAnswer,
    about: NameForm,
}

impl Said {
    /// The answer, and how it names the operation; of an answer that is none, [`NameForm::Other`].
    pub fn new(answer: GetAnswer, about: NameForm) -> Self {
        Self { answer, about }
    }

    /// The operation; none if the answer is about another one, as from a gateway that mixes up its connections.
    pub fn operation(&self) -> Option<&Operation> {
        let ours = self.about != NameForm::Other;
        self.answer.as_ref().ok().filter(|_| ours)
    }

    /// Whether the operation is (or is not yet) done.
    pub fn done(&self, wanted: bool) -> bool {
        self.operation()
            .is_some_and(|operation| operation.done == wanted)
    }
}

/// Leave to send cancels for one operation. It cannot be copied, and nobody else can make one.
#[derive(Debug, PartialEq, Eq)]
pub struct MayCancel {
    name: OperationName,
}

/// Why there is no leave: for the table, in words.
pub type NoLeave = &'static str;

impl MayCancel {
    /// For the operation that `--cancel` names.
    ///
    /// # Errors
    /// If the flag is not given.
    pub fn told(arguments: &Arguments) -> Result<Self, NoLeave> {
        let name = arguments.cancel.clone().ok_or("needs --cancel NAME")?;
        Ok(Self { name })
    }

    /// For the operation that `--finished` names, with `--cancel-finished`, if the last GET said that it is done: done never
    /// goes back.
    ///
    /// # Errors
    /// If a flag is not given, or the GET said anything else.
    pub fn finished(arguments: &Arguments, last: Option<&Said>) -> Result<Self, NoLeave> {
        let name = arguments.finished.clone().ok_or("needs --finished NAME")?;
        if !arguments.cancel_finished {
            return Err("needs --cancel-finished");
        }
        match last {
            Some(said) if said.done(true) => Ok(Self { name }),
            _ => Err("not cancelled: no GET said that it is done"),
        }
    }

    /// For a name that was drawn here, with `--cancel-missing`, if the last GET said that there is no such operation; in the
    /// project of `--forbidden-project` also if it said that the caller may not know, which is all that can be had there.
    ///
    /// # Errors
    /// If the flag is not given, or the GET said anything else.
    pub fn missing(
        arguments: &Arguments,
        fresh: &Fresh,
        last: Option<&Said>,
    ) -> Result<Self, NoLeave> {
        if !arguments.cancel_missing {
            return Err("needs --cancel-missing");
        }
        let project = fresh.name().project();
        let forbidden = project.is_some() && arguments.forbidden_project.as_deref() == project;
        match last.map(|said| &said.answer) {
            Some(Err(error))
                if error.kind == ErrorKind::NotFound
                    || forbidden && error.kind == ErrorKind::PermissionDenied =>
            {
                Ok(Self {
                    name: fresh.name().clone(),
                })
            }
            _ => Err("not cancelled: no GET said that there is none"),
        }
    }

    /// Whose cancel it is.
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

    fn said() -> Vec<Option<Said>> {
        let operation = |done, about| {
            let operation = Operation {
                done,
                ..Operation::default()
            };
            Some(Said::new(Ok(operation), about))
        };
        let errors = ErrorKind::ALL.map(|kind| {
            let error = error(kind, Some(400), String::new());
            Some(Said::new(Err(error), NameForm::Other))
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
        fn leave_is_only_what_the_flags_and_a_get_gave(
            cancel: bool, finished: bool, cancel_finished: bool, cancel_missing: bool, in_forbidden: bool,
            said in proptest::sample::select(said()),
        ) {
            let mut flags = vec!["--project=p".to_owned(), "--forbidden-project=q".to_owned()];
            let mut add = |wanted: bool, flag: String| if wanted { flags.push(flag) };
            add(cancel, format!("--cancel={RUNNING}"));
            add(finished, format!("--finished={FINISHED}"));
            add(cancel_finished && finished, "--cancel-finished".to_owned());
            add(cancel_missing, "--cancel-missing".to_owned());
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let arguments = parse(&flags).unwrap();
            let fresh = Fresh::draw(if in_forbidden { "q" } else { "p" }, None).unwrap();
            let last = said.as_ref();
            let told = MayCancel::told(&arguments).ok().map(|leave| leave.name().to_string());
            prop_assert_eq!(told, cancel.then(|| RUNNING.to_owned()));
            let done = last.is_some_and(|said| {
                said.about != NameForm::Other && said.answer.as_ref().is_ok_and(|operation| operation.done)
            });
            let on_finished = MayCancel::finished(&arguments, last).ok().map(|leave| leave.name().to_string());
            prop_assert_eq!(on_finished, (finished && cancel_finished && done).then(|| FINISHED.to_owned()));
            let refusal = last.and_then(|said| said.answer.as_ref().err()).map(|error| error.kind.name());
            let none = refusal == Some("NOT_FOUND") || in_forbidden && refusal == Some("PERMISSION_DENIED");
            let on_missing = MayCancel::missing(&arguments, &fresh, last).ok().map(|leave| leave.name().clone());
            prop_assert_eq!(on_missing, (cancel_missing && none).then(|| fresh.name().clone()));
        }
    }
}
