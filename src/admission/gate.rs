//! The gate of one service or route.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::rate::{Meter, Rate};
use super::slots::{Slots, Turn};

/// What a gate goes by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Where callers may come from; empty means from everywhere.
    pub allow: Vec<IpNet>,
    /// Where they may not come from, whatever is allowed.
    pub deny: Vec<IpNet>,
    /// Exchanges at a time.
    pub concurrency: Option<usize>,
    /// Exchanges that may wait.
    pub queue: usize,
    /// How long each may.
    pub queue_timeout: Duration,
    /// How fast.
    pub rates: Vec<Rate>,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The address may not.
    NotAllowed,
    /// All turns are taken, and all places to wait.
    Full,
    /// Waited, and no turn came.
    Waited(Duration),
    /// Too fast; after so long it may be tried again.
    TooFast(Duration),
    /// The router stops.
    Closing,
}

/// Lets in or refuses.
#[derive(Debug)]
pub struct Gate {
    rules: Rules,
    slots: Option<Arc<Slots>>,
    meters: Vec<Meter>,
}

/// Somebody who was let in, for as long as the value lives.
#[derive(Debug)]
pub struct Pass(#[allow(dead_code, reason = "its drop is what counts")] Option<Turn>);

impl Gate {
    /// A gate with these rules. What `before` knows of those who are in stays known, and what it
    /// counted too, where the rules for it are the same.
    #[must_use]
    pub fn new(rules: Rules, before: Option<&Arc<Self>>) -> Arc<Self> {
        if let Some(before) = before
            && before.rules == rules
        {
            return Arc::clone(before);
        }
        let slots =
            rules.concurrency.map(
                |size| match before.and_then(|before| before.slots.as_ref()) {
                    Some(slots) => {
                        slots.resize(size);
                        Arc::clone(slots)
                    }
                    None => Arc::new(Slots::new(size)),
                },
            );
        let meters = rules.rates.iter().map(Meter::new).collect();
        Arc::new(Self {
            rules,
            slots,
            meters,
        })
    }

    /// Whether somebody from this address may come in now.
    ///
    /// # Errors
    /// [`Refusal::NotAllowed`] or [`Refusal::TooFast`].
    pub fn knock(&self, address: IpAddr) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let within = |networks: &[IpNet]| networks.iter().any(|net| net.contains(&address));
        if within(&self.rules.deny) || !(self.rules.allow.is_empty() || within(&self.rules.allow)) {
            return Err(Refusal::NotAllowed);
        }
        for meter in &self.meters {
            meter.client(address).map_err(Refusal::TooFast)?;
        }
        Ok(())
    }

    /// Whether this operation may be asked for now.
    ///
    /// # Errors
    /// [`Refusal::TooFast`].
    pub fn operation(&self, name: &str) -> Result<(), Refusal> {
        for meter in &self.meters {
            meter.operation(name).map_err(Refusal::TooFast)?;
        }
        Ok(())
    }

    /// Comes in when it is its turn.
    ///
    /// # Errors
    /// When there is no place to wait, or the wait was in vain.
    pub async fn enter(&self) -> Result<Pass, Refusal> {
        match &self.slots {
            None => Ok(Pass(None)),
            Some(slots) => slots
                .take(self.rules.queue, self.rules.queue_timeout)
                .await
                .map(|turn| Pass(Some(turn))),
        }
    }

    /// The router stops: whoever waits is told so.
    pub fn close(&self) {
        if let Some(slots) = &self.slots {
            slots.close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_decide_and_denied_is_denied() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let gate = Gate::new(
            Rules {
                allow: vec![net("10.0.0.0/8"), net("2001:db8::/32")],
                deny: vec![net("10.1.0.0/16")],
                ..Rules::default()
            },
            None,
        );
        let knock = |text: &str| gate.knock(text.parse().unwrap()).is_ok();
        assert!(knock("10.2.3.4") && knock("2001:db8::1") && knock("::ffff:10.2.3.4"));
        assert!(!knock("10.1.2.3") && !knock("192.0.2.1") && !knock("::1"));
    }
}
