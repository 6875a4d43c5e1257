//! What is to happen, by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use jiff::Timestamp;

/// Things with their times; of equal times the one that was put in first comes first.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    entries: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Timestamp,
    number: u64,
    what: T,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), entries: 0 }
    }
}

impl<T> Queue<T> {
    pub fn put(&mut self, at: Timestamp, what: T) {
        self.entries += 1;
        self.heap.push(Reverse(Entry { at, number: self.entries, what }));
    }

    /// The next thing, if it happens before `end`.
    pub fn take_before(&mut self, end: Timestamp) -> Option<(Timestamp, T)> {
        if self.heap.peek().is_none_or(|Reverse(entry)| entry.at >= end) {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.what))
    }
}

/// A time after another one.
pub(super) fn after(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
