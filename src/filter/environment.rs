//! The names that every expression may use: WCF's prefixes, `soap:`, and the `sm:` functions.
//!
//! The functions are macros over plain XPath, so the engine needs to know nothing of SOAP.

use crate::soap::{SOAP11, SOAP12, WSA04, WSA10};
use crate::xpath::{Environment, External, Landmarks, Namespaces, Type};

/// The prefix that stands for the envelope namespace of either version.
pub const SOAP_PREFIX: &str = "soap";

const SM: &str = "http://schemas.microsoft.com/serviceModel/2004/05/xpathfunctions";

/// WCF's seven predefined prefixes (`wcf-routing` §1.6).
pub const PREDEFINED_PREFIXES: [(&str, &str); 7] = [
    ("s11", SOAP11),
    ("s12", SOAP12),
    ("wsaAugust2004", WSA04),
    ("wsa10", WSA10),
    ("sm", SM),
    ("ser", "http://schemas.microsoft.com/2003/10/Serialization/"),
    ("tempuri", "http://tempuri.org/"),
];

/// Values that come with each message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Externals<'a> {
    pub(super) http_action: &'a str,
    pub(super) url: &'a str,
    /// Now, in days since 1 January 0001, as `sm:utc-now()` counts.
    pub(super) now_days: f64,
}

impl Externals<'_> {
    /// The values in the order in which [`environment`] declares them.
    pub(super) const fn values(&self) -> [External<'_>; 3] {
        [
            External::Text(self.http_action),
            External::Text(self.url),
            External::Number(self.now_days),
        ]
    }
}

/// Days from 1 January 0001 to 1 January 1970.
const DAYS_TO_UNIX: f64 = 719_162.0;
const SECONDS_A_DAY: f64 = 86_400.0;

/// The functions of WCF's `sm:` namespace as expressions (`wcf-routing` §1.6). Header blocks of
/// both addressing versions count; an action or address that the envelope does not state is
/// HTTP's.
#[rustfmt::skip]
const FUNCTIONS: [(&str, &[Type], &str); 17] = [
    ("header", &[], "/soap:Envelope/soap:Header"),
    ("body", &[], "/soap:Envelope/soap:Body"),
    ("soap-uri", &[], "namespace-uri(/soap:Envelope)"),
    ("action", &[], "first-non-empty(/soap:Envelope/soap:Header/wsa:Action, $http-action)"),
    ("to", &[], "first-non-empty(/soap:Envelope/soap:Header/wsa:To, $url)"),
    ("messageId", &[], "string(/soap:Envelope/soap:Header/wsa:MessageID)"),
    ("relatesTo", &[], "/soap:Envelope/soap:Header/wsa:RelatesTo"),
    ("replyTo", &[], "/soap:Envelope/soap:Header/wsa:ReplyTo"),
    ("from", &[], "/soap:Envelope/soap:Header/wsa:From"),
    ("faultTo", &[], "/soap:Envelope/soap:Header/wsa:FaultTo"),
    ("headers-with-actor", &[Type::String],
        "/s11:Envelope/s11:Header/*[string(@s11:actor) = $1] | /s12:Envelope/s12:Header/*[string(@s12:role) = $1]"),
    ("actor", &[Type::NodeSet], "string($1[1]/@s11:actor | $1[1]/@s12:role)"),
    ("is-mandatory", &[Type::NodeSet],
        "$1[1]/@s11:mustUnderstand = '1' or $1[1]/@s12:mustUnderstand = 'true'"),
    ("is-actor-next", &[Type::NodeSet],
        "$1[1]/@s11:actor = 'http://schemas.xmlsoap.org/soap/actor/next' or \
         $1[1]/@s12:role = 'http://www.w3.org/2003/05/soap-envelope/role/next'"),
    ("is-actor-ultimate-receiver", &[Type::NodeSet],
        "boolean(/s11:Envelope) and string($1[1]/@s11:actor) = '' or \
         $1[1]/@s12:role = 'http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver'"),
    ("utc-now", &[], "$now"),
    ("correlation-data", &[Type::String], "string(/..)"),
];

/// The environment of a table's expressions: the predefined prefixes, then the table's own,
/// which may override them.
#[must_use]
pub fn environment<'a>(own: impl IntoIterator<Item = (&'a str, &'a str)>) -> Environment {
    let mut predefined = Namespaces::new();
    for (prefix, uri) in PREDEFINED_PREFIXES {
        predefined.bind(prefix, uri);
    }
    predefined.bind_any(SOAP_PREFIX, &[SOAP11, SOAP12]);
    let mut namespaces = predefined.clone();
    for (prefix, uri) in own {
        namespaces.bind(prefix, uri);
    }
    let mut environment = Environment::new(namespaces);
    environment.external_string("http-action");
    environment.external_string("url");
    environment.external_number("now");
    predefined.bind_any("wsa", &[WSA10, WSA04]);
    for (name, parameters, body) in FUNCTIONS {
        let defined = environment.define(SM, name, parameters, body, &predefined);
        debug_assert!(defined.is_ok(), "{name}: {defined:?}");
    }
    environment.define_native(SM, "date-time", 1, |texts| {
        texts.first().map_or(f64::NAN, |text| date_time(text))
    });
    environment.define_native(SM, "duration", 1, |texts| {
        texts.first().map_or(f64::NAN, |text| duration(text))
    });
    environment
}

/// The parts of an envelope, by which the engine knows when a header is over. A 1.1 envelope
/// may hold more behind Body, which is no part of either.
pub(super) fn landmarks() -> Landmarks {
    let either = |local: &str| {
        vec![
            (SOAP11.to_owned(), local.to_owned()),
            (SOAP12.to_owned(), local.to_owned()),
        ]
    };
    Landmarks {
        root: either("Envelope"),
        sections: vec![either("Header"), either("Body")],
        classes: Some(crate::soap::class_of),
    }
}

/// The present, in the unit of `sm:utc-now()`.
pub(super) fn days_since_year_one(unix: std::time::Duration) -> f64 {
    unix.as_secs_f64() / SECONDS_A_DAY + DAYS_TO_UNIX
}

/// An XML Schema `dateTime` in days since year one, or NaN; without a zone it is UTC.
fn date_time(text: &str) -> f64 {
    parse_date_time(text.trim()).unwrap_or(f64::NAN)
}

fn parse_date_time(text: &str) -> Option<f64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00"));
    let (time, zone) = match time.find(['Z', '+', '-']) {
        Some(at) => (time.get(..at)?, time.get(at..)?),
        None => (time, "Z"),
    };
    let mut parts = date.splitn(3, '-');
    let (year, month, day): (i64, i64, i64) = (
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let seconds = clock(time)? - zone_seconds(zone)?;
    #[allow(
        clippy::cast_precision_loss,
        reason = "days of ten thousand years fit a double"
    )]
    let days = days_from_civil(year, month, day) as f64;
    Some(days + DAYS_TO_UNIX + seconds / SECONDS_A_DAY)
}

fn clock(time: &str) -> Option<f64> {
    let mut parts = time.splitn(3, ':');
    let hours: f64 = parts.next()?.parse().ok()?;
    let minutes: f64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next().map_or(Some(0.0), |text| text.parse().ok())?;
    let fits = (0.0..=24.0).contains(&hours) && (0.0..60.0).contains(&minutes);
    (fits && (0.0..=60.0).contains(&seconds)).then_some(hours * 3600.0 + minutes * 60.0 + seconds)
}

fn zone_seconds(zone: &str) -> Option<f64> {
    match zone.strip_prefix('-') {
        _ if zone == "Z" => Some(0.0),
        Some(west) => clock(west).map(|seconds| -seconds),
        None => clock(zone.strip_prefix('+')?),
    }
}

/// Days from 1970 of a date of the Gregorian calendar (the usual shift to years that begin in
/// March, so that the leap day comes last).
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A .NET `TimeSpan` text, `[-][d.]hh:mm[:ss[.fff]]` or whole days, in days, or NaN.
fn duration(text: &str) -> f64 {
    let text = text.trim();
    let (sign, text) = text
        .strip_prefix('-')
        .map_or((1.0, text), |rest| (-1.0, rest));
    let parse = || -> Option<f64> {
        if !text.contains(':') {
            return text.parse::<u32>().ok().map(f64::from);
        }
        let (days, time) = match text.split_once('.') {
            Some((days, time)) if !days.contains(':') => (days.parse::<u32>().ok()?, time),
            _ => (0, text),
        };
        Some(f64::from(days) + clock(time)? / SECONDS_A_DAY)
    };
    parse().map_or(f64::NAN, |days| sign * days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_wcf_is_defined() {
        let mut environment = environment([]);
        let mut namespaces = Namespaces::new();
        for (prefix, uri) in PREDEFINED_PREFIXES {
            namespaces.bind(prefix, uri);
        }
        namespaces.bind_any("soap", &[SOAP11, SOAP12]);
        namespaces.bind_any("wsa", &[WSA10, WSA04]);
        for (name, parameters, body) in FUNCTIONS {
            environment
                .define(SM, name, parameters, body, &namespaces)
                .expect(name);
        }
    }

    #[test]
    fn days() {
        let cases = [
            ("0001-01-01T00:00:00Z", 0.0),
            ("1970-01-01T00:00:00Z", DAYS_TO_UNIX),
            ("1970-01-01T01:00:00+01:00", DAYS_TO_UNIX),
            ("2000-03-01", 730_179.0),
        ];
        for (text, days) in cases {
            assert!(
                (date_time(text) - days).abs() < 1e-9,
                "{text}: {}",
                date_time(text)
            );
        }
        assert!(date_time("tomorrow").is_nan());
        assert!((duration("1.12:00:00") - 1.5).abs() < 1e-9);
        assert!((duration("-06:00") + 0.25).abs() < 1e-9);
        assert!(duration("x").is_nan());
    }
}
