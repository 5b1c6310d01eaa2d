//! Brings the write-ahead log into the file, off the way of a report.

use std::{
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;

use super::ProjectionError;

/// How often. Pages that change often are written once each time.
const TICK: Duration = Duration::from_millis(500);

/// A thread that cares for the file until it is dropped.
pub(super) struct Care {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Care {
    pub(super) fn start(path: &Path, synchronous: &str) -> Result<Self, ProjectionError> {
        let db = super::connect(path)?;
        db.pragma_update(None, "synchronous", synchronous)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("offkey-projection-care".to_owned())
            .spawn(move || run(&db, &stopped))
            .map_err(|reason| ProjectionError::File {
                path: path.to_owned(),
                reason,
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Care {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Its connection must not outlive the file: closing it would take away the write-ahead log
        // of the file that stands there next.
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(db: &Connection, stopped: &mpsc::Receiver<()>) {
    while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        let done = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = done {
            // Whoever writes tries too, and tells what it means.
            tracing::debug!(%error, "the projection's write-ahead log stays where it is");
        }
    }
}
