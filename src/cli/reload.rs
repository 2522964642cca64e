//! `reload`: asks a running router to read its configuration again.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::args::Reload;
use super::verdict::Verdict;
use crate::config;

/// Longest a reload may take: ten thousand filters take well below a second.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);
/// Largest answer read; it lists changes or mistakes.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

pub(super) fn run(args: &Reload) -> anyhow::Result<Verdict> {
    let (address, token) = match args.admin {
        Some(address) => (address, None),
        None => admin_of(args)?,
    };
    let answer = post(address, token.as_deref())?;
    let (status, body) = split(&answer)?;
    let body: serde_json::Value =
        serde_json::from_str(body).context("the admin answer is no JSON")?;
    let list = |key: &str| {
        body.get(key)
            .and_then(|list| list.as_array().cloned())
            .unwrap_or_default()
    };
    if status == 200 {
        let changes = list("changes");
        if changes.is_empty() {
            eprintln!("reloaded: nothing changed");
        }
        for change in changes {
            println!("{}", change.as_str().unwrap_or_default());
        }
        return Ok(Verdict::Fine);
    }
    if let Some(error) = body.get("error").and_then(serde_json::Value::as_str) {
        bail!("{error}");
    }
    eprintln!("error: reload refused, the old configuration stays in force");
    for error in list("errors") {
        println!("{}", error.as_str().unwrap_or_default());
    }
    Ok(Verdict::No)
}

/// The admin address of the configuration, which may itself have mistakes elsewhere.
fn admin_of(args: &Reload) -> anyhow::Result<(SocketAddr, Option<String>)> {
    let path = &args.config.config;
    let loaded = config::load(path);
    let admin = loaded.config.and_then(|config| config.router.admin);
    let Some(admin) = admin else {
        bail!(
            "`{}` names no `admin.bind`; use --admin ADDRESS",
            path.display()
        );
    };
    let token = match admin.token_file {
        Some(file) => Some(
            std::fs::read_to_string(&file.value)
                .with_context(|| format!("cannot read `{}`", file.value.display()))?,
        ),
        None => None,
    };
    Ok((admin.bind.value, token))
}

fn post(address: SocketAddr, token: Option<&str>) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)
        .with_context(|| format!("no router answers on admin address {address}"))?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    let authorization = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {}\r\n", token.trim())
    });
    let request = format!(
        "POST /api/v1/reload HTTP/1.1\r\nHost: {address}\r\n{authorization}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

fn split(answer: &str) -> anyhow::Result<(u16, &str)> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("the admin answer is no HTTP")?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.context("the admin answer has no status")?, body))
}
