//! Configuration: TOML, then the environment, then flags; parsed into real types at load.

pub mod declarative;
pub mod http;
pub mod secret;
pub mod source;
