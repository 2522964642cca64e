//! While traffic flows: reloads and dying endpoints cost no exchange.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crate::support::messages::{order, order12};
use crate::support::service::{Received, reply};
use crate::support::{Client, Running, router, service, until};

/// Callers that post without a pause until told to stop, and what they were answered.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    callers: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    fn on(router: &Running, callers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let address = router.address("public");
        let caller = |number: usize| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || {
                let mut outcomes = Vec::new();
                let mut client = Client::to(address);
                let message = if number.is_multiple_of(2) {
                    order()
                } else {
                    order12()
                };
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.post("/orders", &message);
                    outcomes.push(answer.outcome());
                    answered.fetch_add(1, Ordering::Relaxed);
                    if outcomes.len() % 50 == 0 {
                        client = Client::to(address);
                    }
                }
                outcomes
            })
        };
        let callers = (0..callers).map(caller).collect();
        Self {
            stop,
            answered,
            callers,
        }
    }

    /// Waits for so many more answers.
    fn goes_on(&self, more: u64) {
        let goal = self.answered.load(Ordering::Relaxed) + more;
        until("more answers", || {
            // A caller that ended has failed; its panic is told when it is joined.
            let done = self.answered.load(Ordering::Relaxed) >= goal;
            (done || self.callers.iter().any(JoinHandle::is_finished)).then_some(())
        });
    }

    /// Stops, and gives every outcome.
    fn ends(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.callers
            .into_iter()
            .flat_map(|caller| caller.join().expect("a caller failed"))
            .collect()
    }
}

#[test]
fn a_thousand_reloads_and_no_exchange_fails() {
    // Entry and endpoint change together, so a mixture of old and new would show.
    let by_path = |received: &Received| {
        let path = received
            .head
            .start
            .split(' ')
            .nth(1)
            .unwrap()
            .trim_start_matches('/')
            .to_owned();
        reply(
            "200 OK",
            "Content-Type: text/xml\r\n",
            &format!("<by>{path}</by>"),
        )
    };
    let a = service("a").replies(by_path);
    let url = |path: &str| format!("http://{}/{path}", a.address);
    let table = |name: &str| {
        format!(
            "filters: {{ {name}: {{ match_all: {{}} }} }}\ntable:\n  - {{ filter: {name}, endpoint: {name} }}\n"
        )
    };
    let builder = router(&table("old"))
        .endpoint("old", &url("old"), "")
        .endpoint("new", &url("new"), "")
        .with("threads: 2")
        .with("reload: { watch: false }");
    let router = builder.start();
    let load = Load::on(&router, 3);
    load.goes_on(20);
    let mut admin = router.admin();
    for number in 0..1000 {
        let name = if number % 2 == 0 { "new" } else { "old" };
        fs::write(router.path("filters/next"), table(name)).unwrap();
        fs::rename(
            router.path("filters/next"),
            router.path("filters/orders.yaml"),
        )
        .unwrap();
        let answer = admin.ask("POST", "/api/v1/reload", &[("Content-Length", "0")]);
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    load.goes_on(20);
    let outcomes = load.ends();
    let of = |name: &str| outcomes.iter().filter(|outcome| *outcome == name).count();
    assert_eq!(
        of("old") + of("new"),
        outcomes.len(),
        "some exchange failed"
    );
    assert!(
        of("old") > 10 && of("new") > 10,
        "{} old, {} new",
        of("old"),
        of("new")
    );
    assert_eq!(router.generation(), 1001);
    let lines = router.exchanges(outcomes.len());
    assert_eq!(lines.len(), outcomes.len(), "each exchange is logged once");
    for line in lines {
        assert_eq!(
            line["entry"], line["endpoint"],
            "half old, half new: {line}"
        );
        assert_eq!(line["outcome"], "reply");
    }
}

#[test]
fn a_primary_that_dies_costs_no_exchange() {
    let (primary, backup) = (service("primary").echoes(), service("backup").echoes());
    let table = "- { filter: { match_all: {} }, endpoint: primary, backups: [backup] }";
    let router = router(table)
        .to(&primary)
        .to(&backup)
        .with("threads: 2")
        .start();
    let load = Load::on(&router, 4);
    load.goes_on(200);
    assert_eq!(backup.count(), 0);
    primary.kill();
    load.goes_on(200);
    let outcomes = load.ends();
    let of = |name: &str| outcomes.iter().filter(|outcome| *outcome == name).count();
    assert_eq!(
        of("primary") + of("backup"),
        outcomes.len(),
        "some exchange failed"
    );
    assert!(
        of("primary") >= 200 && of("backup") >= 150,
        "{} and {}",
        of("primary"),
        of("backup")
    );
}
