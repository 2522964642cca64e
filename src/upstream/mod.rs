//! Endpoints as living things: their servers, how each stands, who is next, and one message brought
//! to one of them.
//!
//! [`Endpoint`] is the compiled description that the snapshot fills in. The [`Fleet`] holds what
//! lives on through reloads: a [`Group`] of members for each endpoint. A message asks the group for
//! a [`Turn`] at one of them and the worker's [`Client`], which keeps idle connections, for the
//! answer. [`Upkeep`] resolves names, probes and ends drains beside the road. What happens when an
//! endpoint fails is decided in `exchange`.
//!
//! Three faces that do not know each other: who is there (`fleet`), who is well (`standing`,
//! `suspension`, `probe`), who is next (`balance`, `affinity`); they meet in `group`.

mod affinity;
mod balance;
mod budget;
mod client;
mod connect;
mod endpoint;
mod error;
mod fleet;
mod group;
mod lines;
mod member;
mod multiplexed;
mod pool;
mod probe;
mod shared;
mod standing;
mod suspension;
mod tie;
mod turn;
mod upkeep;

pub use affinity::{Affinity, BoundBy, CookieSpec, Secret, cookie};
pub use balance::hash;
pub use budget::RetryBudget;
pub use client::{Client, Progress, Reply};
pub use endpoint::{Balance, Endpoint, Host, HostField, Queue, Server, Servers};
pub use error::{Phase, SendError};
pub use fleet::{EndpointView, Fleet, OrderError};
pub use group::{Group, NoServer, Wants};
pub use member::{Member, MemberView};
pub use probe::{BodyTest, Expect, Probe};
pub use standing::{Order, State};
pub use suspension::{Suspension, Triggers};
pub use turn::Turn;
pub use upkeep::Upkeep;
