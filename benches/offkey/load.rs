//! The sender of webhooks: HTTP/1.1 by hand, so that it costs the two processors little.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use crate::world::request;

/// Counts over the whole process, so that every event is another person's.
static EVENTS: AtomicUsize = AtomicUsize::new(1_000_000);

/// How to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// To whom.
    pub(crate) address: SocketAddr,
    /// How many connections are kept.
    pub(crate) connections: usize,
    /// For how long.
    pub(crate) time: Duration,
    /// How many a second in all; none: as many as are answered.
    pub(crate) rate: Option<u32>,
    /// Whose events: one person after the other of so many; none: everybody is new.
    pub(crate) people: Option<usize>,
}

/// One event that was answered with success.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Its number.
    pub(crate) event: usize,
    /// When it was due.
    pub(crate) at: Instant,
    /// How long the answer took.
    pub(crate) took: Duration,
}

impl Load {
    /// Sends, on a thread of this process, and returns what was answered.
    pub(crate) fn run(self) -> anyhow::Result<Vec<Sent>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async move {
            let mut connections = JoinSet::new();
            let begin = Instant::now();
            for number in 0..self.connections {
                connections.spawn(self.connection(begin, number));
            }
            let mut all = Vec::new();
            while let Some(sent) = connections.join_next().await {
                all.extend(sent??);
            }
            Ok(all)
        })
    }

    async fn connection(self, begin: Instant, number: usize) -> anyhow::Result<Vec<Sent>> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let count = u32::try_from(self.connections)?;
        let pause = self.rate.map(|rate| Duration::from_secs(1) * count / rate);
        let mut due = begin + pause.unwrap_or_default() * u32::try_from(number)? / count;
        let mut sent = Vec::new();
        while begin.elapsed() < self.time {
            let mut at = Instant::now();
            if let Some(pause) = pause {
                if at < due {
                    tokio::time::sleep_until(due.into()).await;
                    at = Instant::now();
                } else {
                    // The answer before came late: this event waited from when it was due.
                    at = due;
                }
                due += pause;
            }
            let event = EVENTS.fetch_add(1, Ordering::Relaxed);
            let person = self.people.map_or(event, |people| event % people);
            stream.write_all(&request(event, person)).await?;
            succeeded(&mut stream).await?;
            let took = at.elapsed();
            sent.push(Sent { event, at, took });
        }
        Ok(sent)
    }
}

/// Reads one answer to its end.
async fn succeeded(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut answer = [0; 4096];
    let mut end = 0;
    loop {
        let room = answer.get_mut(end..).context("an answer is too long")?;
        let count = stream.read(room).await?;
        anyhow::ensure!(count > 0, "the server hung up");
        end += count;
        if answer.get(..end).is_some_and(is_whole) {
            break;
        }
    }
    anyhow::ensure!(
        answer.starts_with(b"HTTP/1.1 2"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    Ok(())
}

/// Whether head and body are there; a head that says no length has no body.
fn is_whole(answer: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(answer) else {
        return false;
    };
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.parse().ok());
    body.len() >= length.unwrap_or(0)
}
