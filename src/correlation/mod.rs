//! Correlation: what a change does to every key of a person. A pure function over history.
//!
//! No IO, no clock, no async. The live path and the preview call the same function, and the same
//! inputs give the same digest.

mod arrival;
mod assess;
mod carried;
mod common;
mod compose;
mod correlate;
mod digest;
mod foretold;
pub mod gate;
mod groups;
pub mod identity;
mod inputs;
mod judge;
pub mod ownership;
pub mod people;
pub mod policy;
mod previewed;
mod returned;
mod revise;
mod roles;
pub mod schedule;
pub mod severity;
mod severity_table;
mod successor;
#[cfg(test)]
mod tests;
pub mod ties;
pub mod traffic;
mod verified;
mod verify;
mod whose;

pub use correlate::{Awaited, correlate, foresee};
pub use inputs::Inputs;
pub use ownership::PersonHistory;
pub use policy::Policy;
pub use revise::{Published, revise};
