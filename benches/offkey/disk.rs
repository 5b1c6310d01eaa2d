//! The floors of the disk and of an HTTP server that only writes down.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use tokio::{
    runtime::Runtime,
    sync::{mpsc, oneshot},
};

fn append_to(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// How long it takes to append `bytes` and have them on disk, again and again for `time`.
pub(crate) fn syncs(folder: &Path, bytes: usize, time: Duration) -> std::io::Result<Vec<Duration>> {
    let mut file = append_to(&folder.join("syncs"))?;
    let (page, begin) = (vec![7; bytes], Instant::now());
    let mut times = Vec::new();
    while begin.elapsed() < time {
        let start = Instant::now();
        file.write_all(&page)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    fs::remove_file(folder.join("syncs"))?;
    Ok(times)
}

type Waiting = (web::Bytes, oneshot::Sender<()>);

/// A server that appends every body to a file, syncs what came together, and answers 202.
///
/// Nothing else than ours does too is left out of it but reading the body: same HTTP library, as
/// many workers, one thread that writes.
pub(crate) struct Floor {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    server: ServerHandle,
    runtime: Runtime,
}

impl Floor {
    /// Starts one that writes to a file of its own in `folder`.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        let (jobs, waiting) = mpsc::channel::<Waiting>(1024);
        let file = append_to(&folder.join("bodies"))?;
        thread::Builder::new()
            .name("floor-writer".to_owned())
            .spawn(move || write(file, waiting))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let jobs = web::Data::new(jobs);
        let app = move || {
            App::new()
                .app_data(jobs.clone())
                .route("/in/okta", web::post().to(write_down))
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let server = HttpServer::new(app)
            .disable_signals()
            .listen(listener)?
            .run();
        drop(entered);
        let handle = server.handle();
        drop(runtime.spawn(server));
        Ok(Self {
            address,
            server: handle,
            runtime,
        })
    }

    /// Stops it, and its threads.
    pub(crate) fn stop(self) {
        self.runtime.block_on(self.server.stop(false));
    }
}

fn write(mut file: File, mut waiting: mpsc::Receiver<Waiting>) -> std::io::Result<()> {
    let (mut bytes, mut answers) = (Vec::new(), Vec::new());
    while let Some(first) = waiting.blocking_recv() {
        let mut next = Some(first);
        while let Some((body, answer)) = next {
            bytes.extend_from_slice(&body);
            answers.push(answer);
            next = waiting.try_recv().ok();
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        bytes.clear();
        for answer in answers.drain(..) {
            // Who asked may be gone.
            answer.send(()).unwrap_or_default();
        }
    }
    Ok(())
}

async fn write_down(body: web::Bytes, jobs: web::Data<mpsc::Sender<Waiting>>) -> HttpResponse {
    let (done, answer) = oneshot::channel();
    if jobs.send((body, done)).await.is_ok() && answer.await.is_ok() {
        HttpResponse::Accepted().finish()
    } else {
        HttpResponse::ServiceUnavailable().finish()
    }
}
