//! `opcancel-probe`: asks a real project's API the questions that the design answers in its table "what each answer means",
//! and shows what was expected beside what was seen. So somebody with a Google project can tell where the design, or the
//! emulator that the tests stand on, is wrong.
//!
//! Guarantees: what is sent is known before ([`plan`]), bounded, and paced; without a flag that says so only GETs are
//! sent; a cancel is sent by one function only, which wants a [`permit::MayCancel`]; a row is never tried twice; what
//! comes from outside was cut and cleaned by `google`, and no token is ever shown.
//!
//! Caveat: what it asks is charged to the caller's quota and stands in the project's audit log, under
//! `opcancel - opcancel-probe/ROW RUN`.

pub mod arguments;
pub mod end;
pub mod form;
pub mod fresh;
pub mod permit;
pub mod plan;
pub mod redact;
pub mod render;
pub mod report;
pub mod rows;
pub mod run;
pub mod seen;
pub mod set_up;
pub mod wire;
