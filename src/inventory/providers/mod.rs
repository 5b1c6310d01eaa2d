//! One file or folder a provider.

pub mod deepgram;
