//! The attempts of a worker: which begin, and what follows from how they went.

use std::{sync::Arc, time::Duration};

use metrics::{counter, gauge, histogram};
use tokio::{
    task::{Id, JoinError},
    time::Instant,
};
use tracing::{Instrument as _, Span, info_span};

use super::{SinkWorker, job::Job};
use crate::{
    domain::delivery::{DeadLetterCause, DeliveryStatus},
    sinks::{
        Delivery,
        metrics::{DELIVERIES_TOTAL, DELIVERY_SECONDS, SINK_IN_FLIGHT, SINK_PARKED},
        window::Ticket,
    },
};

/// How an attempt ended: by itself, after how long, or broken off.
pub(super) type Attempt = Result<(Id, (Delivery, Duration)), JoinError>;

impl SinkWorker {
    /// The tickets that wait for nothing but their time.
    fn waiting(&self) -> impl Iterator<Item = (Ticket, Instant)> {
        self.window.ready().into_iter().filter_map(|ticket| {
            let job = self.jobs.get(&ticket).filter(|job| !job.is_running)?;
            Some((ticket, job.due))
        })
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.parked_until.is_some() {
            // The first ready record is the probe; while one runs nothing else is due.
            return self
                .parked_until
                .filter(|_| self.running.is_empty() && !self.jobs.is_empty());
        }
        let has_room = self.running.len() < self.options.concurrency;
        self.waiting()
            .map(|(_, due)| due)
            .min()
            .filter(|_| has_room)
    }

    pub(super) fn start_ready(&mut self) {
        let now = Instant::now();
        let startable: Vec<Ticket> = match self.parked_until {
            Some(probe_at) if probe_at > now || !self.running.is_empty() => Vec::new(),
            Some(_) => self.waiting().map(|(ticket, _)| ticket).take(1).collect(),
            None => {
                let room = self.options.concurrency.saturating_sub(self.running.len());
                self.waiting()
                    .filter(|(_, due)| *due <= now)
                    .map(|(ticket, _)| ticket)
                    .take(room.saturating_mul(self.sink.batch()))
                    .collect()
            }
        };
        for tickets in startable.chunks(self.sink.batch()) {
            self.probe = self.parked_until.and(tickets.first().copied());
            self.start(tickets.to_vec(), now);
        }
        let in_flight = self.window.unfinished();
        gauge!(SINK_IN_FLIGHT, "sink" => self.name.clone())
            .set(u32::try_from(in_flight).unwrap_or(u32::MAX));
    }

    fn start(&mut self, tickets: Vec<Ticket>, now: Instant) {
        let at = self.clock.now();
        let (mut records, mut spans) = (Vec::new(), Vec::new());
        for ticket in &tickets {
            let Some(job) = self.jobs.get_mut(ticket) else {
                continue;
            };
            job.start(at, now);
            spans.push(info_span!(
                "deliver",
                sink.name = self.name,
                event.id = job.record.id,
                change.id = job.change()
            ));
            records.push(job.record.clone());
        }
        let sink = Arc::clone(&self.sink);
        // What an attempt says itself is about the first, which mostly is the only one.
        let span = spans.first().cloned().unwrap_or_else(Span::none);
        let attempt = async move {
            let delivery = sink.deliver_all(&records).await;
            for span in spans {
                span.in_scope(|| tracing::debug!(outcome = delivery.label(), "attempted"));
            }
            (delivery, now.elapsed())
        };
        let handle = self.attempts.spawn(attempt.instrument(span));
        self.running.insert(handle.id(), tickets);
    }

    pub(super) fn settle(&mut self, attempt: Attempt) {
        let (id, delivery) = match attempt {
            Ok((id, (delivery, took))) => {
                histogram!(DELIVERY_SECONDS, "sink" => self.name.clone()).record(took);
                (id, delivery)
            }
            Err(stopped) => {
                let why = format!("the attempt broke off: {stopped}");
                (stopped.id(), Delivery::Retry { why, after: None })
            }
        };
        let labels = [
            ("sink", self.name.clone()),
            ("outcome", delivery.label().to_owned()),
        ];
        // What was tried together is tried again together.
        let (now, luck) = (Instant::now(), rand::random());
        for ticket in self.running.remove(&id).unwrap_or_default() {
            counter!(DELIVERIES_TOTAL, &labels).increment(1);
            self.conclude(ticket, delivery.clone(), (now, luck));
        }
    }

    fn conclude(&mut self, ticket: Ticket, delivery: Delivery, (now, luck): (Instant, f64)) {
        let Some(mut job) = self.jobs.remove(&ticket) else {
            return;
        };
        job.is_running = false;
        let is_probe = self.probe.take_if(|probe| *probe == ticket).is_some();
        if is_probe && matches!(delivery, Delivery::Done | Delivery::Refused { .. }) {
            self.resume(&job);
        }
        match delivery {
            Delivery::Done => {
                tracing::info!(
                    sink.name = self.name,
                    event.id = job.record.id,
                    change.id = job.change(),
                    attempts = job.attempts,
                    "delivered"
                );
                let at = self.clock.now();
                let output = job.status(&self.name, DeliveryStatus::Delivered, at, None);
                self.window.finish(ticket, vec![output]);
            }
            Delivery::Refused { why } => self.bury(ticket, &job, DeadLetterCause::Refused, &why),
            Delivery::Retry { why, after } => self.retry((ticket, job), &why, after, (now, luck)),
            Delivery::Park { why } => self.park(ticket, job, &why),
        }
    }

    fn retry(
        &mut self,
        (ticket, mut job): (Ticket, Job),
        why: &str,
        after: Option<Duration>,
        (now, luck): (Instant, f64),
    ) {
        if self.parked_until.is_some() {
            self.parked_until = Some(now + self.options.probe_every.max(after.unwrap_or_default()));
            self.jobs.insert(ticket, job);
            return;
        }
        let schedule = &self.options.schedule;
        match schedule.delay(job.attempts, job.elapsed(now), luck, after) {
            Some(delay) => {
                let (id, attempts) = (&job.record.id, job.attempts);
                tracing::info!(
                    sink.name = self.name,
                    event.id = id,
                    change.id = job.change(),
                    attempts,
                    why,
                    "tried again later"
                );
                job.due = now + delay;
                self.jobs.insert(ticket, job);
            }
            None => self.bury(ticket, &job, DeadLetterCause::GaveUp, why),
        }
    }

    fn bury(&mut self, ticket: Ticket, job: &Job, cause: DeadLetterCause, why: &str) {
        let id = &job.record.id;
        tracing::error!(
            sink.name = self.name,
            event.id = id,
            change.id = job.change(),
            why,
            "became a dead letter"
        );
        let outputs = job.dead_letter(&self.name, cause, self.clock.now(), why);
        self.window.finish(ticket, outputs);
    }

    fn park(&mut self, ticket: Ticket, mut job: Job, why: &str) {
        let now = Instant::now();
        if self.parked_until.is_none() {
            tracing::error!(
                sink.name = self.name,
                why,
                "the sink is parked until it is mended"
            );
            gauge!(SINK_PARKED, "sink" => self.name.clone()).set(1.0);
            let status = DeliveryStatus::Parked;
            let notice = job.status(&self.name, status, self.clock.now(), Some(why));
            self.notices.push(notice);
        }
        self.parked_until = Some(now + self.options.probe_every);
        job.due = now;
        self.jobs.insert(ticket, job);
    }

    /// The receiver has judged a record: whatever it was parked for is mended.
    fn resume(&mut self, job: &Job) {
        self.parked_until = None;
        tracing::info!(sink.name = self.name, "the sink is resumed");
        gauge!(SINK_PARKED, "sink" => self.name.clone()).set(0.0);
        let notice = job.status(&self.name, DeliveryStatus::Resumed, self.clock.now(), None);
        self.notices.push(notice);
        let now = Instant::now();
        for job in self.jobs.values_mut() {
            job.start_anew(now);
        }
    }
}
