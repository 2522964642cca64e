//! Every live endpoint of the router, through all reloads.
//!
//! A reload prepares groups for the new snapshot from members that are there already and new
//! ones, and puts them in force with [`Fleet::commit`]; members that no group has any more leave.
//! A member is the same one if endpoint, server and address are. What the operator ordered is
//! kept by name, so it outlives changes of address.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::endpoint::{Endpoint, Host, Server};
use super::group::{Group, Seat};
use super::member::{Member, MemberView};
use super::shared::Shared;
use super::standing::{Order, Standing, State};
use crate::telemetry::{Metrics, ServerSample};

/// The live endpoints.
#[derive(Debug)]
pub struct Fleet {
    pub(super) shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    members: HashMap<Key, Arc<Member>>,
    /// In force.
    groups: Vec<Arc<Group>>,
    orders: HashMap<(String, Option<String>), (Order, String)>,
    names: HashMap<String, Name>,
}

/// What makes a member the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    endpoint: String,
    server: String,
    address: SocketAddr,
}

/// What is known of a host's name.
#[derive(Debug, Clone, Default)]
struct Name {
    addresses: Vec<IpAddr>,
    problem: Option<String>,
}

/// How an endpoint stands, for the admin interface.
#[derive(Debug, Clone)]
pub struct EndpointView {
    /// Its name.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// Its servers' addresses, those that leave last.
    pub members: Vec<MemberView>,
    /// Why a name has no address.
    pub problem: Option<String>,
    /// Messages that wait for a place.
    pub waiting: u32,
}

/// An order named something that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// No such endpoint.
    #[error("no endpoint `{0}`")]
    Endpoint(String),
    /// No such server.
    #[error("endpoint `{endpoint}` has no server `{server}`; it has {}", known.join(", "))]
    Server {
        /// The endpoint.
        endpoint: String,
        /// What was asked for.
        server: String,
        /// What it has.
        known: Vec<String>,
    },
}

impl Fleet {
    /// Nothing yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            shared: Arc::default(),
            metrics,
            book: Mutex::default(),
        }
    }

    /// Groups for these endpoints, not yet in force. Names whose address is unknown have no
    /// members until they are resolved.
    #[must_use]
    pub fn prepare(&self, endpoints: impl Iterator<Item = Endpoint>) -> Vec<Arc<Group>> {
        let mut book = self.lock();
        endpoints
            .map(|endpoint| {
                let group = Arc::new(Group::new(Arc::new(endpoint), &self.shared));
                self.seat(&mut book, &group);
                group
            })
            .collect()
    }

    /// Puts groups in force; who is in none of them leaves.
    pub fn commit(&self, groups: Vec<Arc<Group>>) {
        let mut book = self.lock();
        book.groups = groups;
        let wanted: HashSet<String> = names_of(&book.groups).map(str::to_owned).collect();
        book.names.retain(|name, _| wanted.contains(name));
        let servers: HashSet<(String, String)> = book
            .groups
            .iter()
            .flat_map(|group| {
                let spec = group.spec();
                let all = spec.servers.all.iter();
                all.map(|server| (spec.name.to_string(), server.name.clone()))
            })
            .collect();
        // What was ordered for something that is gone is not held against its namesake later.
        book.orders.retain(|(endpoint, server), _| match server {
            Some(server) => servers.contains(&(endpoint.clone(), server.clone())),
            None => servers.iter().any(|(known, _)| known == endpoint),
        });
        for group in &book.groups {
            let servers = &group.spec().servers;
            let assumed = servers.probe.as_ref().map(|probe| probe.assume_healthy);
            for seat in &group.membership().all {
                seat.member
                    .settle(servers.drain, servers.drain_unhealthy, assumed);
            }
        }
        self.dismiss(&mut book, |_| true, "no longer in the configuration");
    }

    /// What a name leads to now; a failure keeps what was known.
    pub(super) fn resolved(&self, name: &str, found: Result<Vec<IpAddr>, String>) {
        let mut book = self.lock();
        let known = book.names.entry(name.to_owned()).or_default();
        let before = known.clone();
        match found {
            Ok(addresses) => {
                known.addresses = addresses;
                known.problem = None;
            }
            Err(problem) => known.problem = Some(problem),
        }
        if before.addresses != known.addresses {
            tracing::info!(name, was = ?before.addresses, now = ?known.addresses, "resolved");
        } else if before.problem == known.problem {
            return;
        }
        let in_force = book.groups.clone();
        let before = seated(&in_force);
        let concerned =
            |group: &&Arc<Group>| names_of(std::slice::from_ref(*group)).any(|own| own == name);
        for group in in_force.iter().filter(concerned) {
            self.seat(&mut book, group);
        }
        self.dismiss(
            &mut book,
            |id| before.contains(&id),
            "its name leads here no more",
        );
    }

    /// Seats groups anew that are not in force yet: names may have been resolved meanwhile.
    pub(super) fn reseat(&self, prepared: &[Arc<Group>]) {
        let mut book = self.lock();
        for group in prepared {
            self.seat(&mut book, group);
        }
    }

    /// Fills a group with the members that its servers lead to.
    fn seat(&self, book: &mut Book, group: &Arc<Group>) {
        let spec = Arc::clone(group.spec());
        let mut seats: Vec<Seat> = Vec::new();
        let mut problem = None;
        for server in &spec.servers.all {
            let addresses = match &server.host {
                Host::Address(address) => vec![*address],
                Host::Name(name) => match book.names.get(name) {
                    Some(known) => {
                        problem = problem.or_else(|| known.problem.clone());
                        known.addresses.clone()
                    }
                    None => Vec::new(),
                },
            };
            for address in addresses {
                let address = SocketAddr::new(address, server.port);
                let member = self.member(book, &spec, server, address);
                // Two names may lead to one address.
                if !seats.iter().any(|seat| seat.member.address() == address) {
                    seats.push(group.make_seat(member, server));
                }
            }
        }
        let configured = seats.len();
        if group.cookie().is_some() {
            let leaving = leaving(book, &spec.name);
            let own = Server::at(spec.host.clone(), spec.port);
            seats.extend(
                leaving
                    .into_iter()
                    .map(|member| group.make_seat(member, &own)),
            );
        }
        group.seat(seats, configured, problem);
    }

    fn member(
        &self,
        book: &mut Book,
        spec: &Endpoint,
        server: &Server,
        address: SocketAddr,
    ) -> Arc<Member> {
        let key = Key {
            endpoint: spec.name.to_string(),
            server: server.name.clone(),
            address,
        };
        if let Some(member) = book.members.get(&key) {
            return Arc::clone(member);
        }
        let order = book.order(&spec.name, &server.name);
        let servers = &spec.servers;
        let assumed = servers.probe.as_ref().map(|probe| probe.assume_healthy);
        let mut standing = Standing::new(order, assumed, servers.drain);
        standing.drain_unhealthy = servers.drain_unhealthy;
        let member = Arc::new(Member::new(
            server.name.as_str().into(),
            address,
            standing,
            self.metrics.server(&spec.name, &server.name),
            &self.shared,
        ));
        book.members.insert(key, Arc::clone(&member));
        member
    }

    /// Lets go of members that no group in force has any more, if they `may_leave`, and takes
    /// back those that one has again.
    fn dismiss(&self, book: &mut Book, may_leave: impl Fn(u64) -> bool, why: &str) {
        let seated = seated(&book.groups);
        let mut left = HashSet::new();
        for (key, member) in &book.members {
            let leaving = member.state() == State::Leaving;
            match (seated.contains(&member.id()), leaving) {
                (true, true) => member.returned(),
                (false, false) if may_leave(member.id()) => {
                    member.left(why);
                    left.insert(key.endpoint.clone());
                }
                _ => {}
            }
        }
        let bound =
            |group: &&Arc<Group>| group.cookie().is_some() && left.contains(&*group.spec().name);
        for group in book.groups.clone().iter().filter(bound) {
            self.seat(book, group);
        }
        self.shared.changed();
    }

    /// Does what is due, and says when to look again.
    pub(super) fn tend(&self, now: Instant) -> Option<Instant> {
        let mut book = self.lock();
        let next = book
            .members
            .values()
            .filter_map(|member| member.tend(now))
            .min();
        book.members.retain(|_, member| !member.is_gone());
        next
    }

    /// What the operator wants of an endpoint, or of one server of it. It holds through reloads,
    /// for as long as the endpoint or server is in the configuration.
    ///
    /// # Errors
    /// When there is no such endpoint or server.
    pub fn order(
        &self,
        endpoint: &str,
        server: Option<&str>,
        order: Order,
        why: &str,
    ) -> Result<(), OrderError> {
        let mut book = self.lock();
        let spec = book
            .groups
            .iter()
            .map(|group| Arc::clone(group.spec()))
            .find(|spec| *spec.name == *endpoint)
            .ok_or_else(|| OrderError::Endpoint(endpoint.to_owned()))?;
        let known = spec.servers.all.iter().map(|s| s.name.clone());
        if let Some(server) = server
            && !known.clone().any(|name| name == server)
        {
            return Err(OrderError::Server {
                endpoint: endpoint.to_owned(),
                server: server.to_owned(),
                known: known.collect(),
            });
        }
        // What is said of the whole endpoint replaces what was said of its servers.
        if server.is_none() {
            book.orders.retain(|(known, _), _| known != endpoint);
        }
        let key = (endpoint.to_owned(), server.map(str::to_owned));
        book.orders.insert(key, (order, why.to_owned()));
        for (key, member) in &book.members {
            if key.endpoint == endpoint && server.is_none_or(|server| key.server == server) {
                member.ordered(order, why);
            }
        }
        Ok(())
    }

    /// How every endpoint in force stands.
    #[must_use]
    pub fn view(&self) -> Vec<EndpointView> {
        let book = self.lock();
        let of = |group: &Arc<Group>| {
            let spec = group.spec();
            let members = group.membership();
            let mut views: Vec<MemberView> = members
                .all
                .iter()
                .take(members.configured)
                .map(|seat| seat.member.view())
                .collect();
            views.extend(leaving(&book, &spec.name).iter().map(|m| m.view()));
            EndpointView {
                name: spec.name.to_string(),
                url: spec.url.clone(),
                members: views,
                problem: members.problem.clone(),
                waiting: group.waiting(),
            }
        };
        book.groups.iter().map(of).collect()
    }

    /// Brings the gauges up to date; to be called before they are read.
    pub fn observe(&self) {
        let views = self.view();
        let samples = views.iter().flat_map(|endpoint| {
            endpoint.members.iter().map(|member| ServerSample {
                endpoint: &endpoint.name,
                server: &member.server,
                state: member.state.name(),
                is_up: member.state.is_open(),
                in_flight: member.in_flight,
            })
        });
        self.metrics.observe_servers(samples);
        let waiting = views.iter().map(|e| (e.name.as_str(), e.waiting));
        self.metrics.observe_waiting(waiting);
    }

    pub(super) fn groups(&self) -> Vec<Arc<Group>> {
        self.lock().groups.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn order(&self, endpoint: &str, server: &str) -> Order {
        let own = (endpoint.to_owned(), Some(server.to_owned()));
        let whole = (endpoint.to_owned(), None);
        let found = self.orders.get(&own).or_else(|| self.orders.get(&whole));
        found.map_or(Order::Enable, |(order, _)| *order)
    }
}

/// Members that groups have by their configuration.
fn seated(groups: &[Arc<Group>]) -> HashSet<u64> {
    let of = |group: &Arc<Group>| {
        let members = group.membership();
        let configured = members.all.iter().take(members.configured);
        let ids: Vec<u64> = configured.map(|seat| seat.member.id()).collect();
        ids
    };
    groups.iter().flat_map(of).collect()
}

/// Members of an endpoint that finish what they have.
fn leaving(book: &Book, endpoint: &str) -> Vec<Arc<Member>> {
    book.members
        .iter()
        .filter(|(key, member)| key.endpoint == endpoint && member.state() == State::Leaving)
        .map(|(_, member)| Arc::clone(member))
        .collect()
}

/// The names that groups need the addresses of.
pub(super) fn names_of(groups: &[Arc<Group>]) -> impl Iterator<Item = &str> {
    groups
        .iter()
        .flat_map(|group| &group.spec().servers.all)
        .filter_map(|server| match &server.host {
            Host::Name(name) => Some(name.as_str()),
            Host::Address(_) => None,
        })
}
