//! Leave to cancel. The one function that sends a cancel ([`super::wire::Wire::cancel`]) wants a [`MayCancel`], and one is
//! made only here: out of a flag, and, where the flag is not for an operation that runs, out of what a GET has just said.

use super::{arguments::Arguments, fresh::Fresh};
use crate::google::{
    answer::{ErrorKind, GetAnswer},
    operation_name::OperationName,
};

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
    pub fn finished(arguments: &Arguments, last: Option<&GetAnswer>) -> Result<Self, NoLeave> {
        let name = arguments.finished.clone().ok_or("needs --finished NAME")?;
        if !arguments.cancel_finished {
            return Err("needs --cancel-finished");
        }
        match last {
            Some(Ok(operation)) if operation.done => Ok(Self { name }),
            _ => Err("not cancelled: no GET said that it is done"),
        }
    }

    /// For a name that was drawn here, with `--cancel-missing`, if the last GET said that there is no such operation, or
    /// that the caller may not know.
    ///
    /// # Errors
    /// If the flag is not given, or the GET said anything else.
    pub fn missing(
        arguments: &Arguments,
        fresh: &Fresh,
        last: Option<&GetAnswer>,
    ) -> Result<Self, NoLeave> {
        if !arguments.cancel_missing {
            return Err("needs --cancel-missing");
        }
        match last {
            Some(Err(error))
                if matches!(
                    error.kind,
                    ErrorKind::NotFound | ErrorKind::PermissionDenied
                ) =>
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
    use crate::google::{answer::Operation, rpc_error::error};
    use proptest::prelude::*;

    const RUNNING: &str = "projects/p/operations/running";
    const FINISHED: &str = "projects/p/operations/finished";

    fn answers() -> Vec<Option<GetAnswer>> {
        let operation = |done| Operation {
            done,
            ..Operation::default()
        };
        let errors = ErrorKind::ALL.map(|kind| Some(Err(error(kind, Some(400), String::new()))));
        let mut all = vec![None, Some(Ok(operation(true))), Some(Ok(operation(false)))];
        all.extend(errors);
        all
    }

    proptest! {
        /// Over all flags and all that a GET can say.
        #[test]
        fn leave_is_only_what_the_flags_and_a_get_gave(
            cancel: bool, finished: bool, cancel_finished: bool, cancel_missing: bool,
            answer in proptest::sample::select(answers()),
        ) {
            let mut flags = vec!["--project=p".to_owned()];
            let mut add = |wanted: bool, flag: String| if wanted { flags.push(flag) };
            add(cancel, format!("--cancel={RUNNING}"));
            add(finished, format!("--finished={FINISHED}"));
            add(cancel_finished && finished, "--cancel-finished".to_owned());
            add(cancel_missing, "--cancel-missing".to_owned());
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            let arguments = parse(&flags).unwrap();
            let fresh = Fresh::draw("p", None).unwrap();
            let last = answer.as_ref();
            let told = MayCancel::told(&arguments).ok().map(|leave| leave.name().to_string());
            prop_assert_eq!(told, cancel.then(|| RUNNING.to_owned()));
            let done = matches!(last, Some(Ok(operation)) if operation.done);
            let on_finished = MayCancel::finished(&arguments, last).ok().map(|leave| leave.name().to_string());
            prop_assert_eq!(on_finished, (finished && cancel_finished && done).then(|| FINISHED.to_owned()));
            let none = matches!(last, Some(Err(error)) if ["NOT_FOUND", "PERMISSION_DENIED"].contains(&error.kind.name()));
            let on_missing = MayCancel::missing(&arguments, &fresh, last).ok().map(|leave| leave.name().clone());
            prop_assert_eq!(on_missing, (cancel_missing && none).then(|| fresh.name().clone()));
        }
    }
}
