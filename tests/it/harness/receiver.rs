//! A receiver of webhooks that checks signatures, and behaves as badly as it is told.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use offkey::sinks::webhook::signature::{SignatureKey, sign_all};

use super::SECRET;

type Head = Vec<(String, String)>;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Stores and says so.
    Well,
    /// Stores, and closes the connection without an answer.
    StoresAndCloses,
    /// Refuses with this status.
    Answers(u16),
    /// Takes the request and says nothing.
    Hangs,
    /// Says that it is to be had elsewhere.
    Redirects(SocketAddr),
}

/// One webhook whose signature fits.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) id: String,
    pub(crate) trace: String,
    pub(crate) body: serde_json::Value,
}

struct State {
    mood: Mood,
    stored: Vec<Webhook>,
    connections: usize,
    forged: usize,
}

/// Listens until the test ends.
#[derive(Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    pub(crate) fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(State {
                mood,
                stored: Vec::new(),
                connections: 0,
                forged: 0,
            })),
        };
        let shared = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                shared.state.lock().unwrap().connections += 1;
                thread::spawn(move || shared.converse(stream));
            }
        });
        receiver
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A `[[sink]]` that delivers here; `more` are further lines.
    pub(crate) fn sink(&self, name: &str, secret: &std::path::Path, more: &str) -> String {
        let address = self.address;
        format!(
            "[[sink]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"http://{address}/hook\"\n\
             secrets = [{{ file = {secret:?} }}]\n{more}\n"
        )
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    pub(crate) fn stored(&self) -> Vec<Webhook> {
        self.state.lock().unwrap().stored.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    pub(crate) fn forged(&self) -> usize {
        self.state.lock().unwrap().forged
    }

    fn converse(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some((head, body)) = read_request(&mut reader) {
            let Some(status) = self.judge(&head, &body) else {
                return;
            };
            let more = match self.state.lock().unwrap().mood {
                Mood::Redirects(elsewhere) => format!("location: http://{elsewhere}/\r\n"),
                _ => String::new(),
            };
            let answer = format!("HTTP/1.1 {status} X\r\n{more}content-length: 0\r\n\r\n");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// The status to answer; nothing: close.
    fn judge(&self, head: &[(String, String)], body: &[u8]) -> Option<u16> {
        let header = |name: &str| {
            let found = head.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let key = SignatureKey::parse(&SECRET.to_owned().into()).unwrap();
        let (id, seconds) = (header("webhook-id"), header("webhook-timestamp"));
        let expected = sign_all(&[key], &id, seconds.parse().unwrap_or_default(), body);
        let mut state = self.state.lock().unwrap();
        if header("webhook-signature") != expected {
            state.forged += 1;
            return Some(401);
        }
        let mood = state.mood;
        if matches!(mood, Mood::Well | Mood::StoresAndCloses) {
            let body = serde_json::from_slice(body).unwrap();
            let trace = header("traceparent");
            state.stored.push(Webhook { id, trace, body });
        }
        drop(state);
        match mood {
            Mood::Well => Some(204),
            Mood::StoresAndCloses => None,
            Mood::Answers(status) => Some(status),
            Mood::Redirects(_) => Some(307),
            Mood::Hangs => {
                while self.state.lock().unwrap().mood == Mood::Hangs {
                    thread::sleep(super::GLANCE);
                }
                None
            }
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<(Head, Vec<u8>)> {
    let mut head = Vec::new();
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let text = line.trim_end();
        if text.is_empty() {
            break;
        }
        if let Some((name, value)) = text.split_once(": ") {
            let name = name.to_ascii_lowercase();
            if name == "content-length" {
                length = value.parse().ok()?;
            }
            head.push((name, value.to_owned()));
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}
