//! A TCP proxy in front of a broker that breaks connections in every way they break.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// `EndTxn` (the Kafka protocol guide, "API Keys").
const END_TRANSACTION: i16 = 26;
/// How often a held connection looks whether it is let go.
const GLANCE: Duration = Duration::from_millis(20);

/// What happens to what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    None,
    /// Every connection is closed, new ones too.
    Reset,
    /// One byte at a time comes back.
    Crawl,
    /// Nothing comes back, and nothing goes.
    BlackHole,
    /// Only the answers to the ends of transactions do not come back.
    LoseEndOfTransaction,
}

#[derive(Default)]
struct State {
    fault: AtomicU8,
    lost: AtomicUsize,
    backend: Mutex<Option<SocketAddr>>,
}

impl State {
    fn is(&self, fault: Fault) -> bool {
        self.fault.load(Ordering::SeqCst) == fault as u8
    }
}

/// A proxy on a port of its own; its threads end with the process.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

impl Proxy {
    pub(crate) fn bind() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let backend = *shared.backend.lock().unwrap();
                if shared.is(Fault::Reset) {
                    continue;
                }
                if let Some(Ok(broker)) = backend.map(TcpStream::connect) {
                    join(client, broker, &shared);
                }
            }
        });
        Self { address, state }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn forward_to(&self, backend: SocketAddr) {
        *self.state.backend.lock().unwrap() = Some(backend);
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.state.fault.store(fault as u8, Ordering::SeqCst);
    }

    /// How many answers to the ends of transactions were lost.
    pub(crate) fn lost(&self) -> usize {
        self.state.lost.load(Ordering::SeqCst)
    }
}

/// The ids of the requests that end transactions, on one connection.
type Ends = Arc<Mutex<BTreeSet<[u8; 4]>>>;

fn join(client: TcpStream, broker: TcpStream, state: &Arc<State>) {
    let ends = Ends::default();
    for stream in [&client, &broker] {
        stream.set_nodelay(true).unwrap();
    }
    let (from, to) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
    let (there, known) = (state.clone(), ends.clone());
    thread::spawn(move || carry(from, to, &there, |frame| note(frame, &known)));
    let back = state.clone();
    thread::spawn(move || {
        let inner = back.clone();
        carry(broker, client, &back, |frame| keep(frame, &ends, &inner));
    });
}

/// A request: its api key and correlation id come first (request header v0 and later).
fn note(frame: &[u8], ends: &Ends) -> bool {
    if frame[..2] == END_TRANSACTION.to_be_bytes() {
        let id = frame[4..8].try_into().unwrap();
        ends.lock().unwrap().insert(id);
    }
    true
}

/// An answer: its correlation id comes first.
fn keep(frame: &[u8], ends: &Ends, state: &State) -> bool {
    let id = frame[..4].try_into().unwrap();
    let is_an_end = ends.lock().unwrap().remove::<[u8; 4]>(&id);
    let is_lost = is_an_end && state.is(Fault::LoseEndOfTransaction);
    if is_lost {
        state.lost.fetch_add(1, Ordering::SeqCst);
    }
    !is_lost
}

/// Carries frames, each with its length before it, until a side closes or everything is reset.
fn carry(mut from: TcpStream, mut to: TcpStream, state: &State, passes: impl Fn(&[u8]) -> bool) {
    let mut length = [0; 4];
    while from.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        if from.read_exact(&mut frame).is_err() || state.is(Fault::Reset) {
            break;
        }
        while state.is(Fault::BlackHole) {
            thread::sleep(GLANCE);
        }
        if passes(&frame) && write(&mut to, &[&length[..], &frame].concat(), state).is_err() {
            break;
        }
    }
    // Whoever is on the other side may be gone already.
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}

fn write(to: &mut TcpStream, bytes: &[u8], state: &State) -> std::io::Result<()> {
    let mut rest = bytes;
    while state.is(Fault::Crawl) && !rest.is_empty() {
        to.write_all(&rest[..1])?;
        rest = &rest[1..];
        thread::sleep(GLANCE);
    }
    to.write_all(rest)
}
