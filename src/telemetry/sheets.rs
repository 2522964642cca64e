//! Numbers that every worker counts for itself, added up when somebody asks.
//!
//! A number that all workers write is a cache line that they take from each other, and even a
//! worker that is alone pays for a locked instruction each time, some twenty a message. So each
//! has a [`Sheet`] of its own, with the numbers of one service side by side.
//!
//! **Invariant:** only one thread writes a sheet; whoever reads adds up all of them.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::family::MetricConstructor;
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Numbers that a sheet has from the start; each block behind them doubles what there is.
const FIRST: u32 = 512;
/// Blocks for all numbers that a `u32` can name.
const BLOCKS: usize = 23;

/// Bucket bounds in seconds: 1 ms, because the router's own share is below it, to 60 s, the
/// default timeout.
pub(super) const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0,
];
/// A histogram's numbers: its buckets, the one for what is longer, and the sum of seconds.
const OF_HISTOGRAM: u32 = SECONDS.len() as u32 + 2;

/// The sheets of all workers.
#[derive(Debug, Default)]
pub(super) struct Sheets {
    next: AtomicU32,
    all: Mutex<Vec<Arc<Sheet>>>,
}

/// What one worker counted.
pub struct Sheet {
    first: [AtomicU64; FIRST as usize],
    blocks: [OnceLock<Box<[AtomicU64]>>; BLOCKS],
}

/// A number that only grows.
#[derive(Debug, Clone)]
pub struct Count(Number);

/// A number that goes up and down.
#[derive(Debug, Clone)]
pub struct Level(Number);

/// How long things took.
#[derive(Debug, Clone)]
pub struct Durations {
    sheets: Arc<Sheets>,
    first: u32,
}

/// Makes the numbers of a family.
#[derive(Debug, Clone)]
pub(super) struct Maker(pub(super) Arc<Sheets>);

#[derive(Debug, Clone)]
struct Number {
    sheets: Arc<Sheets>,
    number: u32,
    /// What was counted beside the road.
    others: Arc<AtomicU64>,
}

impl Sheets {
    /// A sheet for one more worker.
    pub(super) fn sheet(&self) -> Arc<Sheet> {
        let sheet = Arc::new(Sheet::default());
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&sheet));
        sheet
    }

    /// Names so many numbers that stand side by side.
    fn name(&self, numbers: u32) -> u32 {
        self.next.fetch_add(numbers, Ordering::Relaxed)
    }

    fn each(&self, number: u32, mut add: impl FnMut(u64)) {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for sheet in all.iter() {
            if let Some(cell) = sheet.cell(number) {
                add(cell.load(Ordering::Relaxed));
            }
        }
    }

    fn sum(&self, number: u32) -> u64 {
        let mut sum: u64 = 0;
        self.each(number, |own| sum = sum.wrapping_add(own));
        sum
    }
}

impl Default for Sheet {
    fn default() -> Self {
        Self {
            first: [const { AtomicU64::new(0) }; FIRST as usize],
            blocks: [const { OnceLock::new() }; BLOCKS],
        }
    }
}

impl fmt::Debug for Sheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sheet").finish_non_exhaustive()
    }
}

impl Sheet {
    fn cell(&self, number: u32) -> Option<&AtomicU64> {
        match self.first.get(number as usize) {
            Some(cell) => Some(cell),
            None => self.later_cell(number),
        }
    }

    #[cold]
    fn later_cell(&self, number: u32) -> Option<&AtomicU64> {
        let block = (number / FIRST).ilog2();
        let length = FIRST << block;
        let cells = self.blocks.get(block as usize)?;
        let cells = cells.get_or_init(|| (0..length).map(|_| AtomicU64::new(0)).collect());
        cells.get((number - length) as usize)
    }

    /// Not one locked instruction: nobody else writes here.
    fn change(&self, number: u32, change: impl FnOnce(u64) -> u64) {
        if let Some(cell) = self.cell(number) {
            cell.store(change(cell.load(Ordering::Relaxed)), Ordering::Relaxed);
        }
    }
}

impl Number {
    fn new(sheets: &Arc<Sheets>) -> Self {
        Self {
            sheets: Arc::clone(sheets),
            number: sheets.name(1),
            others: Arc::default(),
        }
    }

    fn sum(&self) -> u64 {
        let others = self.others.load(Ordering::Relaxed);
        self.sheets.sum(self.number).wrapping_add(others)
    }
}

impl Count {
    /// Counts so many more, by the worker whose sheet this is.
    pub fn add(&self, sheet: &Sheet, more: u64) {
        if more > 0 {
            sheet.change(self.0.number, |sum| sum.wrapping_add(more));
        }
    }

    /// Counts one more, wherever that is.
    pub fn inc(&self) {
        self.0.others.fetch_add(1, Ordering::Relaxed);
    }
}

impl Level {
    /// One more, by the worker whose sheet this is.
    pub fn up(&self, sheet: &Sheet) {
        sheet.change(self.0.number, |sum| sum.wrapping_add(1));
    }

    /// One less, by the same or another worker: only the sum of all sheets says anything.
    pub fn down(&self, sheet: &Sheet) {
        sheet.change(self.0.number, |sum| sum.wrapping_sub(1));
    }
}

impl Durations {
    /// Counts something that took so many seconds, by the worker whose sheet this is.
    pub fn observe(&self, sheet: &Sheet, seconds: f64) {
        let bucket = SECONDS.iter().zip(0..).find(|(most, _)| seconds <= **most);
        let bucket = bucket.map_or(OF_HISTOGRAM - 2, |(_, bucket)| bucket);
        sheet.change(self.first + bucket, |count| count + 1);
        let sum = self.first + OF_HISTOGRAM - 1;
        sheet.change(sum, |sum| (f64::from_bits(sum) + seconds).to_bits());
    }
}

impl MetricConstructor<Count> for Maker {
    fn new_metric(&self) -> Count {
        Count(Number::new(&self.0))
    }
}

impl MetricConstructor<Level> for Maker {
    fn new_metric(&self) -> Level {
        Level(Number::new(&self.0))
    }
}

impl MetricConstructor<Durations> for Maker {
    fn new_metric(&self) -> Durations {
        Durations {
            sheets: Arc::clone(&self.0),
            first: self.0.name(OF_HISTOGRAM),
        }
    }
}

impl EncodeMetric for Count {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_counter::<NoLabelSet, _, u64>(&self.0.sum(), None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl EncodeMetric for Level {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self.0.sum().cast_signed())
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = SECONDS.into_iter().chain([f64::INFINITY]).zip(self.first..);
        let buckets: Vec<(f64, u64)> = bounds
            .map(|(most, number)| (most, self.sheets.sum(number)))
            .collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut sum = 0.0;
        self.sheets.each(self.first + OF_HISTOGRAM - 1, |own| {
            sum += f64::from_bits(own);
        });
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Count {
    const TYPE: MetricType = MetricType::Counter;
}

impl TypedMetric for Level {
    const TYPE: MetricType = MetricType::Gauge;
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_each_thread_counts_adds_up() {
        let maker = Maker(Arc::default());
        let counts: Vec<Count> = (0..2000).map(|_| maker.new_metric()).collect();
        let (level, durations): (Level, Durations) = (maker.new_metric(), maker.new_metric());
        thread::scope(|scope| {
            for _ in 0..3 {
                let sheet = maker.0.sheet();
                let (counts, level, durations) = (&counts, &level, &durations);
                scope.spawn(move || {
                    for (count, more) in counts.iter().zip(0..) {
                        count.add(&sheet, more);
                    }
                    level.up(&sheet);
                    level.up(&sheet);
                    level.down(&sheet);
                    durations.observe(&sheet, 0.004);
                    durations.observe(&sheet, 100.0);
                });
            }
        });
        counts[7].inc();
        for (count, each) in counts.iter().zip(0..) {
            assert_eq!(count.0.sum(), each * 3 + u64::from(each == 7));
        }
        assert_eq!(level.0.sum(), 3);
        let bucket = |at: u32| maker.0.sum(durations.first + at);
        assert_eq!([bucket(1), bucket(2), bucket(13)], [0, 3, 3]);
    }

    #[test]
    fn every_number_has_a_cell_of_its_own() {
        let sheet = Sheet::default();
        for number in (0..3000).chain([1 << 20]) {
            sheet.change(number, |before| before + u64::from(number) + 1);
        }
        for number in (0..3000).chain([1 << 20]) {
            let cell = sheet.cell(number).map(|cell| cell.load(Ordering::Relaxed));
            assert_eq!(cell, Some(u64::from(number) + 1));
        }
    }
}
