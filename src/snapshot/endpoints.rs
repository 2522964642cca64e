//! The servers of an endpoint, from written to compiled.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderName;
use http::uri::Authority;
use http::{HeaderValue, Method};

use super::model::{Operation, OperationIs, Resend, ValueOf};
use super::specs::xpath_mistake;
use crate::config::{self, Config, FailoverOn, Loaded, Spanned};
use crate::diag::{Diagnostic, Report};
use crate::fields::{CONTENT_TYPE, Fields, SOAP_ACTION};
use crate::filter::{self, MessageValue, XPathTrial};
use crate::soap::QName;
use crate::upstream::{
    self, Affinity, Balance, BodyTest, BoundBy, CookieSpec, Expect, Host, Probe, Queue,
    RetryBudget, Secret, Server, Servers, Suspension, Triggers,
};
use crate::xpath::{self, Environment, Expr, ParseLimits};

/// Within an endpoint, where nothing is written: a fifth of the messages, ten a second.
const BUDGET_WITHIN: RetryBudget = RetryBudget {
    percent: 20,
    per_second: 10,
};

/// Compiles what stands in one endpoint about its servers.
pub(super) struct Pools<'a> {
    pub(super) config: &'a Config,
    pub(super) loaded: &'a Loaded,
    pub(super) report: &'a mut Report,
}

/// What becomes of it.
pub(super) struct Pool {
    pub(super) servers: Servers,
    pub(super) resend: Resend,
    pub(super) resend_within: Resend,
    pub(super) budget_along_list: bool,
    pub(super) balance_on: Option<ValueOf>,
    pub(super) bound_by: Option<ValueOf>,
}

impl Pools<'_> {
    pub(super) fn of(&mut self, written: &config::Endpoint) -> Pool {
        let written_resend = written.resend.as_ref().map(|resend| resend.value);
        let resend = |default| match written_resend {
            None => default,
            Some(config::Resend::Always) => Resend::Always,
            Some(config::Resend::IfNotDelivered) => Resend::IfNotDelivered,
            Some(config::Resend::Never) => Resend::Never,
        };
        let resend_within = resend(Resend::IfNotDelivered);
        let (balance, balance_on) = self.balance(written);
        let (affinity, bound_by) = self.affinity(written);
        let budget = match &written.retry_budget {
            Some(budget) => Some(RetryBudget {
                percent: budget.percent,
                per_second: budget.per_second,
            }),
            None => (resend_within == Resend::Always).then_some(BUDGET_WITHIN),
        };
        let servers = Servers {
            all: servers(written),
            balance,
            tries: written.tries,
            servers_min: written.min_servers,
            affinity,
            suspension: written.suspend.as_ref().map(suspension),
            probe: self.probe(written),
            drain: written.drain.0,
            drain_unhealthy: written.drain_unhealthy,
            queue: queue(written),
            budget,
        };
        Pool {
            servers,
            // Along a declared backup list WCF resends whatever happened.
            resend: resend(Resend::Always),
            resend_within,
            budget_along_list: written.retry_budget.is_some(),
            balance_on,
            bound_by,
        }
    }

    fn balance(&mut self, written: &config::Endpoint) -> (Balance, Option<ValueOf>) {
        match &written.balance {
            config::Balance::RoundRobin => (Balance::RoundRobin, None),
            config::Balance::LeastRequests => (Balance::LeastRequests, None),
            config::Balance::Random => (Balance::Random, None),
            config::Balance::Hash(on) => {
                let value = match on {
                    config::HashOn::Header(name) => header(name).map(ValueOf::Header),
                    config::HashOn::Cookie(name) => Some(ValueOf::Cookie(name.value.clone())),
                    config::HashOn::XPath(text) => self.value(written, text),
                };
                (Balance::Hash, value)
            }
        }
    }

    fn affinity(&mut self, written: &config::Endpoint) -> (Option<Affinity>, Option<ValueOf>) {
        let Some(affinity) = &written.affinity else {
            return (None, None);
        };
        let bound_by = match (&affinity.header, &affinity.xpath) {
            (Some(name), _) => header(name).map(ValueOf::Header),
            (None, Some(text)) => self.value(written, text),
            (None, None) => None,
        };
        let by = match &affinity.cookie {
            Some(cookie) => BoundBy::Cookie(Box::new(self.cookie(cookie))),
            None => BoundBy::Value,
        };
        let redistribute = affinity.on_lost == config::OnLost::Redistribute;
        (Some(Affinity { by, redistribute }), bound_by)
    }

    fn cookie(&mut self, written: &config::AffinityCookie) -> CookieSpec {
        let mut attributes = format!("; Path={}", written.path.value.0);
        if let Some(domain) = &written.domain {
            attributes += &format!("; Domain={}", domain.value.0);
        }
        if let Some(age) = written.max_age {
            attributes += &format!("; Max-Age={}", age.0.as_secs());
        }
        if let Some(site) = written.same_site {
            attributes += match site {
                config::SameSite::Strict => "; SameSite=Strict",
                config::SameSite::Lax => "; SameSite=Lax",
                config::SameSite::None => "; SameSite=None",
            };
        }
        if written.secure {
            attributes += "; Secure";
        }
        if written.http_only {
            attributes += "; HttpOnly";
        }
        let file = written.secret_file.as_ref();
        let secret = file.and_then(|file| self.loaded.files.get(&file.value));
        let secret = secret.map(<[u8]>::trim_ascii);
        if let (Some([]), Some(file)) = (secret, file) {
            let text = "the file with the cookie's secret is empty";
            self.report
                .push(Diagnostic::error("bad-cookie", text, file.span));
        }
        let secret = secret.map(Into::into);
        CookieSpec {
            name: written.name.value.0.clone(),
            attributes,
            cors: written.cors,
            strip: written.strip,
            secret: Secret(secret),
        }
    }

    fn value(&mut self, written: &config::Endpoint, text: &Spanned<String>) -> Option<ValueOf> {
        let expr = self.xpath(written, text)?;
        Some(ValueOf::XPath(MessageValue::new(expr)))
    }

    fn xpath(&mut self, written: &config::Endpoint, text: &Spanned<String>) -> Option<Expr> {
        match xpath::parse(&text.value, &environment(written), &self.limits()) {
            Ok(expr) => Some(expr),
            Err(error) => {
                let told = xpath_mistake(&self.loaded.sources, text, error);
                self.report.push(told);
                None
            }
        }
    }

    fn limits(&self) -> ParseLimits {
        let limits = self.config.router_limits();
        ParseLimits {
            nesting_max: limits.xpath_nesting,
            length_max: usize::try_from(limits.xpath_length.0).unwrap_or(usize::MAX),
            ..ParseLimits::default()
        }
    }

    fn probe(&mut self, written: &config::Endpoint) -> Option<Probe> {
        let probe = written.probe.as_ref()?;
        let body = probe
            .body
            .as_ref()
            .map(|body| Bytes::from(body.value.clone()))
            .unwrap_or_default();
        let method = match probe.method.as_ref().map(|method| method.value) {
            Some(config::ProbeMethod::Get) => Method::GET,
            Some(config::ProbeMethod::Head) => Method::HEAD,
            Some(config::ProbeMethod::Post) => Method::POST,
            None if body.is_empty() => Method::GET,
            None => Method::POST,
        };
        let xpath = probe.expect.xpath.as_ref();
        let test = xpath.and_then(|text| self.body_test(written, text));
        let host = probe.host.as_ref();
        Some(Probe {
            method,
            // Its syntax was checked when it was read.
            target: probe.path.value.0.parse().unwrap_or_default(),
            host: host.map(|own| self.field(Some(own), "")),
            tls_name: host.and_then(|host| name_of(&host.value)),
            port: probe.port,
            headers: self.probe_headers(probe, &body),
            body,
            interval: probe.interval.0,
            timeout: probe.timeout.0,
            healthy: probe.healthy,
            unhealthy: probe.unhealthy,
            jitter: probe.jitter.0 / 100.0,
            assume_healthy: probe.assume_healthy,
            expect: Expect {
                statuses: probe.expect.status.value.0.clone(),
                text: probe.expect.text.as_ref().map(|text| text.value.clone()),
                body: test,
            },
        })
    }

    fn probe_headers(&mut self, probe: &config::Probe, body: &Bytes) -> Fields {
        let mut headers = Fields::new();
        if body.is_empty() {
            return headers;
        }
        let soap12 = body
            .windows(SOAP12.len())
            .any(|part| part == SOAP12.as_bytes());
        let action = probe.action.as_ref().map_or("", |action| &action.value);
        let kind = match soap12 {
            true if action.is_empty() => "application/soap+xml; charset=utf-8".to_owned(),
            true => format!("application/soap+xml; charset=utf-8; action=\"{action}\""),
            false => "text/xml; charset=utf-8".to_owned(),
        };
        let kind = self.field(probe.content_type.as_ref(), &kind);
        headers.insert(CONTENT_TYPE, &kind);
        if !soap12 {
            let action = probe.action.as_ref().map(|action| {
                let quoted = format!("\"{}\"", action.value);
                Spanned::new(quoted, action.span)
            });
            let action = self.field(action.as_ref(), "\"\"");
            headers.insert(SOAP_ACTION, &action);
        }
        headers
    }

    /// The value of a field, as written or else this one.
    fn field(&mut self, written: Option<&Spanned<String>>, otherwise: &str) -> HeaderValue {
        let text = written.map_or(otherwise, |text| &text.value);
        HeaderValue::from_str(text).unwrap_or_else(|_| {
            if let Some(written) = written {
                let told = format!("`{text}` cannot be the value of an HTTP field");
                self.report
                    .push(Diagnostic::error("bad-header-value", told, written.span));
            }
            HeaderValue::from_static("")
        })
    }

    fn body_test(
        &mut self,
        written: &config::Endpoint,
        text: &Spanned<String>,
    ) -> Option<BodyTest> {
        // Parsed once for its mistakes at their place.
        self.xpath(written, text)?;
        let own: Vec<(&str, &str)> = namespaces(written).collect();
        let trial = XPathTrial::new(&text.value, &own).ok()?;
        Some(BodyTest {
            text: text.value.clone(),
            test: Arc::new(move |body| {
                let outcome = trial.run(body, Duration::ZERO);
                outcome
                    .map(|outcome| outcome.result)
                    .map_err(|error| error.to_string())
            }),
        })
    }
}

const SOAP12: &str = crate::soap::SOAP12;

fn header(name: &Spanned<config::HeaderName>) -> Option<HeaderName> {
    HeaderName::from_bytes(name.value.0.as_bytes()).ok()
}

fn namespaces(written: &config::Endpoint) -> impl Iterator<Item = (&str, &str)> {
    let own = written.namespaces.0.iter();
    own.map(|(prefix, uri)| (prefix.value.as_str(), uri.value.as_str()))
}

fn environment(written: &config::Endpoint) -> Environment {
    filter::environment(namespaces(written))
}

fn servers(written: &config::Endpoint) -> Vec<Server> {
    let url = &written.url.value;
    let Some(all) = &written.servers else {
        return vec![Server::at(host(&url.host), url.port)];
    };
    all.0
        .iter()
        .map(|server| {
            let address = &server.address.value;
            let port = address.port.unwrap_or(url.port);
            Server {
                weight: server.weight,
                requests_max: server.max_requests,
                ..Server::at(host(&address.host), port)
            }
        })
        .collect()
}

/// The host of `host` or `host:port`, without the brackets of IPv6.
fn name_of(authority: &str) -> Option<String> {
    let authority: Authority = authority.parse().ok()?;
    let host = authority.host();
    Some(host.trim_matches(['[', ']']).to_owned())
}

/// An address, or a name.
pub(super) fn host(text: &str) -> Host {
    match text.parse::<IpAddr>() {
        Ok(address) => Host::Address(address),
        Err(_) => Host::Name(text.to_owned()),
    }
}

fn queue(written: &config::Endpoint) -> Option<Queue> {
    let servers = written.servers.iter().flat_map(|servers| &servers.0);
    let bounded = servers.map(|server| server.max_requests);
    let needed = written.max_requests.is_some() || bounded.flatten().next().is_some();
    needed.then_some(Queue {
        requests_max: written.max_requests,
        waiting_max: written.max_queue,
        wait_max: written.queue_timeout.0,
    })
}

fn suspension(written: &config::Suspend) -> Suspension {
    Suspension {
        after: written.after,
        initial: written.initial.0,
        factor: written.factor.0,
        maximum: written.maximum.0,
        jitter: written.jitter.0 / 100.0,
        on: triggers(&written.on),
    }
}

/// How long one attempt may take.
pub(super) struct Times {
    pub(super) whole: Option<Duration>,
    pub(super) response: Duration,
}

/// Where nothing is written.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

impl Times {
    pub(super) fn of(written: &config::Endpoint) -> Self {
        let whole = written.timeout.map(|time| time.0);
        let response = written.response_timeout.map(|time| time.0);
        Self {
            whole,
            response: response.or(whole).unwrap_or(RESPONSE_TIMEOUT),
        }
    }

    /// For an operation that has its own.
    fn but(self, written: &config::OperationTimes) -> Self {
        let whole = written.timeout.map(|time| time.0);
        let response = written.response_timeout.map(|time| time.0);
        Self {
            whole: whole.or(self.whole),
            response: response.or(whole).unwrap_or(self.response),
        }
    }
}

/// The endpoint once more for each operation with timeouts of its own.
pub(super) fn operations(written: &config::Endpoint, spec: &upstream::Endpoint) -> Vec<Operation> {
    written
        .operations
        .iter()
        .filter_map(|times| {
            let is = match (&times.operation, &times.action) {
                (Some(name), _) => OperationIs::Named(QName {
                    namespace: name.value.namespace.clone(),
                    local: name.value.local.clone(),
                }),
                (None, Some(action)) => OperationIs::Action(action.value.clone()),
                (None, None) => return None,
            };
            let own = Times::of(written).but(times);
            let spec = upstream::Endpoint {
                response_timeout: own.response,
                timeout: own.whole,
                idle_timeout: times.idle_timeout.map_or(spec.idle_timeout, |time| time.0),
                ..spec.clone()
            };
            Some(Operation { is, spec })
        })
        .collect()
}

/// A list of failures.
pub(super) fn triggers(written: &[Spanned<FailoverOn>]) -> Triggers {
    let mut triggers = Triggers::default();
    for on in written {
        let word = match on.value {
            FailoverOn::Connect => "connect",
            FailoverOn::Dns => "dns",
            FailoverOn::Tls => "tls",
            FailoverOn::Reset => "reset",
            FailoverOn::Timeout => "timeout",
            FailoverOn::NotSoap => "not-soap",
            FailoverOn::Down => "down",
            FailoverOn::Busy => "busy",
            FailoverOn::Status(status) => {
                triggers.statuses.push(status);
                continue;
            }
            FailoverOn::Fault(config::FaultBlame::Receiver) => {
                triggers.receiver_fault = true;
                continue;
            }
        };
        triggers.words.push(word.to_owned());
    }
    triggers
}
