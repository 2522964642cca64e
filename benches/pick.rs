//! What choosing a server costs: a pick and its end, for each way to balance, with 1 to 1,000
//! servers. Promised: 200 ns with 1,000.
//!
//! `cargo bench --bench pick`; prints nanoseconds a pick, the best of several runs.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench measures time and prints it"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue};
use soap_router::telemetry::Metrics;
use soap_router::upstream::{
    Balance, Endpoint, Fleet, Group, Host, HostField, Server, Servers, Wants,
};

const PICKS: u32 = 200_000;
const RUNS: usize = 7;

fn main() {
    let ways = [
        ("round_robin", Balance::RoundRobin, false),
        ("round_robin, weights", Balance::RoundRobin, true),
        ("least_requests", Balance::LeastRequests, false),
        ("random", Balance::Random, true),
        ("hash", Balance::Hash, true),
    ];
    println!(
        "{:24} {:>8} {:>8} {:>8} {:>8}",
        "ns a pick", 1, 2, 100, 1000
    );
    for (name, balance, weighted) in ways {
        let times = [1, 2, 100, 1000].map(|count| best(&group(count, balance, weighted)));
        let [one, two, hundred, thousand] = times.map(|time| format!("{time:.1}"));
        println!("{name:24} {one:>8} {two:>8} {hundred:>8} {thousand:>8}");
    }
}

fn group(count: u32, balance: Balance, weighted: bool) -> Arc<Group> {
    let server = |number: u32| Server {
        weight: if weighted { 1 + number % 7 } else { 1 },
        ..Server::at(Host::Address(number.to_be_bytes().into()), 80)
    };
    let first = server(1);
    let servers = Servers {
        all: (1..=count).map(server).collect(),
        balance,
        tries: 3,
        ..Servers::only(first)
    };
    let second = Duration::from_secs(1);
    let endpoint = Endpoint {
        name: "bench".into(),
        host: Host::Address([127, 0, 0, 1].into()),
        port: 80,
        servers,
        target: http::Uri::from_static("/"),
        authority: HeaderValue::from_static("bench"),
        url: "http://bench/".into(),
        connect_timeout: second,
        response_timeout: second,
        timeout: None,
        idle_timeout: second,
        keep_idle: second,
        idle_max: 1,
        http2_streams: None,
        tls: None,
        socket: None,
        source: None,
        host_field: HostField::Endpoint,
        override_path: None,
    };
    let fleet = Fleet::new(Arc::new(Metrics::new("bench")));
    let groups = fleet.prepare(std::iter::once(endpoint));
    fleet.commit(groups.clone());
    groups.into_iter().next().unwrap()
}

fn best(group: &Arc<Group>) -> f64 {
    let headers = HeaderMap::new();
    let run = |run: usize| {
        let start = Instant::now();
        for number in 0..PICKS {
            let draw = (u64::from(number) + run as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let wants = Wants {
                draw,
                hash: Some(draw),
                bound: None,
                headers: &headers,
            };
            let turn = group.pick(&wants, &[]).unwrap();
            turn.succeeded();
            drop(black_box(turn));
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(PICKS)
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}
