//! Room in the tables that a scanner keeps: they grow by a few entries at a time and not to double their size,
//! for each is bounded and every worker has its own.

/// Adds an entry, with room for `more` of them when there is none.
pub(super) fn push<T>(table: &mut Vec<T>, entry: T, more: usize) {
    extend(table, [entry], more);
}

/// Adds entries, with room for at least `more` of them when there is not enough.
pub(super) fn extend<T>(
    table: &mut Vec<T>,
    entries: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    more: usize,
) {
    let entries = entries.into_iter();
    if table.capacity() - table.len() < entries.len() {
        table.reserve_exact(entries.len().max(more));
    }
    table.extend(entries);
}
