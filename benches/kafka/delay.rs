//! From the webhook to the impact that a reader of what is committed sees.

use std::{
    collections::HashMap,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use offkey::domain::{ChangeId, Topic};
use rdkafka::{
    Message as _, Offset,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
};

use crate::{
    Bench,
    cluster::{Place, append},
    ends::{Contents, Ends, committed, partitions, reader},
    figures::{median, millis, percentile},
    flow::owners,
    load::Load,
    minimal::{Minimal, Sizes},
    minimal_http::MinimalHttp,
    service::Service,
    world::{change_of, event_id, keys},
};

const PEOPLE: usize = 10_000;
const KEYS_EACH: usize = 2;
const RATE: u32 = 1000;
const WINDOW: Duration = Duration::from_secs(5);
/// How long to wait for the last impacts.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Rounds {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Rounds {
    fn take(&mut self, place: &Place, address: SocketAddr) -> anyhow::Result<()> {
        let mut times = round(place, address)?;
        self.p50.push(millis(percentile(&mut times, 50)));
        self.p99.push(millis(percentile(&mut times, 99)));
        Ok(())
    }
}

/// How long a webhook takes to become an impact at 1,000 events a second.
pub(crate) fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let place = bench.cluster.place()?;
    append(place.log()?.as_ref(), keys(0..PEOPLE, KEYS_EACH))?;
    let service = Service::start(&place, "one")?;
    let bare_place = bench.cluster.place()?;
    let (mut ours, mut bare) = (Rounds::default(), Rounds::default());
    for _ in 0..bench.rounds {
        ours.take(&place, service.address)?;
        let mean = |contents: Contents| contents.bytes / contents.records.max(1);
        let sizes = Sizes {
            outcome: mean(Ends::new(&place, Topic::Outcomes)?.contents()?),
            impact: mean(Ends::new(&place, Topic::Impacts)?.contents()?),
        };
        let minimal = Minimal::start(&bare_place, owners(PEOPLE, KEYS_EACH)?, sizes)?;
        let http = MinimalHttp::start(&bare_place)?;
        bare.take(&bare_place, http.address)?;
        http.stop();
        minimal.stop()?;
    }
    service.stop()?;
    let name = format!("webhook to impact at {RATE}/s");
    let (value, floor) = (median(&mut ours.p50), median(&mut bare.p50));
    bench
        .figures
        .add(&format!("{name}, p50"), "ms", value, floor);
    let (value, floor) = (median(&mut ours.p99), median(&mut bare.p99));
    bench
        .figures
        .add(&format!("{name}, p99"), "ms", value, floor);
    Ok(())
}

fn round(place: &Place, address: SocketAddr) -> anyhow::Result<Vec<Duration>> {
    let load = Load {
        address,
        connections: 32,
        time: WINDOW,
        rate: Some(RATE),
        people: Some(PEOPLE),
    };
    let mut seen = Seen::from_now(place)?;
    let sender = thread::Builder::new()
        .name("load".to_owned())
        .spawn(move || load.run())?;
    while !sender.is_finished() {
        seen.look()?;
    }
    let sent = sender
        .join()
        .map_err(|_panic| anyhow::anyhow!("the sender panicked"))??;
    let end = Instant::now() + PATIENCE;
    loop {
        let times = sent.iter().filter_map(|one| {
            let seen_at = seen.first.get(&change_of(&event_id(one.event)))?;
            Some(seen_at.duration_since(one.at))
        });
        let times: Vec<_> = times.collect();
        // All of them: the slowest are what the high percentiles are about.
        if times.len() == sent.len() {
            return Ok(times);
        }
        anyhow::ensure!(
            Instant::now() < end,
            "of {} events only {} have an impact",
            sent.len(),
            times.len()
        );
        seen.look()?;
    }
}

/// When the first impact of a change was seen.
struct Seen {
    client: BaseConsumer,
    first: HashMap<ChangeId, Instant>,
}

impl Seen {
    /// What comes from now on.
    fn from_now(place: &Place) -> anyhow::Result<Self> {
        let client = reader(&place.brokers)?;
        let topic = place.topic(Topic::Impacts);
        let list = partitions(&client, &topic, Offset::End)?;
        // The numbers, so that nothing is missed while the client finds its way.
        let ends = committed(&client, &list)?;
        client.assign(&ends)?;
        Ok(Self {
            client,
            first: HashMap::new(),
        })
    }

    /// What comes within a moment, if anything does.
    fn look(&mut self) -> anyhow::Result<()> {
        let mut wait = GLANCE;
        loop {
            match self.client.poll(wait) {
                Some(Ok(message)) => {
                    if let Some(id) = change_in(&message) {
                        self.first.entry(id).or_insert_with(Instant::now);
                    }
                    wait = Duration::ZERO;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            }
        }
    }
}

/// The change that a record is about.
fn change_in(message: &BorrowedMessage<'_>) -> Option<ChangeId> {
    let mut headers = message.headers()?.iter();
    let found = headers.find(|header| header.key == "ce_correlationid")?;
    std::str::from_utf8(found.value?).ok()?.parse().ok()
}
