//! The two views of one definition: a form with the common fields, and JSON with everything.
//!
//! The JSON is the definition. The form shows a part of it; writing the form back touches only what differs from what
//! it showed, so that whatever has no field stays as it is, in the place and the dialect its author chose.

mod apply;
mod compact;
mod form;
mod posted;
mod schema;
mod text;
mod view;

pub use compact::compact;
pub use form::Form;
pub use posted::{Draft, DraftError, Side, draft};
pub use text::pretty;
pub use view::{FormView, Slots};
