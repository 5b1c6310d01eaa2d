//! Stopping in order: everything that runs is named here, waited for, and missed when it dies.

use std::{future::Future, io, sync::Arc, thread, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a commit that is under way may take once stopping is asked for.
const GRACE: Duration = Duration::from_secs(4);

/// What `work` gives; nothing when it is not done some seconds after stopping was asked for.
///
/// A log whose brokers are away answers when they are back, and stopping does not wait for that.
pub async fn with_grace<F: Future>(stop: &CancellationToken, work: F) -> Option<F::Output> {
    let end = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = end => None,
    }
}

/// How one part ended.
pub type Ending = anyhow::Result<()>;

/// The parts of the service, each on a thread and runtime of its own.
///
/// A thread each means that blocking reads of one part, and a receiver that hangs, cost nobody
/// else anything.
#[derive(Debug)]
pub struct Parts {
    stop: CancellationToken,
    ended: mpsc::Receiver<(Arc<str>, Ending)>,
    report: mpsc::Sender<(Arc<str>, Ending)>,
    running: usize,
}

/// More parts than anybody configures.
const MOST_PARTS: usize = 1024;

impl Parts {
    /// No parts yet; they stop when `stop` is cancelled.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        let (report, ended) = mpsc::channel(MOST_PARTS);
        Self {
            stop,
            ended,
            report,
            running: 0,
        }
    }

    /// Runs a part. `work` gets the token that tells it to stop.
    ///
    /// # Errors
    /// When no thread or runtime can be had.
    pub fn spawn<F>(
        &mut self,
        name: &str,
        work: impl FnOnce(CancellationToken) -> F + Send + 'static,
    ) -> io::Result<()>
    where
        F: Future<Output = Ending>,
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, report) = (self.stop.clone(), self.report.clone());
        let name: Arc<str> = name.into();
        thread::Builder::new()
            .name(name.to_string())
            .spawn(move || {
                let ending = runtime.block_on(work(stop));
                // Nobody listens any more only when the process is about to end.
                drop(report.blocking_send((name, ending)));
            })?;
        self.running += 1;
        Ok(())
    }

    /// Waits until a part ends or stopping is asked for, has everybody stop, and waits for them.
    ///
    /// # Errors
    /// How the first part that failed did, or that one ended though nobody asked it to.
    pub async fn wait(mut self) -> Ending {
        let mut result = Ok(());
        while self.running > 0 {
            let Some((name, ending)) = self.ended.recv().await else {
                break;
            };
            self.running -= 1;
            let was_asked = self.stop.is_cancelled();
            tracing::debug!(part = %name, "stopped");
            let failure = match ending {
                Ok(()) if was_asked => None,
                Ok(()) => Some(anyhow::anyhow!("{name} stopped though nobody asked it to")),
                Err(error) => Some(error.context(format!("{name} failed"))),
            };
            if let Some(error) = failure {
                tracing::error!(part = %name, error = format!("{error:#}"), "a part failed");
                result = result.and(Err(error));
            }
            self.stop.cancel();
        }
        result
    }
}
