//! Faults that can be switched on while the simulator runs.

use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;

/// What goes wrong from now on; the default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Answer this instead: 401, 403, 429, 500 or 503.
    pub status: Option<u16>,
    /// With `status`: the `Retry-After` header, in seconds.
    pub retry_after: Option<u64>,
    /// Wait before answering, in milliseconds.
    pub delay_ms: u64,
    /// Leave out the last keys of every list: still 200.
    pub drop_keys: usize,
    /// Leave out the last members of every list: still 200.
    pub drop_members: usize,
    /// Removing a member leaves their keys alive.
    pub keep_keys: bool,
    /// Only where the path contains this; absent: everywhere.
    pub only: Option<String>,
    /// Only for so many requests; absent: until switched off.
    pub next: Option<u32>,
}

/// A fault that does not exist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("status {0} is no fault; known are 401, 403, 429, 500 and 503")]
pub struct NoSuchFault(u16);

/// Switches faults on and off; clones switch the same.
#[derive(Debug, Clone, Default)]
pub struct FaultSwitch(Arc<Mutex<Faults>>);

/// What goes wrong with one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble {
    pub(crate) refusal: Option<Refusal>,
    pub(crate) delay_ms: u64,
    pub(crate) drop_keys: usize,
    pub(crate) drop_members: usize,
    pub(crate) keep_keys: bool,
}

impl FaultSwitch {
    /// Replaces all faults by these.
    ///
    /// # Errors
    /// [`NoSuchFault`] for a status that cannot be simulated; nothing is switched then.
    pub fn set(&self, faults: Faults) -> Result<(), NoSuchFault> {
        match faults.status {
            Some(status) if ![401, 403, 429, 500, 503].contains(&status) => {
                Err(NoSuchFault(status))
            }
            _ => {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = faults;
                Ok(())
            }
        }
    }

    /// Switches all faults off.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Faults::default();
    }

    /// What is switched on.
    #[must_use]
    pub fn current(&self) -> Faults {
        let faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.clone()
    }

    /// What goes wrong with a request to `path`; counts it.
    pub(crate) fn strike(&self, path: &str) -> Trouble {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elsewhere = faults
            .only
            .as_ref()
            .is_some_and(|only| !path.contains(only));
        if elsewhere || faults.next == Some(0) {
            return Trouble::default();
        }
        faults.next = faults.next.map(|left| left - 1);
        let status = faults
            .status
            .and_then(|code| StatusCode::from_u16(code).ok());
        Trouble {
            refusal: status.map(|status| Refusal::Injected {
                status,
                retry_after: faults.retry_after,
            }),
            delay_ms: faults.delay_ms,
            drop_keys: faults.drop_keys,
            drop_members: faults.drop_members,
            keep_keys: faults.keep_keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FaultSwitch, Faults, NoSuchFault};

    #[test]
    fn a_fault_strikes_as_often_as_it_was_told_and_only_there() {
        let switch = FaultSwitch::default();
        let faults = Faults {
            status: Some(429),
            only: Some("/keys".to_owned()),
            next: Some(2),
            ..Faults::default()
        };
        switch.set(faults).unwrap();
        let struck = ["/keys", "/members", "/keys", "/keys"]
            .map(|path| switch.strike(path).refusal.is_some());
        assert_eq!(struck, [true, false, true, false]);
    }

    #[test]
    fn a_status_that_cannot_be_simulated_is_refused() {
        let faults = Faults {
            status: Some(418),
            ..Faults::default()
        };
        assert_eq!(FaultSwitch::default().set(faults), Err(NoSuchFault(418)));
    }
}
