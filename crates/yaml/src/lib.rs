//! YAML 1.1 as PyYAML reads it, every node with its position, and diagnostics that show the line.

mod diagnostic;
mod render;
mod source;
mod suggest;

pub use diagnostic::{Diagnostic, Diagnostics, MAX_DIAGNOSTICS, Position, Related, Severity, Span};
pub use render::stderr_wants_color;
pub use source::Source;
pub use suggest::did_you_mean;
