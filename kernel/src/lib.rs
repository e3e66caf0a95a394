//! The native kernel of LogOps Fast: the bytes of a batch in; finished, masked lines out, with the byte ranges of what
//! it is not certain of, which the reference in Python reads.
//!
//! Python is the reference. The kernel finishes an event only if every rule of the reference that could apply is one it
//! knows (see `text`); names, levels, and what becomes of a set of names it learns from the reference (`layouts`).

pub mod bitmaps;
pub mod digest;
pub mod escapes;
pub mod events;
pub mod head;
pub mod layouts;
pub mod messages;
pub mod numbers;
pub mod otlp;
#[cfg(feature = "python")]
pub mod python;
mod rare;
pub mod table;
pub mod text;
pub mod times;
pub mod tokens;
mod values;
pub mod wire;

/// Digest of the rules built into `text`, as the reference states them; compared at the start.
pub const DIGEST: &str = include_str!("reference.digest");
