//! How many expressions are open, by level, without looking at each.
//!
//! What ends with a phase is subtracted at once; only expressions that came true are counted singly,
//! and those only once there are enough of them to matter.

use std::ops::Range;

use super::program::Phase;
use super::set::AtomId;

/// Phase of expressions that need a tree; it is never over while streaming.
pub(super) const PHASE_TREE: Phase = u8::MAX;

/// What is fixed for a set.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By expression: its level's rank, and its phase in the lowest eight bits.
    atoms: Vec<u32>,
    /// The levels in order.
    pub(super) levels: Vec<u32>,
    /// For each phase, how many expressions have a rank of at most the index.
    upto: Vec<Vec<u32>>,
    /// The same for those that need a tree.
    trees_upto: Vec<u32>,
    /// How many expressions have this phase or a later one that streams.
    from: Vec<u32>,
}

/// The counts of one message.
#[derive(Debug, Default)]
pub(super) struct Tally {
    phase: Phase,
    /// Expressions that stream and have this phase or a later one.
    all: u32,
    /// Matched expressions that were taken notice of, and those that were counted: only where their
    /// number alone does not tell what is asked.
    seen: usize,
    counted: usize,
    /// Counted expressions by phase.
    matched: Vec<u32>,
    best: Option<u32>,
    /// Those of the best level.
    matched_best: Vec<u32>,
    /// Whether nothing that streams is open.
    pub(super) settled: bool,
}

impl Plan {
    /// From each expression's level and phase.
    pub(super) fn new(atoms: &[(u32, Phase)], phases: usize) -> Self {
        let mut levels: Vec<u32> = atoms.iter().map(|(level, _)| *level).collect();
        levels.sort_unstable();
        levels.dedup();
        let ranked: Vec<(u32, Phase)> = atoms
            .iter()
            .map(|(level, phase)| (levels.binary_search(level).unwrap_or(0) as u32, *phase))
            .collect();
        let upto: Vec<Vec<u32>> = (0..phases)
            .map(|phase| sums(&ranked, levels.len(), phase as Phase))
            .collect();
        let trees_upto = sums(&ranked, levels.len(), PHASE_TREE);
        let in_phase = upto.iter().map(|sums| sums.last().copied().unwrap_or(0));
        let from = in_phase.rev().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        let from: Vec<u32> = from.collect();
        Self {
            atoms: ranked
                .iter()
                .map(|(rank, phase)| rank << 8 | u32::from(*phase))
                .collect(),
            levels,
            upto,
            trees_upto,
            from: from.into_iter().rev().collect(),
        }
    }

    /// An expression's rank and phase.
    pub(super) fn atom(&self, atom: u32) -> Option<(u32, Phase)> {
        let packed = self.atoms.get(atom as usize)?;
        Some((packed >> 8, *packed as Phase))
    }

    /// How many expressions there are.
    pub(super) fn len(&self) -> u32 {
        self.atoms.len() as u32
    }

    fn at_most(&self, phase: Phase, rank: u32) -> u32 {
        self.upto
            .get(usize::from(phase))
            .and_then(|sums| sums.get(rank as usize))
            .copied()
            .unwrap_or(0)
    }

    /// How many stream and have this phase or a later one.
    fn streaming_from(&self, phase: Phase) -> u32 {
        self.from.get(usize::from(phase)).copied().unwrap_or(0)
    }

    /// The rank of the last level that is not behind `level`.
    fn rank(&self, level: u32) -> Option<u32> {
        let behind = self.levels.partition_point(|known| *known <= level);
        behind.checked_sub(1).map(|rank| rank as u32)
    }

    fn phases(&self) -> Phase {
        self.upto.len() as Phase
    }

    pub(super) fn trees(&self) -> u32 {
        self.trees_upto.last().copied().unwrap_or(0)
    }
}

fn sums(atoms: &[(u32, Phase)], levels: usize, phase: Phase) -> Vec<u32> {
    let mut counts = vec![0_u32; levels];
    for (rank, _) in atoms.iter().filter(|(_, of)| *of == phase) {
        counts
            .get_mut(*rank as usize)
            .into_iter()
            .for_each(|count| *count += 1);
    }
    let mut sum = 0;
    counts
        .iter()
        .map(|count| {
            sum += count;
            sum
        })
        .collect()
}

impl Tally {
    pub(super) fn begin(&mut self, plan: &Plan) {
        self.phase = 0;
        self.all = plan.streaming_from(0);
        self.seen = 0;
        self.counted = 0;
        self.best = None;
        self.settled = false;
    }

    /// Takes in new decisions, so many in all, if they leave no doubt that something is open and no phase ended
    /// that decides any; the answer is whether any expression was decided.
    #[inline(always)]
    pub(super) fn stays(&mut self, plan: &Plan, matched: usize, phase: Phase) -> Option<bool> {
        if plan.streaming_from(phase) != self.all || matched >= self.all as usize {
            return None;
        }
        self.phase = phase;
        Some(std::mem::replace(&mut self.seen, matched) < matched)
    }

    /// Takes in new decisions and finds out whether anything is open; the answer is whether any expression was
    /// decided, by a phase's end or else.
    pub(super) fn reckon(&mut self, plan: &Plan, matched: &[AtomId], phase: Phase) -> bool {
        let (before, over) = (self.all, self.phase..phase);
        self.phase = phase;
        self.all = plan.streaming_from(phase);
        let matches = std::mem::replace(&mut self.seen, matched.len()) < matched.len();
        let decided =
            self.falls_short(plan, matched, over, before.saturating_sub(self.all)) || matches;
        self.settled = !self.falls_short(plan, matched, phase..plan.phases(), self.all);
        decided
    }

    /// Whether fewer than `all` of those that matched are of these phases.
    fn falls_short(
        &mut self,
        plan: &Plan,
        matched: &[AtomId],
        phases: Range<Phase>,
        all: u32,
    ) -> bool {
        // Mostly there are not as many of whatever phase.
        all as usize > matched.len()
            || all > 0 && {
                self.count(plan, matched);
                let of = usize::from(phases.start)..usize::from(phases.end);
                self.matched.get(of).unwrap_or(&[]).iter().sum::<u32>() < all
            }
    }

    /// Counts those that matched since.
    fn count(&mut self, plan: &Plan, matched: &[AtomId]) {
        if self.counted == 0 {
            self.matched.clear();
            self.matched.resize(usize::from(plan.phases()), 0);
        }
        for atom in matched.get(self.counted..).unwrap_or(&[]) {
            self.count_one(plan, *atom);
        }
        self.counted = matched.len();
    }

    #[inline]
    fn count_one(&mut self, plan: &Plan, atom: AtomId) {
        let Some((rank, phase)) = plan.atom(atom.0) else {
            return;
        };
        if let Some(count) = self.matched.get_mut(usize::from(phase)) {
            *count += 1;
        }
        if self.best.is_none_or(|best| rank < best) {
            self.best = Some(rank);
            self.matched_best.clear();
            self.matched_best.resize(usize::from(plan.phases()), 0);
        }
        if self.best == Some(rank)
            && let Some(count) = self.matched_best.get_mut(usize::from(phase))
        {
            *count += 1;
        }
    }

    /// Expressions of this level or before that are open; `trees` if those that need one are.
    pub(super) fn open_upto(
        &self,
        plan: &Plan,
        matched: &[AtomId],
        level: u32,
        trees: bool,
    ) -> u32 {
        let Some(rank) = plan.rank(level) else {
            return 0;
        };
        let all: u32 = (self.phase..plan.phases())
            .map(|phase| plan.at_most(phase, rank))
            .sum();
        let done = matched.iter().filter_map(|atom| plan.atom(atom.0));
        let done = done
            .filter(|(of, phase)| *of <= rank && *phase >= self.phase && *phase != PHASE_TREE)
            .count();
        let trees = if trees {
            plan.trees_upto.get(rank as usize).copied().unwrap_or(0)
        } else {
            0
        };
        all.saturating_sub(done as u32) + trees
    }

    /// Whether no expression of the best level that matched, or of one before it, is open.
    pub(super) fn best_is_sure(&mut self, plan: &Plan, matched: &[AtomId]) -> bool {
        self.count(plan, matched);
        let Some(best) = self.best else { return false };
        let all: u32 = (self.phase..plan.phases())
            .map(|phase| plan.at_most(phase, best))
            .sum();
        let matched: u32 = self.matched_best.iter().skip(usize::from(self.phase)).sum();
        let trees = plan.trees_upto.get(best as usize).copied().unwrap_or(0);
        trees == 0 && all <= matched
    }
}
