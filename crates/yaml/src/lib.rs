//! YAML 1.1 as PyYAML reads it, every node with its position, and diagnostics that show the line.
//!
//! [`parse`] and [`read_file`] return a [`Document`] together with everything that is wrong. A [`Node`] of it offers
//! the text as written ([`Node::text`]), the typed value ([`Node::safe`]), and getters that report what does not fit
//! ([`Node::want_str`] and its kin). What a reader finds wrong goes into the same [`Diagnostics`]:
//!
//! ```
//! use campanile_yaml::{Schema, parse};
//!
//! let (document, mut diagnostics) = parse("site.yaml".as_ref(), b"hub: {wamp_realm: 5}", Schema::Safe);
//! let document = document.expect("it is YAML");
//! let realm = document.root().get("hub").and_then(|hub| hub.get("wamp_realm"));
//! assert_eq!(realm.and_then(|realm| realm.want_str(&mut diagnostics)), None);
//! assert!(diagnostics.render(false).contains("expected a text, found the integer `5`"));
//! ```
//!
//! **Differences from PyYAML**, all of them on purpose:
//! * A value that contains itself through an alias is an error.
//! * Size, nesting, and the number of values (with aliases written out) are limited, so that a small file cannot take
//!   all memory.
//! * Repeated keys get a warning.
//! * The syntax is that of YAML 1.2 where it allows more: `tests/pyyaml/main.rs` has the whole list.

mod build;
mod checks;
mod construct;
mod diagnostic;
mod input;
mod key;
mod merge;
mod node;
mod number;
mod python;
mod read;
mod render;
mod source;
mod strict;
mod suggest;
mod syntax;
mod tag;
mod timestamp;
mod value;

pub use build::{MAX_DEPTH, MAX_NODES};
pub use diagnostic::{Diagnostic, Diagnostics, MAX_DIAGNOSTICS, Position, Related, Severity, Span};
pub use input::{MAX_FILE_BYTES, parse, read_file};
pub use node::{Document, Kind, Node, Schema};
pub use render::stderr_wants_color;
pub use source::Source;
pub use suggest::did_you_mean;
pub use timestamp::{Date, DateTime};
pub use value::Value;
