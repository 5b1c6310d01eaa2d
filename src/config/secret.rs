//! Secrets: from the environment or a file, several at once, never printed.

use std::{fs, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use secrecy::SecretString;
use serde::Deserialize;

/// Where one secret comes from.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(untagged, deny_unknown_fields)]
pub enum SecretRef {
    /// A variable of the environment.
    Env {
        /// Its name.
        env: String,
    },
    /// A file with one secret a line; empty lines do not count.
    File {
        /// Its path.
        file: PathBuf,
    },
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or empty.
    #[error("the environment variable {0} holds no secret; set it")]
    Env(String),
    /// The file cannot be read.
    #[error("the secret file {path} cannot be read: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        reason: std::io::Error,
    },
    /// The file has nothing in it.
    #[error("the secret file {0} is empty")]
    Empty(PathBuf),
}

impl SecretRef {
    /// Reads the secrets behind this reference now; at least one.
    ///
    /// # Errors
    /// [`SecretError`] when there is none.
    pub fn read(&self) -> Result<Vec<SecretString>, SecretError> {
        match self {
            Self::Env { env } => match std::env::var(env) {
                Ok(value) if !value.trim().is_empty() => {
                    Ok(vec![SecretString::from(value.trim().to_owned())])
                }
                _ => Err(SecretError::Env(env.clone())),
            },
            Self::File { file } => {
                let text = fs::read_to_string(file).map_err(|reason| SecretError::File {
                    path: file.clone(),
                    reason,
                })?;
                let lines: Vec<_> = text
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty())
                    .map(|line| SecretString::from(line.to_owned()))
                    .collect();
                if lines.is_empty() {
                    Err(SecretError::Empty(file.clone()))
                } else {
                    Ok(lines)
                }
            }
        }
    }
}

/// The secrets that are valid now. [`Secrets::reload`] exchanges them while others read.
#[derive(Debug)]
pub struct Secrets {
    refs: Vec<SecretRef>,
    now: ArcSwap<Vec<SecretString>>,
}

impl Secrets {
    /// Reads all references.
    ///
    /// # Errors
    /// [`SecretError`] for the first that cannot be had.
    pub fn load(refs: Vec<SecretRef>) -> Result<Self, SecretError> {
        let now = ArcSwap::from_pointee(read_all(&refs)?);
        Ok(Self { refs, now })
    }

    /// Fixed secrets, which nothing reloads.
    #[must_use]
    pub fn fixed(secrets: Vec<SecretString>) -> Self {
        Self {
            refs: Vec::new(),
            now: ArcSwap::from_pointee(secrets),
        }
    }

    /// The secrets valid now.
    #[must_use]
    pub fn current(&self) -> Arc<Vec<SecretString>> {
        self.now.load_full()
    }

    /// Reads all references again; on an error the old secrets stay valid.
    ///
    /// # Errors
    /// [`SecretError`] for the first that cannot be had.
    pub fn reload(&self) -> Result<(), SecretError> {
        if !self.refs.is_empty() {
            self.now.store(Arc::new(read_all(&self.refs)?));
        }
        Ok(())
    }
}

fn read_all(refs: &[SecretRef]) -> Result<Vec<SecretString>, SecretError> {
    let mut all = Vec::new();
    for one in refs {
        all.extend(one.read()?);
    }
    Ok(all)
}
