//! Every limit: its name, its default, its range and its reason, in one table.
//!
//! The table makes the two written types (for the whole router and for one service), the numbers in force,
//! and [`LIMITS`] for the docs. What holds a limit is elsewhere (`xml`, `front`, `exchange`).

use super::amounts::{Size, SizeOrNone, Time};
use super::shape::written;

/// One limit as the docs tell it.
#[derive(Debug, Clone, Copy)]
pub struct LimitInfo {
    /// The key.
    pub name: &'static str,
    /// What it bounds, and why the default is what it is.
    pub doc: &'static [&'static str],
    /// True if a service may set its own.
    pub per_service: bool,
}

macro_rules! limits {
    (
        per service { $( $(#[doc = $doc:literal])+ $name:ident : $type:ty [$range:expr] = $default:expr, )+ }
        router only { $( $(#[doc = $own_doc:literal])+ $own:ident : $own_type:ty [$own_range:expr] = $own_default:expr, )+ }
    ) => {
        written! {
            /// Limits that one service sets for itself; what is left out is as for the whole router.
            pub struct ServiceLimits as "the limits" {
                $( $(#[doc = $doc])+ pub $name: Option<$type> [$range] = None, )+
            }
        }

        written! {
            /// Limits for the whole router; what is left out has its default.
            pub struct Limits as "the limits" {
                $( $(#[doc = $doc])+ pub $name: Option<$type> [$range] = None, )+
                $( $(#[doc = $own_doc])+ pub $own: Option<$own_type> [$own_range] = None, )+
            }
        }

        /// The limits that are in force: each with a value.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
        pub struct LimitsInForce {
            $( $(#[doc = $doc])+ pub $name: $type, )+
            $( $(#[doc = $own_doc])+ pub $own: $own_type, )+
        }

        /// Every limit, in the order of the docs.
        pub const LIMITS: &[LimitInfo] = &[
            $( LimitInfo { name: stringify!($name), doc: &[$($doc),+], per_service: true }, )+
            $( LimitInfo { name: stringify!($own), doc: &[$($own_doc),+], per_service: false }, )+
        ];

        impl Default for LimitsInForce {
            fn default() -> Self {
                Self { $( $name: $default, )+ $( $own: $own_default, )+ }
            }
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $( $name: None, )+ $( $own: None, )+ }
            }
        }

        impl Default for ServiceLimits {
            fn default() -> Self {
                Self { $( $name: None, )+ }
            }
        }

        impl LimitsInForce {
            /// The defaults under what the router sets.
            pub fn of_router(limits: &Limits) -> Self {
                let default = Self::default();
                Self {
                    $( $name: limits.$name.unwrap_or(default.$name), )+
                    $( $own: limits.$own.unwrap_or(default.$own), )+
                }
            }

            /// These under what a service sets.
            #[must_use]
            pub fn of_service(self, limits: &ServiceLimits) -> Self {
                Self { $( $name: limits.$name.unwrap_or(self.$name), )+ ..self }
            }
        }
    };
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const DAY_MS: u64 = 86_400_000;

limits! {
    per service {
        /// Elements inside elements. 256 by default: real envelopes stay below 50, and what walks a tree may
        /// recurse so deep without harm to its stack; hence also 1000 at most.
        depth: u32 [2..=1000] = 256,
        /// Attributes of one element. 256 by default: each must be compared with the others to find repeats.
        attributes: u32 [1..=10_000] = 256,
        /// Bytes of all attributes of one element. 64 KiB by default: a tag is held whole while it is read.
        attribute_bytes: Size [256..=16 * MIB] = Size(64 * KIB),
        /// Bytes of one name with its prefix. 1 KiB by default: names are kept for every open element.
        name_bytes: Size [64..=64 * KIB] = Size(KIB),
        /// Namespace declarations in force at one place. 64 by default: each lookup of a prefix may pass them all.
        namespaces: u32 [4..=10_000] = 64,
        /// Bytes of a message held where streaming is not possible. 10 MiB by default: times the exchanges in
        /// flight it is the memory that hostile callers can take.
        buffered_body: Size [KIB..=4 * GIB] = Size(10 * MIB),
        /// Bytes of one message; `none` by default, for what streams costs no memory.
        message_bytes: SizeOrNone [KIB..=u64::MAX] = SizeOrNone(None),
        /// Bytes kept to send a message again to a backup. 1 MiB by default: beyond it failover ends with the
        /// first byte sent, and memory stays small.
        replay_buffer: Size [0..=GIB] = Size(MIB),
        /// Bytes of an endpoint's fault read to bridge or inspect it. 1 MiB by default: faults with stack
        /// traces have been seen with some hundred KiB.
        fault_bytes: Size [KIB..=GIB] = Size(MIB),
        /// Time without a byte of a body, either way, before the exchange is broken off. 60 s by default, as
        /// common servers have it.
        body_idle_timeout: Time [100..=DAY_MS] = Time::secs(60),
    }
    router only {
        /// Bytes of a message up to the first child of Body, held while it is bridged. 64 KiB by default: headers
        /// with tokens and assertions stay below 32 KiB.
        bridge_head: Size [KIB..=16 * MIB] = Size(64 * KIB),
        /// Bytes of a request's head. 64 KiB by default: Kerberos tickets in `Authorization` reach 48 KiB.
        header_block: Size [KIB..=16 * MIB] = Size(64 * KIB),
        /// Header fields of a request. 100 by default: browsers and gateways send below 40.
        header_count: u32 [10..=10_000] = 100,
        /// Time for a request's head to arrive. 10 s by default: a slow sender must not hold a connection for free.
        header_read_timeout: Time [100..=DAY_MS] = Time::secs(10),
        /// Connections accepted at a time over all listeners. 10,000 by default: each takes a file descriptor
        /// and some KiB; beyond it new ones wait in the kernel.
        connections: u32 [1..=1_000_000] = 10_000,
        /// Exchanges in flight at a time. 10,000 by default: with the buffers above it bounds the memory;
        /// beyond it callers get the fault `Overloaded`.
        exchanges: u32 [1..=1_000_000] = 10_000,
        /// Parentheses and predicates inside each other in one XPath. 64 by default: written ones stay below 10,
        /// and evaluating recurses.
        xpath_nesting: u32 [1..=200] = 64,
        /// Bytes of one XPath. 64 KiB by default: the longest written by people have some KiB.
        xpath_length: Size [64..=MIB] = Size(64 * KIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_stands_above_the_router_and_the_router_above_the_default() {
        let router = Limits {
            depth: Some(100),
            attributes: Some(10),
            ..Limits::default()
        };
        let service = ServiceLimits {
            depth: Some(20),
            ..ServiceLimits::default()
        };
        let router = LimitsInForce::of_router(&router);
        let both = router.of_service(&service);
        assert_eq!(
            (router.depth, router.attributes, router.namespaces),
            (100, 10, 64)
        );
        assert_eq!((both.depth, both.attributes, both.namespaces), (20, 10, 64));
    }

    #[test]
    fn each_limit_tells_its_default_and_a_reason() {
        let values = serde_json::to_value(LimitsInForce::default()).unwrap();
        for limit in LIMITS {
            let doc = limit.doc.join(" ");
            assert!(doc.contains("by default"), "{}: {doc}", limit.name);
            assert!(values.get(limit.name).is_some(), "{}", limit.name);
        }
        assert_eq!(
            values.as_object().map(serde_json::Map::len),
            Some(LIMITS.len())
        );
    }
}
