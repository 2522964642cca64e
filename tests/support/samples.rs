//! The samples that are shipped, in a folder of their own.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::ports::FreePorts;
use super::root;
use super::tls::{Authority, Pair};

/// A copy of `config/`, `filters/` and `fixtures/`, on free ports if there are any to exchange.
pub fn tree(mut ports: Option<&mut FreePorts>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["config", "filters", "fixtures/soap11"] {
        copy(&root().join(name), &folder.path().join(name), &mut ports);
    }
    folder
}

fn copy(from: &Path, to: &Path, ports: &mut Option<&mut FreePorts>) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let there = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &there, ports);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = match ports {
            Some(ports) => ports.exchange(&text),
            None => text,
        };
        fs::write(there, text).unwrap();
    }
}

/// What `config/examples/certs.sh` makes.
pub fn certificates(folder: &Path) {
    let authority = Authority::new("An authority for tries");
    let put = |name: &str, text: &str| fs::write(folder.join("certs").join(name), text).unwrap();
    fs::create_dir_all(folder.join("certs")).unwrap();
    put("ca.pem", &authority.pem);
    let pair = |name: &str, pair: Pair| {
        put(&format!("{name}.pem"), &pair.cert);
        put(&format!("{name}.key"), &pair.key);
    };
    for host in ["orders.example.com", "stock.example.com"] {
        pair(host, authority.server(&[host]));
    }
    pair("partner", authority.client("partner"));
}

/// The main files of the samples in a folder.
pub fn main_files(folder: &Path) -> Vec<PathBuf> {
    let examples = fs::read_dir(folder.join("config/examples")).unwrap();
    let mut all: Vec<PathBuf> = examples
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    all.push(folder.join("config/router.yaml"));
    all.sort();
    assert!(all.len() > 10);
    all
}
