//! The command line, declared.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Content-based router in front of SOAP services.
#[derive(Debug, Parser)]
#[command(name = "soap-router", version, about, max_term_width = 100)]
pub(super) struct Args {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the router
    Serve(Serve),
    /// Try it: stub services, the router on the shipped configuration, example messages
    Demo(Demo),
    /// Compile the configuration and print every mistake, and what each service will do
    Check(Check),
    /// Say what would happen to a message, and why
    Explain(Explain),
    /// Evaluate an XPath on a message as a filter would
    Xpath(Xpath),
    /// Write a message in another version of SOAP or WS-Addressing
    Bridge(BridgeArgs),
    /// Run a SOAP service for tries and tests
    Stub(Stub),
    /// Run golden routing tests
    Test(Test),
    /// Print the JSON schema of a configuration file
    Schema(Schema),
    /// Ask a running router to reload its configuration
    Reload(Reload),
    /// Print shell completions
    Completions(Completions),
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Human,
    Concise,
    Json,
}

/// Which configuration.
#[derive(Debug, Clone, ClapArgs)]
pub(super) struct ConfigArgs {
    /// Main configuration file
    #[arg(
        short,
        long,
        default_value = "config/router.yaml",
        env = "SOAP_ROUTER_CONFIG"
    )]
    pub(super) config: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Write this file once all listeners are open: a line `NAME ADDRESS` each
    #[arg(long)]
    pub(super) ready_file: Option<PathBuf>,
    /// What to log: error, warn, info, debug, or a tracing directive
    #[arg(long, default_value = "info", env = "SOAP_ROUTER_LOG")]
    pub(super) log: String,
    /// Log as JSON lines
    #[arg(long)]
    pub(super) log_json: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Demo {
    /// Send the example messages, print what happened, and exit
    #[arg(long)]
    pub(super) once: bool,
    /// Use free ports instead of those in the configuration
    #[arg(long)]
    pub(super) any_port: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    #[arg(long, value_enum, default_value = "human")]
    pub(super) format: Format,
    /// Count warnings as mistakes
    #[arg(long)]
    pub(super) strict: bool,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Explain {
    /// The message; `-` reads it from stdin
    pub(super) message: PathBuf,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// The service that it comes to; needed if there are several and no `--url`
    #[arg(long)]
    pub(super) service: Option<String>,
    /// The URL that it is sent to
    #[arg(long, conflicts_with = "service")]
    pub(super) url: Option<String>,
    /// The listener that it comes to; the first one otherwise
    #[arg(long)]
    pub(super) listener: Option<String>,
    /// An HTTP header, `Name: value`; repeatable
    #[arg(long = "header", short = 'H')]
    pub(super) headers: Vec<String>,
    #[arg(long, value_enum, default_value = "human")]
    pub(super) format: Format,
}

#[derive(Debug, ClapArgs)]
#[command(
    override_usage = "soap-router xpath [OPTIONS] EXPR MESSAGE...\n       soap-router xpath [OPTIONS] --file FILE MESSAGE..."
)]
pub(super) struct Xpath {
    /// The expression, unless `--file` brings some, and the messages; `-` reads one from stdin
    #[arg(required = true, value_name = "EXPR MESSAGE")]
    pub(super) words: Vec<String>,
    /// Expressions, one a line; empty lines and lines that begin with `#` are passed over
    #[arg(long, short)]
    pub(super) file: Option<PathBuf>,
    /// A prefix for the expression, `p=uri`; repeatable
    #[arg(long = "ns")]
    pub(super) namespaces: Vec<String>,
    #[arg(long, value_enum, default_value = "human")]
    pub(super) format: Format,
}

#[derive(Debug, ClapArgs)]
pub(super) struct BridgeArgs {
    /// The message; `-` reads it from stdin
    pub(super) message: PathBuf,
    /// The SOAP version to write; as it is if left out
    #[arg(long, value_parser = ["1.1", "1.2"])]
    pub(super) to: Option<String>,
    /// The WS-Addressing version to write; as it is if left out
    #[arg(long, value_parser = ["none", "2004/08", "1.0"])]
    pub(super) addressing: Option<String>,
    /// An HTTP header that came with it, `Name: value`; repeatable
    #[arg(long = "header", short = 'H')]
    pub(super) headers: Vec<String>,
    /// The endpoint's URL, for a `To` that must be written
    #[arg(long, default_value = "http://localhost/")]
    pub(super) url: String,
    /// Nobody waits for an answer
    #[arg(long)]
    pub(super) one_way: bool,
    /// A role that the router plays beside `next`; repeatable
    #[arg(long = "role")]
    pub(super) roles: Vec<String>,
    /// Forward header blocks for `next` as they are
    #[arg(long)]
    pub(super) transparent_headers: bool,
    /// For a signed message that would have to change
    #[arg(long, default_value = "fault", value_parser = ["fault", "forward_unchanged", "bridge_anyway"])]
    pub(super) on_signed: String,
    #[arg(long, value_enum, default_value = "human")]
    pub(super) format: Format,
}

#[derive(Debug, Clone, ClapArgs)]
pub(super) struct Stub {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(super) bind: SocketAddr,
    /// What it calls itself in its answers
    #[arg(long, default_value = "stub")]
    pub(super) name: String,
    /// The only SOAP version that it takes; without it, it answers in the caller's
    #[arg(long, value_parser = ["1.1", "1.2"])]
    pub(super) soap: Option<String>,
    /// Wait before answering, such as 500ms or 2s
    #[arg(long, value_parser = duration, default_value = "0ms")]
    pub(super) delay: Duration,
    /// Answer wrongly: `fault`, `html`, `close`, `hang`, or an HTTP status
    #[arg(long)]
    pub(super) fail: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Test {
    /// Test files
    #[arg(required = true)]
    pub(super) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    #[arg(long, value_enum, default_value = "human")]
    pub(super) format: Format,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Schema {
    /// Of which file
    #[arg(value_enum, default_value = "router")]
    pub(super) of: SchemaOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SchemaOf {
    /// `config/router.yaml`
    Router,
    /// `filters/*.yaml`
    Table,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Reload {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Admin address of the running router; the configuration's otherwise
    #[arg(long)]
    pub(super) admin: Option<SocketAddr>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

/// `500ms`, `2s`, `1m`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or("");
    let number: f64 = digits
        .parse()
        .map_err(|_| format!("`{text}` is no duration; try 500ms or 2s"))?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        _ => return Err(format!("`{text}` needs a unit: ms, s or m")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
