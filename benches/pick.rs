//! What choosing a server costs: a pick and its end, for each way to balance, with 1 to 1,000
//! servers, with half of a thousand suspended, and the first pick after something changed.
//! Promised: 200 ns with 1,000.
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

use http::HeaderValue;
use soap_router::fields::{COOKIE, Fields, SET_COOKIE};
use soap_router::telemetry::Metrics;
use soap_router::upstream::{
    Affinity, Balance, BoundBy, CookieSpec, Endpoint, Fleet, Group, Host, HostField, Order, Secret,
    Server, Servers, Suspension, Triggers, Wants,
};

const PICKS: u32 = 100_000;
const RUNS: usize = 7;
/// The servers of the column that has half of them suspended.
const MANY: u32 = 1000;

fn main() {
    let cookie = CookieSpec {
        name: "Route".into(),
        attributes: "; Path=/".into(),
        cors: false,
        strip: true,
        secret: Secret::default(),
    };
    let cookie = BoundBy::Cookie(Box::new(cookie));
    let ways = [
        ("round_robin", Balance::RoundRobin, false, None),
        ("round_robin, weights", Balance::RoundRobin, true, None),
        ("least_requests", Balance::LeastRequests, false, None),
        (
            "least_requests, weights",
            Balance::LeastRequests,
            true,
            None,
        ),
        ("random", Balance::Random, true, None),
        ("hash", Balance::Hash, true, None),
        ("bound by a cookie", Balance::RoundRobin, true, Some(cookie)),
        (
            "bound by a value",
            Balance::RoundRobin,
            true,
            Some(BoundBy::Value),
        ),
    ];
    println!(
        "{:24} {:>8} {:>8} {:>8} {:>8} {:>14} {:>14}",
        "ns a pick", 1, 2, 100, MANY, "half suspended", "after a change"
    );
    for (name, balance, weighted, bound) in ways {
        let start = |count| Pool::new(count, balance, weighted, bound.clone());
        let times = [1, 2, 100, MANY].map(|count| best(&start(count)));
        let [one, two, hundred, thousand] = times.map(|time| format!("{time:.1}"));
        let pool = start(MANY);
        pool.suspend_half();
        let (half, anew) = (best(&pool), after_a_change(&pool));
        println!(
            "{name:24} {one:>8} {two:>8} {hundred:>8} {thousand:>8} {half:>14.1} {anew:>14.0}"
        );
    }
}

/// An endpoint, and what its callers show.
struct Pool {
    fleet: Fleet,
    group: Arc<Group>,
    headers: Fields,
}

impl Pool {
    fn new(count: u32, balance: Balance, weighted: bool, bound: Option<BoundBy>) -> Self {
        let by_cookie = matches!(bound, Some(BoundBy::Cookie(_)));
        let (fleet, group) = group(count, balance, weighted, bound);
        let mut headers = Fields::new();
        if by_cookie {
            // Of the last server, as a caller got it.
            let mut answer = Fields::new();
            for number in 0..count {
                answer = Fields::new();
                let turn = group.pick(&wants(u64::from(number), &headers), &[]);
                turn.unwrap().bind(&mut answer);
            }
            let set = answer.text(SET_COOKIE).unwrap();
            let pair = set.split(';').next().unwrap();
            headers.insert(COOKIE, pair);
        }
        Self {
            fleet,
            group,
            headers,
        }
    }

    fn suspend_half(&self) {
        let none = Fields::new();
        let mut tried = Vec::new();
        for number in 0..u64::from(MANY) {
            let turn = self.group.pick(&wants(number, &none), &tried).unwrap();
            tried.push(turn.member().id());
            if number % 2 == 0 {
                turn.failed("connect", "refused", None);
            }
        }
    }
}

fn wants(number: u64, headers: &Fields) -> Wants<'_> {
    let draw = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Wants {
        draw,
        hash: Some(draw),
        bound: Some(draw),
        headers,
    }
}

/// The first pick after a server changed its state, which looks at all of them anew.
fn after_a_change(pool: &Pool) -> f64 {
    let of_one = |order| {
        let server = pool.group.spec().servers.all[0].name.clone();
        let ordered = pool.fleet.order("bench", Some(&server), order, "a bench");
        ordered.unwrap();
    };
    let run = |number: u64| {
        of_one(Order::Drain);
        of_one(Order::Enable);
        let start = Instant::now();
        drop(black_box(
            pool.group.pick(&wants(number, &pool.headers), &[]),
        ));
        start.elapsed().as_secs_f64() * 1e9
    };
    (0..200).map(run).fold(f64::INFINITY, f64::min)
}

fn group(
    count: u32,
    balance: Balance,
    weighted: bool,
    bound: Option<BoundBy>,
) -> (Fleet, Arc<Group>) {
    let server = |number: u32| Server {
        weight: if weighted { 1 + number % 7 } else { 1 },
        ..Server::at(Host::Address(number.to_be_bytes().into()), 80)
    };
    let first = server(1);
    let servers = Servers {
        all: (1..=count).map(server).collect(),
        balance,
        tries: 3,
        affinity: bound.map(|by| Affinity {
            by,
            redistribute: true,
        }),
        suspension: Some(Suspension {
            after: 1,
            initial: Duration::from_secs(3600),
            factor: 1.0,
            maximum: Duration::from_secs(3600),
            jitter: 0.0,
            on: Triggers {
                words: vec!["connect".into()],
                ..Triggers::default()
            },
        }),
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
    let group = groups.into_iter().next().unwrap();
    (fleet, group)
}

fn best(pool: &Pool) -> f64 {
    let run = |run: usize| {
        let start = Instant::now();
        for number in 0..PICKS {
            let wants = wants(u64::from(number) + run as u64, &pool.headers);
            let turn = pool.group.pick(&wants, &[]).unwrap();
            turn.succeeded();
            drop(black_box(turn));
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(PICKS)
    };
    (0..RUNS).map(run).fold(f64::INFINITY, f64::min)
}
