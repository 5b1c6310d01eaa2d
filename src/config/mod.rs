//! Configuration: TOML, then the environment, then flags; parsed into real types at load.

pub mod secret;
pub mod sink;
