//! A stateful stand-in for Deepgram: the management API, one route of the data plane, and faults.
//!
//! It behaves as Deepgram documents (developers.deepgram.com: API reference, "Working with Roles &
//! API Scopes", "Safely Removing Team Members With Active API Keys"). What no page says is chosen
//! here, and marked where it is chosen. Two choices reach far: a deleted key vanishes from the
//! lists, and an ordinary key acts in its own project only.
//!
//! Routes under `/__simulator` belong to the simulator itself: `GET state`, `GET` and `PUT faults`
//! ([`Faults`]), `POST advance {"by": "7d"}`, `POST accept {"project_id", "email"}` (an invited
//! person comes in) and `POST keys/{id}/secret` (a key's secret is exchanged and shown, so that
//! somebody can act as the application that uses it). They ask for no credential: listen on
//! loopback only.

mod company;
mod faults;
mod refusal;
mod role;
mod routes;
mod server;
mod world;

pub use self::{
    company::{Company, CompanyError, CompanyKey, CompanyPerson, CompanyProject},
    faults::{FaultSwitch, Faults, NoSuchFault},
    role::Role,
    server::Simulator,
};
