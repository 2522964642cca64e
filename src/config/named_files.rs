//! Which values of the main file name files whose contents belong to the configuration.

use std::path::PathBuf;

use super::router::Router;
use super::tls::{EndpointTls, ListenerTls, TlsVerify};
use super::written::Spanned;

impl Router {
    /// Every path of a file that is read with the configuration.
    pub(super) fn named_files(&mut self) -> Vec<&mut Spanned<PathBuf>> {
        let mut all = Vec::new();
        for (_, listener) in self.listeners.iter_mut() {
            if let Some(tls) = &mut listener.tls {
                of_listener(&mut tls.value, &mut all);
            }
            all.extend(listener.error_pages.0.iter_mut().map(|(_, path)| path));
        }
        for (_, endpoint) in self.endpoints.iter_mut() {
            if let Some(EndpointTls { ca, cert, key, .. }) =
                endpoint.tls.as_mut().map(|tls| &mut tls.value)
            {
                all.extend([ca, cert, key].into_iter().filter_map(Option::as_mut));
            }
            let affinity = endpoint.affinity.as_mut();
            if let Some(cookie) = affinity.and_then(|affinity| affinity.cookie.as_mut()) {
                all.extend(cookie.secret_file.as_mut());
            }
        }
        all.extend(self.error_pages.0.iter_mut().map(|(_, path)| path));
        all
    }

    /// Whether some endpoint is believed because the system believes its authority.
    pub(super) fn wants_system_roots(&self) -> bool {
        self.endpoints.iter().any(|(_, endpoint)| {
            let tls = endpoint.tls.as_ref().map(|tls| &tls.value);
            let own = |tls: &EndpointTls| {
                tls.ca.is_some() || !tls.pins.is_empty() || tls.verify.value == TlsVerify::None
            };
            endpoint.url.tls && !tls.is_some_and(own)
        })
    }
}

fn of_listener<'a>(tls: &'a mut ListenerTls, all: &mut Vec<&'a mut Spanned<PathBuf>>) {
    all.extend([&mut tls.cert, &mut tls.key]);
    for pair in &mut tls.certificates {
        all.extend([&mut pair.cert, &mut pair.key]);
    }
    all.extend(tls.client_ca.as_mut());
    all.extend(tls.client_crl.as_mut());
}
