//! How many expressions are open, by level, without looking at each.
//!
//! What ends with a phase is subtracted at once; only expressions that came true are counted singly.

use super::program::Phase;
use super::set::AtomId;

/// Phase of expressions that need a tree; it is never over while streaming.
pub(super) const PHASE_TREE: Phase = u8::MAX;

/// What is fixed for a set.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// By expression: its level's rank and its phase.
    pub(super) atoms: Vec<(u32, Phase)>,
    /// The levels in order.
    pub(super) levels: Vec<u32>,
    /// For each phase, how many expressions have a rank of at most the index.
    upto: Vec<Vec<u32>>,
    /// The same for those that need a tree.
    trees_upto: Vec<u32>,
}

/// The counts of one message.
#[derive(Debug, Default)]
pub(super) struct Tally {
    phase: Phase,
    seen: usize,
    /// Matched expressions by phase.
    matched: Vec<u32>,
    best: Option<u32>,
    /// Those of the best level.
    matched_best: Vec<u32>,
    /// Expressions that stream and are open, once `begun`.
    open: u32,
    begun: bool,
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
        let upto = (0..phases)
            .map(|phase| sums(&ranked, levels.len(), phase as Phase))
            .collect();
        let trees_upto = sums(&ranked, levels.len(), PHASE_TREE);
        Self {
            atoms: ranked,
            levels,
            upto,
            trees_upto,
        }
    }

    fn at_most(&self, phase: Phase, rank: u32) -> u32 {
        self.upto
            .get(usize::from(phase))
            .and_then(|sums| sums.get(rank as usize))
            .copied()
            .unwrap_or(0)
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
    pub(super) fn begin(&mut self) {
        self.phase = 0;
        self.seen = 0;
        self.matched.clear();
        self.best = None;
        self.matched_best.clear();
        self.settled = false;
        self.begun = false;
        self.open = 0;
    }

    /// Takes in new decisions; the answer is whether any expression was decided.
    pub(super) fn update(&mut self, plan: &Plan, matched: &[AtomId], phase: Phase) -> bool {
        self.matched.resize(usize::from(plan.phases()), 0);
        for atom in matched.get(self.seen..).unwrap_or(&[]) {
            let Some(&(rank, phase)) = plan.atoms.get(atom.0 as usize) else {
                continue;
            };
            self.matched
                .get_mut(usize::from(phase))
                .into_iter()
                .for_each(|count| *count += 1);
            if self.best.is_none_or(|best| rank < best) {
                self.best = Some(rank);
                self.matched_best.clear();
                self.matched_best.resize(usize::from(plan.phases()), 0);
            }
            if self.best == Some(rank) {
                self.matched_best
                    .get_mut(usize::from(phase))
                    .into_iter()
                    .for_each(|count| *count += 1);
            }
        }
        let more = (matched.len() - self.seen.min(matched.len())) as u32;
        self.seen = matched.len();
        let before = self.open;
        self.open = match self.begun && phase == self.phase {
            true => self.open.saturating_sub(more),
            false => {
                self.phase = phase;
                self.open_streaming(plan)
            }
        };
        self.settled = self.open == 0;
        more > 0
            || self.begun && self.open < before
            || !std::mem::replace(&mut self.begun, true) && self.open == 0
    }

    fn open_streaming(&self, plan: &Plan) -> u32 {
        let Some(last) = plan.levels.len().checked_sub(1) else {
            return 0;
        };
        (self.phase..plan.phases())
            .map(|phase| {
                let matched = self.matched.get(usize::from(phase)).copied().unwrap_or(0);
                plan.at_most(phase, last as u32).saturating_sub(matched)
            })
            .sum()
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
        let done = matched
            .iter()
            .filter_map(|atom| plan.atoms.get(atom.0 as usize));
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
    pub(super) fn best_is_sure(&self, plan: &Plan) -> bool {
        let Some(best) = self.best else { return false };
        let all: u32 = (self.phase..plan.phases())
            .map(|phase| plan.at_most(phase, best))
            .sum();
        let matched: u32 = self.matched_best.iter().skip(usize::from(self.phase)).sum();
        let trees = plan.trees_upto.get(best as usize).copied().unwrap_or(0);
        trees == 0 && all <= matched
    }
}
