//! Something that is ours, and now and then lent: a lock is taken only while it is.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is shared while it is lent.
pub(super) type Lent<T> = Arc<Mutex<Box<T>>>;

/// Ours, or shared with who borrowed it.
#[derive(Debug)]
pub(super) enum Hold<T: ?Sized> {
    Own(Box<T>),
    Lent(Lent<T>),
}

/// In hand.
pub(super) enum Held<'a, T: ?Sized> {
    Own(&'a mut T),
    Lent(MutexGuard<'a, Box<T>>),
}

impl<T: ?Sized> Hold<T> {
    pub(super) fn get(&mut self) -> Held<'_, T> {
        match self {
            Self::Own(own) => Held::Own(own),
            Self::Lent(lent) => Held::Lent(lock(lent)),
        }
    }

    /// Lends it; `stand_in` is in its place for as long as that takes.
    pub(super) fn lend(&mut self, stand_in: impl FnOnce() -> Box<T>) -> Lent<T> {
        match self {
            Self::Lent(lent) => Arc::clone(lent),
            Self::Own(own) => {
                let lent = Arc::new(Mutex::new(std::mem::replace(own, stand_in())));
                *self = Self::Lent(Arc::clone(&lent));
                lent
            }
        }
    }

    /// Makes it ours again, if nobody else has it any more.
    pub(super) fn reclaim(&mut self, stand_in: impl FnOnce() -> Box<T>) {
        if let Self::Lent(lent) = self
            && let Some(lent) = Arc::get_mut(lent)
        {
            let lent = lent.get_mut().unwrap_or_else(PoisonError::into_inner);
            *self = Self::Own(std::mem::replace(lent, stand_in()));
        }
    }
}

impl<T: ?Sized> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Own(own) => own,
            Self::Lent(lent) => lent,
        }
    }
}

impl<T: ?Sized> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match self {
            Self::Own(own) => own,
            Self::Lent(lent) => lent,
        }
    }
}

/// A panic while the lock was held cannot leave the state half changed in a way that matters
/// more than going on; so poisoning is passed over.
pub(super) fn lock<T: ?Sized>(lent: &Mutex<Box<T>>) -> MutexGuard<'_, Box<T>> {
    lent.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_is_shared_and_comes_back() {
        let mut hold = Hold::Own(Box::new(1));
        *hold.get() += 1;
        let lent = hold.lend(|| Box::new(0));
        **lock(&lent) += 1;
        hold.reclaim(|| Box::new(0));
        assert!(matches!(hold, Hold::Lent(_)), "somebody still has it");
        drop(lent);
        assert_eq!(*hold.get(), 3);
        hold.reclaim(|| Box::new(0));
        assert!(matches!(hold, Hold::Own(_)));
        assert_eq!(*hold.get(), 3);
    }
}
