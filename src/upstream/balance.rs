//! Who is next: the arithmetic of choosing among servers that may be chosen.
//!
//! Works on positions in a list, knows no servers. Sketch: a pick costs one or two steps whatever
//! the number of servers (weights add a binary search, `least_requests` looks at 32 at the most).
//! Promised and benched (`benches/pick.rs`): 200 ns with 1,000 servers.
//!
//! **Invariant:** over one whole round each server is picked exactly as often as its weight says.

/// Servers looked at by `least_requests`: with more, the least busy of a run that moves on each
/// time. All of them would cost a microsecond with 1,000.
const LOOKED_AT_MAX: usize = 32;
/// Points on the ring for a server of average weight: loads then differ by some ten percent.
const POINTS_EACH: u64 = 128;
/// Most points altogether: 2 MiB.
const POINTS_MAX: u64 = 1 << 18;

/// The servers that may be chosen, with their weights.
#[derive(Debug, Default)]
pub(super) struct Roster {
    len: usize,
    /// Sums of the weights up to and with each server; empty when all weigh the same.
    sums: Vec<u64>,
    total: u64,
    /// Spreads the turns of heavy servers over the round.
    stride: u64,
}

/// Servers on a ring of hashes: a value finds the same server for as long as it is there, and
/// when one goes only its own values move.
#[derive(Debug, Default)]
pub(super) struct Ring {
    points: Vec<(u64, u32)>,
    /// Where the points begin whose hash begins with these bits: a value is found in one step, where
    /// halving would touch as many lines of memory as the number of points has bits.
    starts: Vec<u32>,
    /// How far a hash is shifted to leave those bits.
    shift: u32,
}

impl Roster {
    pub(super) fn new(weights: &[u32]) -> Self {
        let len = weights.len();
        let equal = weights.windows(2).all(|pair| pair.first() == pair.last());
        if equal {
            return Self {
                len,
                sums: Vec::new(),
                total: len as u64,
                stride: 1,
            };
        }
        let mut total = 0;
        let sums = weights
            .iter()
            .map(|&weight| {
                total += u64::from(weight);
                total
            })
            .collect();
        Self {
            len,
            sums,
            total,
            stride: stride(total),
        }
    }

    /// The server whose turn the `turn`-th is.
    pub(super) fn in_turn(&self, turn: usize) -> Option<usize> {
        let slot = (turn as u64).checked_rem(self.total)?;
        // Both factors are below 2^32: 2^16 servers of weight 2^16 at the most.
        Some(self.holder(slot.wrapping_mul(self.stride) % self.total))
    }

    /// A server drawn by its weight.
    pub(super) fn drawn(&self, draw: u64) -> Option<usize> {
        let slot = draw.checked_rem(self.total)?;
        Some(self.holder(slot))
    }

    fn holder(&self, slot: u64) -> usize {
        if self.sums.is_empty() {
            return usize::try_from(slot).unwrap_or(0);
        }
        self.sums.partition_point(|&sum| sum <= slot)
    }

    /// The servers from `first` on, once around.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = usize> + use<> {
        let len = self.len;
        (first..len).chain(0..first.min(len))
    }

    /// The least busy of those that `least_requests` looks at. `load` gives requests in flight
    /// and weight; `None` for a server that cannot be taken.
    pub(super) fn least_busy(
        &self,
        turn: usize,
        load: impl Fn(usize) -> Option<(u32, u32)>,
    ) -> Option<usize> {
        let first = turn.checked_rem(self.len)?;
        let mut best: Option<(usize, u64, u64)> = None;
        let mut looked_at = 0;
        for at in self.from(first) {
            let Some((in_flight, weight)) = load(at) else {
                continue;
            };
            let (busy, weight) = (u64::from(in_flight) + 1, u64::from(weight));
            if best.is_none_or(|(_, b, w)| busy * w < b * weight) {
                best = Some((at, busy, weight));
            }
            looked_at += 1;
            if looked_at >= LOOKED_AT_MAX {
                break;
            }
        }
        best.map(|(at, ..)| at)
    }
}

impl Ring {
    /// A ring of servers by name and weight.
    pub(super) fn new<'a>(servers: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let servers: Vec<(&str, u32)> = servers.collect();
        let weights: u64 = servers.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let count = (servers.len() as u64 * POINTS_EACH).min(POINTS_MAX);
        let mut points = Vec::new();
        for (number, (name, weight)) in (0_u32..).zip(&servers) {
            let own = (count * u64::from(*weight))
                .checked_div(weights)
                .unwrap_or(0)
                .max(1);
            let seed = hash(name.as_bytes());
            points.extend((0..own).map(|point| (mix(seed ^ mix(point)), number)));
        }
        points.sort_unstable();
        points.dedup_by_key(|(hash, _)| *hash);
        // One point to a beginning, more or less.
        let bits = points.len().max(2).ilog2();
        let shift = u64::BITS - bits;
        let mut starts = Vec::with_capacity((1 << bits) + 1);
        let mut at = 0_u32;
        let mut hashes = points.iter().map(|(hash, _)| hash >> shift).peekable();
        for beginning in 0..1_u64 << bits {
            starts.push(at);
            while hashes.next_if(|hash| *hash == beginning).is_some() {
                at += 1;
            }
        }
        starts.push(at);
        Self {
            points,
            starts,
            shift,
        }
    }

    /// The servers for a value, the first choice first; one that has several points comes
    /// several times.
    pub(super) fn around(&self, value: u64) -> impl Iterator<Item = usize> + '_ {
        let first = self.first(value);
        let (before, from) = self.points.split_at(first);
        from.iter()
            .chain(before)
            .map(|(_, number)| *number as usize)
    }

    /// The place of the first point that is not before a value.
    fn first(&self, value: u64) -> usize {
        let beginning = usize::try_from(value.checked_shr(self.shift).unwrap_or(0)).unwrap_or(0);
        let start = |at: usize| self.starts.get(at).map_or(0, |start| *start as usize);
        let (from, to) = (start(beginning), start(beginning + 1));
        let near = self.points.get(from..to).unwrap_or_default();
        from + near.partition_point(|(hash, _)| *hash < value)
    }
}

/// A hash of a value that callers are bound by: stable across restarts and routers.
#[must_use]
pub fn hash(value: &[u8]) -> u64 {
    let hash = value.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(hash)
}

/// The finish of SplitMix64: every bit depends on every bit.
pub(super) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A step near the golden section of the round that meets every slot once.
const fn stride(total: u64) -> u64 {
    let mut step = total * 618 / 1000;
    if step == 0 {
        return 1;
    }
    while gcd(step, total) != 1 {
        step += 1;
    }
    step
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(weights: &[u32], rounds: usize) -> Vec<usize> {
        let roster = Roster::new(weights);
        let total: u32 = weights.iter().sum();
        let mut counts = vec![0; weights.len()];
        for turn in 0..total as usize * rounds {
            counts[roster.in_turn(turn).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn a_round_gives_each_its_weight() {
        assert_eq!(picks(&[1, 1, 1], 4), [4, 4, 4]);
        assert_eq!(picks(&[5, 1, 2], 3), [15, 3, 6]);
        assert_eq!(picks(&[256, 1], 1), [256, 1]);
        let many: Vec<u32> = (1..=100).collect();
        let expected: Vec<usize> = (1..=100).collect();
        assert_eq!(picks(&many, 1), expected);
    }

    #[test]
    fn a_heavy_server_is_not_picked_in_one_run() {
        let roster = Roster::new(&[4, 4, 1]);
        let round: Vec<usize> = (0..9).map(|turn| roster.in_turn(turn).unwrap()).collect();
        let longest = round.windows(3).filter(|w| w[0] == w[1] && w[1] == w[2]);
        assert_eq!(longest.count(), 0, "{round:?}");
    }

    #[test]
    fn nobody_is_picked_of_nobody() {
        let roster = Roster::new(&[]);
        assert_eq!(roster.in_turn(3), None);
        assert_eq!(roster.drawn(3), None);
        assert_eq!(roster.least_busy(3, |_| Some((0, 1))), None);
        assert_eq!(Ring::new(std::iter::empty()).around(3).next(), None);
    }

    #[test]
    fn the_least_busy_by_weight() {
        let roster = Roster::new(&[1, 2, 1]);
        let loads = [(1, 1), (2, 2), (3, 1)];
        assert_eq!(roster.least_busy(0, |at| Some(loads[at])), Some(1));
        assert_eq!(
            roster.least_busy(0, |at| (at == 2).then_some(loads[at])),
            Some(2)
        );
        let idle = |turn| roster.least_busy(turn, |_| Some((0, 1)));
        assert_eq!([idle(0), idle(1), idle(2)], [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn when_a_server_goes_only_its_values_move() {
        let names: Vec<String> = (0..10).map(|n| format!("10.0.0.{n}:80")).collect();
        let ring = |left_out: Option<usize>| {
            let of = names.iter().enumerate();
            let kept = of.filter(|(number, _)| Some(*number) != left_out);
            let kept: Vec<&str> = kept.map(|(_, name)| name.as_str()).collect();
            (Ring::new(kept.iter().map(|name| (*name, 1))), kept)
        };
        let ((all, names_all), (fewer, names_fewer)) = (ring(None), ring(Some(3)));
        let mut counts = vec![0; 10];
        for value in 0..10_000_u64 {
            let value = hash(&value.to_le_bytes());
            let before = all.around(value).next().unwrap();
            counts[before] += 1;
            let after = names_fewer[fewer.around(value).next().unwrap()];
            if before != 3 {
                assert_eq!(names_all[before], after);
            }
        }
        assert!(
            counts.iter().all(|count| (600..1500).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_value_finds_the_first_point_behind_it() {
        for count in [0, 1, 2, 3, 50] {
            let names: Vec<String> = (0..count).map(|n| format!("10.0.0.{n}:80")).collect();
            let ring = Ring::new(names.iter().map(|name| (name.as_str(), 1)));
            let edges = ring.points.iter().map(|(hash, _)| *hash);
            let edges = edges.flat_map(|hash| [hash.wrapping_sub(1), hash, hash.wrapping_add(1)]);
            let drawn = (0..1000).map(mix).chain([0, 1, u64::MAX - 1, u64::MAX]);
            for value in edges.chain(drawn) {
                let slowly = ring.points.partition_point(|(hash, _)| *hash < value);
                assert_eq!(ring.first(value), slowly, "{count} {value}");
            }
        }
    }

    #[test]
    fn the_ring_follows_weights() {
        let ring = Ring::new([("a:1", 3), ("b:1", 1)].into_iter());
        let heavy = (0..10_000_u64)
            .filter(|value| ring.around(mix(*value)).next() == Some(0))
            .count();
        assert!((6_500..8_500).contains(&heavy), "{heavy}");
    }
}
