//! Configuration: TOML, then the environment, then flags; parsed into real types at load.

pub mod provider;
pub mod secret;
