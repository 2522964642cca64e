//! Routes, rewrites, redirects, gates and doors, from written to compiled.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

use super::model::{Route, RouteTo};
use super::place::{PathPattern, RoutePath};
use super::rewrite::{
    Condition, Door, Edits, Forwarded, MATCHED, Page, Redirect, Replacement, Rewrite, Rewrites,
    Target, Template, Variable,
};
use super::specs::REGEX_BYTES_MAX;
use crate::admission::{By, Rate, Rules};
use crate::config::{self, Config, Files, Spanned};
use crate::diag::{Diagnostic, Report, Span};
use crate::routing::EndpointId;

/// Fields that belong to one hop or frame the message: they are nobody's to edit.
const UNTOUCHABLE: [&str; 8] = [
    "connection",
    "upgrade",
    "transfer-encoding",
    "content-length",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
];

/// Most bytes of an error page: all are held, and written whole for each error.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// Compiles what stands around services.
pub(super) struct RuleCompiler<'a> {
    pub(super) config: &'a Config,
    pub(super) files: &'a Files,
    pub(super) report: &'a mut Report,
}

impl RuleCompiler<'_> {
    pub(super) fn route(
        &mut self,
        name: &Spanned<String>,
        written: &config::Route,
        ids: &HashMap<&str, EndpointId>,
    ) -> Option<Route> {
        let path = match &written.path.value {
            config::RoutePath::Plain(plain) => RoutePath::Plain(path(plain)),
            config::RoutePath::Prefix(prefix) => RoutePath::Prefix(prefix.clone()),
            config::RoutePath::Matches(text) => {
                RoutePath::Matches(self.regex(text, written.ignore_case, written.path.span)?)
            }
        };
        let to = match (&written.endpoint, &written.redirect) {
            (Some(endpoint), None) => RouteTo::Endpoint(*ids.get(endpoint.value.as_str())?),
            (None, Some(redirect)) => {
                self.loses_post(name, written, redirect);
                RouteTo::Redirect(self.redirect(redirect)?)
            }
            _ => {
                let text = format!("route `{}` leads nowhere, or to two places", name.value);
                self.one_target(text, name.span, "exactly one of `endpoint`, `redirect`");
                return None;
            }
        };
        Some(Route {
            name: name.value.as_str().into(),
            path,
            hosts: hosts(written.hosts.as_ref()),
            listeners: listeners(written.listeners.as_ref()),
            ignore_case: written.ignore_case,
            priority: written.priority.as_ref().map(|priority| priority.value),
            to,
            rewrites: self.rewrites(&written.rewrites),
            admission: written.admission.as_ref().map(|one| admission(&one.value)),
        })
    }

    fn one_target(&mut self, text: String, span: Span, label: &str) {
        let told = Diagnostic::error("one-target", text, span);
        self.report.push(told.label(label));
    }

    fn redirect(&mut self, written: &Spanned<config::Redirect>) -> Option<Redirect> {
        let redirect = &written.value;
        let target = match (&redirect.to, &redirect.listener) {
            (Some(url), None) => {
                if let Some(path) = &redirect.path {
                    let text = "`path` has no effect with `to`: the path never goes along";
                    let told = Diagnostic::warning("no-effect", text, path.span);
                    self.report
                        .push(told.hint("remove it, or name a `listener`"));
                }
                Target::Url(url.value.0.clone())
            }
            (None, Some(name)) => {
                let listener = self.config.router.listeners.get(&name.value)?;
                Target::Listener {
                    name: name.value.as_str().into(),
                    scheme: if listener.tls.is_some() {
                        "https"
                    } else {
                        "http"
                    },
                    port: listener.bind.value.tcp().map_or(0, |bind| bind.port()),
                }
            }
            _ => {
                let text = "a redirect leads to one place".to_owned();
                self.one_target(text, written.span, "exactly one of `to`, `listener`");
                return None;
            }
        };
        let status = redirect.status.value.word().parse().ok();
        Some(Redirect {
            status: status.and_then(|status| StatusCode::from_u16(status).ok())?,
            target,
            path: redirect.path.as_ref().is_none_or(|path| path.value),
            query: redirect.query,
        })
    }

    /// SOAP is POST; sent elsewhere with 301 to 303 it arrives as a GET, without the message.
    fn loses_post(
        &mut self,
        name: &Spanned<String>,
        route: &config::Route,
        redirect: &Spanned<config::Redirect>,
    ) {
        use config::RedirectStatus::{Found, MovedPermanently, SeeOther};
        let status = redirect.value.status;
        if !matches!(status.value, MovedPermanently | Found | SeeOther) {
            return;
        }
        let covers = |path: &str| match &route.path.value {
            config::RoutePath::Plain(plain) => plain.covers(path),
            config::RoutePath::Prefix(prefix) => path.starts_with(prefix.as_str()),
            config::RoutePath::Matches(_) => false,
        };
        let services = &self.config.router.services;
        let lost = services
            .iter()
            .find(|(_, service)| covers(&service.path.value.path));
        let Some((service, _)) = lost else { return };
        let text = format!(
            "callers of service `{}` that come to route `{}` lose their message",
            service.value, name.value
        );
        let told = Diagnostic::warning("redirect-loses-post", text, redirect.span).label(format!(
            "after {} most callers send a GET",
            status.value.word()
        ));
        self.report
            .push(told.hint("307 and 308 keep the method and the message"));
    }

    pub(super) fn rewrites(&mut self, written: &[Spanned<config::Rewrite>]) -> Rewrites {
        let compiled = written.iter().map(|one| {
            self.without_effect(one);
            self.rewrite(&one.value)
        });
        compiled.collect()
    }

    fn rewrite(&mut self, written: &config::Rewrite) -> Rewrite {
        let names: Vec<&str> = written
            .when
            .iter()
            .map(|one| one.variable.value.as_str())
            .collect();
        let when = written
            .when
            .iter()
            .filter_map(|one| {
                let variable = self.variable(&one.variable)?;
                let matches = self.regex(&one.matches.value, one.ignore_case, one.matches.span)?;
                Some(Condition {
                    variable,
                    matches,
                    negate: one.negate,
                })
            })
            .collect();
        Rewrite {
            when,
            path: written
                .path
                .as_ref()
                .and_then(|text| self.template(text, &names)),
            query: written
                .query
                .as_ref()
                .and_then(|text| self.template(text, &names)),
            reroute: written.reroute,
            request: self.edits(&written.request, &names),
            response: self.edits(&written.response, &names),
        }
    }

    fn edits(&mut self, written: &config::HeaderEdits, names: &[&str]) -> Edits {
        let mut values = |values: &config::HeaderValues| {
            let one = |(name, value): &(Spanned<config::HeaderName>, Spanned<String>)| {
                Some((self.field(name)?, self.template(value, names)?))
            };
            values.0.iter().filter_map(one).collect()
        };
        let (set, add) = (values(&written.set), values(&written.add));
        let mut remove = Vec::new();
        for name in &written.remove {
            if name.value.0.eq_ignore_ascii_case("host") {
                let text = "`Host` cannot be removed: every request has one";
                self.report
                    .push(Diagnostic::error("bad-header-name", text, name.span));
            }
            remove.extend(self.field(name));
        }
        let replace = written.replace.iter();
        let replace = replace.filter_map(|one| self.replacement(one, names));
        let replace = replace.collect();
        Edits {
            set,
            add,
            remove,
            replace,
        }
    }

    fn replacement(
        &mut self,
        written: &config::Replacement,
        names: &[&str],
    ) -> Option<Replacement> {
        let own: Vec<&str> = names.iter().copied().chain([MATCHED]).collect();
        let name = self.field(&written.name);
        let matches = &written.matches;
        let regex = self.regex(&matches.value, written.ignore_case, matches.span);
        let value = self.template(&written.value, &own);
        Some(Replacement {
            name: name?,
            matches: regex?,
            negate: written.negate,
            value: value?,
        })
    }

    /// Tells what a rewrite asks for and does not get.
    fn without_effect(&mut self, written: &Spanned<config::Rewrite>) {
        let rewrite = &written.value;
        let of_answer = rewrite.when.iter().find(|one| {
            Variable::named(&one.variable.value).is_some_and(|known| known.is_of_answer())
        });
        let asked = rewrite.path.is_some()
            || rewrite.query.is_some()
            || rewrite.request != config::HeaderEdits::default();
        let (text, span, hint) = match of_answer {
            Some(of_answer) if asked => (
                format!(
                    "`{}` is known when the request has left: this rewrite changes answers only",
                    of_answer.variable.value
                ),
                of_answer.variable.span,
                "put what changes the request into a rewrite of its own",
            ),
            _ if rewrite.reroute && rewrite.path.is_none() => (
                "`reroute` has no effect without `path`".to_owned(),
                written.span,
                "say the path by which the service or route is looked for again",
            ),
            _ => return,
        };
        let told = Diagnostic::warning("no-effect", text, span);
        self.report.push(told.hint(hint));
    }

    fn field(&mut self, name: &Spanned<config::HeaderName>) -> Option<HeaderName> {
        let parsed = HeaderName::from_bytes(name.value.0.as_bytes()).ok()?;
        if UNTOUCHABLE.contains(&parsed.as_str()) {
            let text = format!(
                "`{}` belongs to one connection, not to the message",
                name.value.0
            );
            let told = Diagnostic::error("bad-header-name", text, name.span);
            self.report.push(told.label("cannot be edited"));
            return None;
        }
        Some(parsed)
    }

    fn variable(&mut self, name: &Spanned<String>) -> Option<Variable> {
        let found = Variable::named(&name.value);
        if found.is_none() {
            let text = format!("no variable `{}`", name.value);
            self.unknown(text, name.span, Some(&name.value));
        }
        found
    }

    fn template(&mut self, text: &Spanned<String>, names: &[&str]) -> Option<Template> {
        match Template::parse(&text.value, names) {
            Ok(template) => Some(template),
            Err((what, name)) => {
                self.unknown(what, text.span, name.as_deref());
                None
            }
        }
    }

    fn unknown(&mut self, text: String, span: Span, name: Option<&str>) {
        if let Some((name, why)) = name.and_then(|name| Some((name, Variable::unknowable(name)?))) {
            let text = format!("the variable `{name}` cannot be known here");
            let told = Diagnostic::error("bad-variable", text, span);
            self.report.push(told.hint(why));
            return;
        }
        let near = name.and_then(|name| {
            let bare = name.strip_prefix("var_").unwrap_or(name);
            let close = |known: &&str| strsim::damerau_levenshtein(known, bare) <= 3;
            Variable::names().find(close)
        });
        let told = Diagnostic::error("bad-variable", text, span);
        self.report.push(
            told.hint(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    "`http_req_NAME`, `http_resp_NAME`, `cookie_NAME`, or one of docs/rewrites.md"
                        .to_owned()
                }
            }),
        );
    }

    fn regex(&mut self, text: &str, ignore_case: bool, span: Span) -> Option<Regex> {
        let built = RegexBuilder::new(text)
            .case_insensitive(ignore_case)
            .size_limit(REGEX_BYTES_MAX)
            .build();
        match built {
            Ok(regex) => Some(regex),
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default();
                let why = why.trim_start_matches("error: ");
                let text = format!("this regular expression cannot be used: {why}");
                self.report.push(Diagnostic::error("bad-regex", text, span));
                None
            }
        }
    }

    /// What a listener adds and whom it believes.
    pub(super) fn door(&mut self, written: &config::Listener) -> Door {
        let certificate_header = written
            .client_certificate_header
            .as_ref()
            .and_then(|name| self.field(name));
        let mut pages = HashMap::new();
        for (status, path) in self
            .config
            .router
            .error_pages
            .0
            .iter()
            .chain(&written.error_pages.0)
        {
            if let Some(bytes) = self.files.get(&path.value) {
                if bytes.len() > PAGE_BYTES_MAX {
                    let text = format!("the page for {status} has {} bytes", bytes.len());
                    let told = Diagnostic::error("out-of-range", text, path.span);
                    self.report.push(told.label("1 MiB at most"));
                }
                let page = Page {
                    media: media(&path.value),
                    body: Bytes::copy_from_slice(bytes),
                };
                pages.insert(*status, page);
            }
        }
        Door {
            forwarded: match written.forwarded {
                config::Forwarded::Plain => Forwarded::Plain,
                config::Forwarded::Gateway => Forwarded::Gateway,
                config::Forwarded::Off => Forwarded::Off,
            },
            trusted: networks(&written.trusted_proxies),
            drops_odd_names: written.drop_odd_header_names,
            port: written.bind.value.tcp().map_or(0, |bind| bind.port()),
            certificate_header,
            pages,
        }
    }
}

fn media(path: &Path) -> &'static str {
    match path.extension().and_then(|end| end.to_str()) {
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        Some("xml") => "application/xml",
        _ => "text/html; charset=utf-8",
    }
}

pub(super) fn networks(written: &[Spanned<config::Network>]) -> Vec<IpNet> {
    written.iter().map(|net| net.value.0).collect()
}

pub(super) fn admission(written: &config::Admission) -> Rules {
    let number = |count: u32| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
    Rules {
        allow: networks(&written.allow),
        deny: networks(&written.deny),
        concurrency: written.concurrency.map(|count| count as usize),
        queue: written.queue as usize,
        queue_timeout: written.queue_timeout.0,
        rates: written
            .rates
            .iter()
            .map(|rate| Rate {
                requests: number(rate.requests),
                per: rate.per.0,
                burst: number(rate.burst.unwrap_or(rate.requests)),
                by: match rate.by {
                    config::RateBy::Client => By::Client,
                    config::RateBy::Operation => By::Operation,
                    config::RateBy::All => By::All,
                },
            })
            .collect(),
    }
}

pub(super) fn path(written: &config::ServicePath) -> PathPattern {
    if written.below {
        // `/*` is everything: below the empty path.
        PathPattern::Below(written.path.trim_end_matches('/').to_owned())
    } else {
        PathPattern::Exact(written.path.clone())
    }
}

pub(super) fn hosts(
    written: Option<&config::OneOrMany<Spanned<config::HostPattern>>>,
) -> Vec<String> {
    let hosts = written.into_iter().flat_map(|hosts| &hosts.0);
    hosts.map(|host| host.value.to_string()).collect()
}

pub(super) fn listeners(written: Option<&config::OneOrMany<Spanned<String>>>) -> Vec<Arc<str>> {
    let listeners = written.into_iter().flat_map(|listeners| &listeners.0);
    listeners
        .map(|listener| listener.value.as_str().into())
        .collect()
}
