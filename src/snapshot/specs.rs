//! A table's filters, from written to compilable: names followed, expressions parsed.

use std::collections::{HashMap, HashSet};

use regex::RegexBuilder;

use crate::config::{self, Config, Filter, FilterRef, HeaderTest, Loaded, Spanned, inside};
use crate::diag::{Diagnostic, Report, Sources};
use crate::filter::{
    self, Address, AddressPattern, CertificateTest, MessageValue, Registry, Spec, Sticky, TextTest,
};
use crate::soap::{QName, Version};
use crate::xpath::{self, Environment, Expr, ParseLimits, SyntaxError};

/// Largest compiled regular expression, bytes: the library's own default, written out because
/// it bounds what a filter file can make us allocate.
pub(super) const REGEX_BYTES_MAX: usize = 10 << 20;
/// Names inside names deeper than this are a circle that `config` has already told of.
const NAMES_DEEP_MAX: usize = 64;

/// Compiles the filters of one table, each mistake told once however often a filter is used.
pub(super) struct Specs<'a> {
    loaded: &'a Loaded,
    table: &'a config::Table,
    registry: &'a Registry,
    environment: Environment,
    limits: ParseLimits,
    named: HashMap<&'a str, Option<Spec>>,
    told: HashSet<(u32, u32)>,
    report: Report,
}

impl<'a> Specs<'a> {
    pub(super) fn new(
        config: &'a Config,
        loaded: &'a Loaded,
        table: &'a config::Table,
        registry: &'a Registry,
    ) -> Self {
        let limits = config.router_limits();
        let own = table
            .namespaces
            .0
            .iter()
            .map(|(p, uri)| (p.value.as_str(), uri.value.as_str()));
        Self {
            loaded,
            table,
            registry,
            environment: filter::environment(own),
            limits: ParseLimits {
                nesting_max: limits.xpath_nesting,
                length_max: usize::try_from(limits.xpath_length.0).unwrap_or(usize::MAX),
                ..ParseLimits::default()
            },
            named: HashMap::new(),
            told: HashSet::new(),
            report: Report::default(),
        }
    }

    /// The filter that an entry names or writes out.
    pub(super) fn of(&mut self, filter: &'a FilterRef) -> Option<Spec> {
        self.reference(filter, 0)
    }

    /// Looks also at named filters that no entry uses: their mistakes are mistakes too.
    pub(super) fn unused(&mut self) {
        for (name, _) in self.table.filters.iter() {
            self.name(&name.value, 0);
        }
    }

    pub(super) fn into_report(self) -> Report {
        self.report
    }

    fn reference(&mut self, filter: &'a FilterRef, depth: usize) -> Option<Spec> {
        match filter {
            FilterRef::Name(name) => self.name(&name.value, depth),
            FilterRef::Inline(filter) => self.filter(&filter.value, depth + 1),
        }
    }

    fn name(&mut self, name: &str, depth: usize) -> Option<Spec> {
        if depth > NAMES_DEEP_MAX {
            return None;
        }
        if let Some(known) = self.named.get(name) {
            return known.clone();
        }
        let (written, filter) = self
            .table
            .filters
            .iter()
            .find(|(own, _)| own.value == name)?;
        let spec = self.filter(&filter.value, depth + 1);
        self.named.insert(&written.value, spec.clone());
        spec
    }

    fn filter(&mut self, filter: &'a Filter, depth: usize) -> Option<Spec> {
        Some(match filter {
            Filter::Action(actions) => Spec::Action(
                actions
                    .0
                    .iter()
                    .map(|action| action.value.clone())
                    .collect(),
            ),
            Filter::Operation(names) => Spec::Operation(
                names
                    .0
                    .iter()
                    .map(|name| QName {
                        namespace: name.value.namespace.clone(),
                        local: name.value.local.clone(),
                    })
                    .collect(),
            ),
            Filter::EndpointAddress(address) => Spec::Address(self.address(address)?),
            Filter::PrefixEndpointAddress(address) => Spec::Prefix(self.address(address)?),
            Filter::EndpointName(name) => Spec::EndpointName(name.value.clone()),
            Filter::XPath(text) => Spec::XPath {
                expr: self.xpath(text)?,
                text: text.value.clone(),
            },
            Filter::SoapVersion(version) => Spec::SoapVersion(match version {
                config::EnvelopeVersion::V11 => Version::Soap11,
                config::EnvelopeVersion::V12 => Version::Soap12,
            }),
            Filter::HttpHeader(header) => Spec::Header(self.header(header)?),
            Filter::ClientCertificate(certificate) => {
                let text =
                    |field: &Option<Spanned<String>>| field.as_ref().map(|f| f.value.clone());
                let written = &certificate.value;
                Spec::Certificate(CertificateTest {
                    subject: text(&written.subject),
                    issuer: text(&written.issuer),
                    san: text(&written.san),
                })
            }
            Filter::MatchAll(_) => Spec::Always,
            Filter::And(parts) => Spec::And(self.parts(parts, depth)?),
            Filter::Or(parts) => Spec::Or(self.parts(parts, depth)?),
            Filter::Not(part) => Spec::Not(Box::new(self.reference(part, depth)?)),
            Filter::RoundRobin(turn) => Spec::RoundRobin {
                group: turn.group.value.as_str().into(),
                of: turn.of.unwrap_or(1),
                index: turn.index.unwrap_or(1).saturating_sub(1),
            },
            Filter::Percent(percent) => Spec::Percent {
                share: percent.share.value.0,
                sticky: match &percent.sticky_on {
                    None => None,
                    Some(config::StickyOn::Header(name)) => Some(Sticky::Header(
                        http::HeaderName::from_bytes(name.value.0.as_bytes()).ok()?,
                    )),
                    Some(config::StickyOn::XPath(text)) => {
                        Some(Sticky::XPath(MessageValue::new(self.xpath(text)?)))
                    }
                },
            },
            Filter::Custom(custom) => self.custom(custom)?,
        })
    }

    fn parts(&mut self, parts: &'a [FilterRef], depth: usize) -> Option<Vec<Spec>> {
        let specs: Vec<Option<Spec>> = parts
            .iter()
            .map(|part| self.reference(part, depth))
            .collect();
        specs.into_iter().collect()
    }

    fn address(&mut self, written: &config::AddressMatch) -> Option<AddressPattern> {
        let address = Address::parse(&written.uri.value.0);
        if address.is_none() {
            let text = format!("`{}` is no absolute URI", written.uri.value.0);
            self.report
                .push(Diagnostic::error("bad-uri", text, written.uri.span));
        }
        Some(AddressPattern {
            address: address?,
            with_host: written.host,
        })
    }

    fn header(&mut self, written: &Spanned<config::HttpHeader>) -> Option<filter::HeaderTest> {
        let name = http::HeaderName::from_bytes(written.value.name.value.0.as_bytes()).ok()?;
        let test = match written.value.test() {
            HeaderTest::Present(wanted) => TextTest::Present(wanted),
            HeaderTest::Equals(text) => TextTest::Equals(text.value.clone()),
            HeaderTest::Prefix(text) => TextTest::Prefix(text.value.clone()),
            HeaderTest::Matches(text) => {
                let regex = RegexBuilder::new(&text.value)
                    .size_limit(REGEX_BYTES_MAX)
                    .build();
                match regex {
                    Ok(regex) => TextTest::Matches(regex),
                    Err(error) => {
                        // The library draws its own picture over several lines; the last says why.
                        let why = error.to_string();
                        let why = why
                            .lines()
                            .last()
                            .unwrap_or("")
                            .trim_start_matches("error: ");
                        let text_ = format!("this regular expression cannot be used: {why}");
                        self.report
                            .push(Diagnostic::error("bad-regex", text_, text.span));
                        return None;
                    }
                }
            }
        };
        Some(filter::HeaderTest { name, test })
    }

    fn xpath(&mut self, text: &Spanned<String>) -> Option<Expr> {
        let error = match xpath::parse(&text.value, &self.environment, &self.limits) {
            Ok(expr) => return Some(expr),
            Err(error) => error,
        };
        if !self
            .told
            .insert((text.span.start.line, text.span.start.col))
        {
            return None;
        }
        let told = xpath_mistake(&self.loaded.sources, text, error);
        self.report.push(told);
        None
    }

    fn custom(&mut self, written: &config::Custom) -> Option<Spec> {
        let data = serde_json::to_value(&written.data.0).unwrap_or_default();
        let name = written.r#type.value.clone();
        match self.registry.make(&name, &data) {
            Ok(filter) => Some(Spec::Custom { name, filter }),
            Err(error) => {
                let told =
                    Diagnostic::error("custom-filter", error.to_string(), written.r#type.span);
                self.report.push(told);
                None
            }
        }
    }
}

/// A mistake in an expression, at its place in the file.
pub(super) fn xpath_mistake(
    sources: &Sources,
    text: &Spanned<String>,
    error: SyntaxError,
) -> Diagnostic {
    let start = error.column.saturating_sub(1);
    let span = inside(sources, text, start..start + error.length.max(1));
    let mut told = Diagnostic::error("xpath-syntax", error.message, span);
    if let Some(expected) = error.expected {
        told = told.label(format!("expected {expected}"));
    }
    told.hint_if(error.hint)
}
