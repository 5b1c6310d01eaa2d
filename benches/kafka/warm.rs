//! Makes the broker quick before anything counts: a JVM is slow until it has compiled what it runs.

use std::time::Duration;

use crate::{
    cluster::Cluster,
    flow::OUTCOME,
    load::Load,
    minimal::{Minimal, Owners, Sizes},
    minimal_http::MinimalHttp,
};

/// For how long: after that its compiler is nearly idle.
const WARM: Duration = Duration::from_secs(30);

/// Has it take records and commit transactions, as both floors do.
pub(crate) fn warm(cluster: &Cluster) -> anyhow::Result<()> {
    let place = cluster.place()?;
    let sizes = Sizes {
        outcome: OUTCOME,
        impact: OUTCOME,
    };
    let minimal = Minimal::start(&place, Owners::new(), sizes)?;
    let http = MinimalHttp::start(&place)?;
    let load = Load {
        address: http.address,
        connections: 32,
        time: WARM,
        rate: None,
        people: None,
    };
    load.run()?;
    http.stop();
    minimal.stop()
}
