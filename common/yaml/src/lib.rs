//! YAML with positions: every value knows its line, and every error names file, line, column and field.
//!
//! In: the text of a file that people write.
//! Out: a tree of [`Node`]s, and [`Cursor`]s through it that validate what they find.
//! Never: knows what a field means, guesses a type, opens a file.
//!
//! Reading order: [`node`] (the tree), [`stream`] (documents of one text), [`cursor`] (positions with paths),
//! [`error`], [`scalar`] (texts, numbers, addresses and choices).

#![forbid(unsafe_code)]

pub mod cursor;
pub mod error;
pub mod nearest;
pub mod node;
pub mod scalar;
pub mod stream;

pub use cursor::{Cursor, Document, Object};
pub use error::{Error, Problem, Warning};
pub use node::{Key, Malformed, Node, Position, Value};
pub use stream::{Part, parts};
