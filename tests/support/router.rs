//! The router as a process of its own, on a configuration in a folder of its own.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::client::{Answer, Client};
use super::messages::Message;
use super::prometheus::Metrics;
use super::service::Service;
use super::{process, until};

/// A configuration being written: one service `orders` at `/orders` with one table, unless told
/// otherwise.
#[derive(Debug, Clone)]
pub struct Builder {
    table: String,
    service: String,
    endpoints: String,
    top: Vec<String>,
    files: Vec<(String, String)>,
    environment: Vec<(String, String)>,
}

/// A running router.
#[derive(Debug)]
pub struct Running {
    child: Child,
    addresses: HashMap<String, SocketAddr>,
    pub folder: TempDir,
}

/// A router with this filter table: a whole table file, or only its entries.
pub fn router(table: &str) -> Builder {
    let table = table.trim_start_matches('\n');
    let table = if table.trim_start().starts_with('-') {
        format!("table:\n{table}\n")
    } else {
        table.to_owned()
    };
    Builder {
        table,
        service: String::new(),
        endpoints: String::new(),
        top: Vec::new(),
        files: Vec::new(),
        environment: Vec::new(),
    }
}

/// A router that sends everything to these services, the first one first.
pub fn router_to(services: &[&Service]) -> Builder {
    let (first, backups) = services.split_first().expect("a service");
    let backups: Vec<&str> = backups.iter().map(|backup| backup.name.as_str()).collect();
    let backups = match backups.as_slice() {
        [] => String::new(),
        names => format!(", backups: [{}]", names.join(", ")),
    };
    let table = format!(
        "- {{ filter: {{ match_all: {{}} }}, endpoint: {}{backups} }}",
        first.name
    );
    services
        .iter()
        .fold(router(&table), |builder, service| builder.to(service))
}

impl Builder {
    /// An endpoint named and placed as the service.
    #[must_use]
    pub fn to(self, service: &Service) -> Self {
        self.at(service, "")
    }

    /// The same with more keys.
    #[must_use]
    pub fn at(self, service: &Service, keys: &str) -> Self {
        self.endpoint(&service.name, &service.url(), keys)
    }

    /// An endpoint anywhere.
    #[must_use]
    pub fn endpoint(mut self, name: &str, url: &str, keys: &str) -> Self {
        let comma = if keys.is_empty() { "" } else { ", " };
        let _ = writeln!(
            self.endpoints,
            "  {name}: {{ url: \"{url}\"{comma}{keys} }}"
        );
        self
    }

    /// More keys of the service `orders`.
    #[must_use]
    pub fn service(mut self, keys: &str) -> Self {
        let _ = writeln!(self.service, "    {keys}");
        self
    }

    /// More of the main file; a key that stands there by default is replaced.
    #[must_use]
    pub fn with(mut self, yaml: &str) -> Self {
        self.top.push(yaml.to_owned());
        self
    }

    /// Another file, relative to the folder.
    #[must_use]
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    /// A variable of the process.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The main file as it will be written.
    pub fn yaml(&self) -> String {
        let mut yaml = String::from("version: 1\n");
        let defaults = [
            ("listeners", "{ public: { bind: \"127.0.0.1:0\" } }"),
            ("admin", "{ bind: \"127.0.0.1:0\" }"),
            ("access_log", "{ path: ../access.log }"),
            ("threads", "1"),
            ("reload", "{ debounce: 20ms }"),
        ];
        for (key, value) in defaults {
            if !self
                .top
                .iter()
                .any(|own| own.starts_with(&format!("{key}:")))
            {
                let _ = writeln!(yaml, "{key}: {value}");
            }
        }
        for own in &self.top {
            let _ = writeln!(yaml, "{own}");
        }
        if !self.top.iter().any(|own| own.starts_with("services:")) {
            let _ = write!(
                yaml,
                "services:\n  orders:\n    path: /orders\n    table: orders\n{}",
                self.service
            );
        }
        let _ = write!(yaml, "endpoints:\n{}", self.endpoints);
        yaml
    }

    /// Writes the configuration into a new folder.
    pub fn write(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("config/router.yaml", &self.yaml());
        put("filters/orders.yaml", &self.table);
        for (path, text) in &self.files {
            put(path, text);
        }
        folder
    }

    /// Starts the router and waits until it listens.
    #[track_caller]
    pub fn start(&self) -> Running {
        self.start_in(self.write())
    }

    /// The same in a folder that was written before.
    #[track_caller]
    pub fn start_in(&self, folder: TempDir) -> Running {
        let ready = folder.path().join("ready");
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut child = process::command(folder.path())
            .args(["serve", "--ready-file", "ready"])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let text = until("the router to listen", || {
            if let Some(status) = child.try_wait().unwrap() {
                let log = fs::read_to_string(folder.path().join("log")).unwrap();
                panic!("the router ended with {status}:\n{log}\n{}", self.yaml());
            }
            fs::read_to_string(&ready).ok()
        });
        Running {
            child,
            addresses: addresses(&text),
            folder,
        }
    }
}

fn addresses(ready: &str) -> HashMap<String, SocketAddr> {
    // A Unix socket has a path, which the test chose.
    let pair = |line: &str| {
        let (name, address) = line.split_once(' ').unwrap();
        Some((name.to_owned(), address.parse().ok()?))
    };
    ready.lines().filter_map(pair).collect()
}

impl Running {
    /// Where a listener (or `admin`) is.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.addresses[name]
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new caller.
    pub fn client(&self) -> Client {
        Client::to(self.address("public"))
    }

    /// Posts a message to `/orders` on a connection of its own.
    #[track_caller]
    pub fn post(&self, message: &Message) -> Answer {
        self.client().post("/orders", message)
    }

    /// A new connection to the admin interface.
    pub fn admin(&self) -> Client {
        Client::to(self.address("admin"))
    }

    /// An admin answer as JSON.
    #[track_caller]
    pub fn admin_json(&self, path: &str) -> Value {
        let answer = self.admin().get(path);
        serde_json::from_slice(&answer.body)
            .unwrap_or_else(|error| panic!("{path}: {error}: {answer:?}"))
    }

    /// The counters now.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin().get("/metrics").text())
    }

    /// Waits for the sample to have this value.
    #[track_caller]
    pub fn metric_becomes(&self, sample: &str, value: f64) {
        until(&format!("{sample} to be {value}"), || {
            let close = (self.metrics().get(sample) - value).abs() < 1e-9;
            close.then_some(())
        });
    }

    /// A path in the router's folder.
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Exchanges as the access log has them, once there are `count`.
    #[track_caller]
    pub fn exchanges(&self, count: usize) -> Vec<Value> {
        until(&format!("{count} access log lines"), || {
            let lines = self.access_log();
            (lines.len() >= count).then_some(lines)
        })
    }

    /// The first exchange.
    #[track_caller]
    pub fn exchange(&self) -> Value {
        self.exchanges(1).remove(0)
    }

    /// The exchange with this id.
    #[track_caller]
    pub fn exchange_with(&self, id: &str) -> Value {
        until(&format!("the access log line of {id}"), || {
            self.access_log()
                .into_iter()
                .find(|line| line["exchange"] == id)
        })
    }

    /// Exchanges in the access log now.
    pub fn access_log(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("access.log")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }

    /// What the router said on stderr.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Waits until it said this.
    #[track_caller]
    pub fn says(&self, text: &str) {
        until(&format!("`{text}` in the log"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// How often a configuration was put in force.
    pub fn generation(&self) -> u64 {
        self.admin_json("/api/v1/config")["status"]["generation"]
            .as_u64()
            .unwrap()
    }

    /// Waits until a configuration was put in force so often.
    #[track_caller]
    pub fn reaches_generation(&self, generation: u64) {
        until(&format!("generation {generation}"), || {
            (self.generation() >= generation).then_some(())
        });
    }

    /// Sends a signal by its short name.
    pub fn signal(&self, name: &str) {
        // The shell's own `kill`, so that no tool need be installed.
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.pid()))
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub fn ends(&mut self) -> ExitStatus {
        until("the router to end", || self.child.try_wait().unwrap())
    }

    /// Most memory that the process ever had resident, KiB.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(
            Path::new("/proc")
                .join(self.pid().to_string())
                .join("status"),
        )
        .unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that ended already cannot be killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the router's log\n{}", self.log());
        }
    }
}
