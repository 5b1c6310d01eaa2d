//! The simulator as a running server.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
    middleware::from_fn,
    rt::System,
    web::Data,
};
use secrecy::SecretString;

use super::{
    company::Company,
    faults::FaultSwitch,
    routes::{self, Simulated},
    world::World,
};
use crate::clock::Clock;

/// A running simulator; it stops when this is dropped.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    faults: FaultSwitch,
    server: ServerHandle,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Simulator {
    /// Serves `company` on `listen` in a thread of its own; port 0 takes a free one.
    ///
    /// `api_key` becomes the secret of the company's administrative key.
    ///
    /// # Errors
    /// When the address cannot be had, or the company contradicts itself.
    pub fn start(
        company: Company,
        api_key: SecretString,
        listen: SocketAddr,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let world = World::new(company, &api_key, clock)
            .map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        // Only its hash is kept.
        drop(api_key);
        let faults = FaultSwitch::default();
        let state = Data::new(Simulated {
            world: Mutex::new(world),
            faults: faults.clone(),
        });
        let listener = TcpListener::bind(listen)?;
        let addr = listener.local_addr()?;
        let (started, handle) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || System::new().block_on(serve(listener, state, started)))?;
        match handle.recv() {
            Ok(server) => Ok(Self {
                addr,
                faults,
                server,
                thread: Some(thread),
            }),
            Err(_) => Err(join(thread).err().unwrap_or_else(died)),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What a client takes for the API's address.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Switches faults on and off.
    #[must_use]
    pub fn faults(&self) -> FaultSwitch {
        self.faults.clone()
    }

    /// Stops serving, and waits until it has.
    ///
    /// # Errors
    /// When the server failed.
    pub fn stop(mut self) -> io::Result<()> {
        self.halt()
    }

    fn halt(&mut self) -> io::Result<()> {
        // The command is sent by the call; the future only waits, as the join does.
        drop(self.server.stop(false));
        self.thread.take().map_or(Ok(()), join)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        if let Err(reason) = self.halt() {
            tracing::warn!(%reason, "the simulator ended badly");
        }
    }
}

async fn serve(
    listener: TcpListener,
    state: Data<Simulated>,
    started: SyncSender<ServerHandle>,
) -> io::Result<()> {
    let server = server(listener, state)?;
    started.send(server.handle()).map_err(io::Error::other)?;
    server.await
}

fn server(listener: TcpListener, state: Data<Simulated>) -> io::Result<Server> {
    let build = move || {
        App::new()
            .app_data(state.clone())
            .wrap(from_fn(routes::suffer_faults))
            .configure(routes::routes)
    };
    let server = HttpServer::new(build).workers(1).disable_signals();
    Ok(server.listen(listener)?.run())
}

fn join(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread.join().unwrap_or_else(|_| Err(died()))
}

fn died() -> io::Error {
    io::Error::other("the simulator's thread died")
}
