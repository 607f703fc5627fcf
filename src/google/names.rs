//! The names of operations: the grammar of all of them, and the forms that a service has.

pub mod name_pattern;
pub mod operation_name;
mod pasted_name;
