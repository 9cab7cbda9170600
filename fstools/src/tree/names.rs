//! The names of a tree, one behind the other.

use super::NAME_MAX;
use std::sync::Arc;

/// Names with their length in front. Clones share those that were there when [`Names::share`] was called last.
#[derive(Clone, Debug, Default)]
pub struct Names {
    shared: Arc<Vec<u8>>,
    own: Vec<u8>,
}

/// Where a name stands in its [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAt(u32);

const _: () = assert!(NAME_MAX == u8::MAX as usize);

impl Names {
    /// Where the next name will stand; `None`: 4 GiB are full.
    pub fn next(&self) -> Option<NameAt> {
        u32::try_from(self.shared.len() + self.own.len()).ok().map(NameAt)
    }

    /// Adds a name of at most [`NAME_MAX`] bytes at [`Names::next`].
    pub(super) fn push(&mut self, name: &[u8]) {
        self.own.push(u8::try_from(name.len()).expect("a name that was checked"));
        self.own.extend_from_slice(name);
    }

    /// The name at a place that [`Names::next`] gave before it was added.
    pub fn get(&self, at: NameAt) -> &[u8] {
        let at = at.0 as usize;
        let from = match at.checked_sub(self.shared.len()) {
            None => &self.shared[at..],
            Some(at) => &self.own[at..],
        };
        &from[1..][..usize::from(from[0])]
    }

    /// The same names, in the same memory: only what is added later is kept twice.
    pub fn share(&mut self) -> Names {
        let own = std::mem::take(&mut self.own);
        match self.shared.is_empty() {
            true => self.shared = Arc::new(own),
            false => Arc::make_mut(&mut self.shared).extend(own),
        }
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_where_they_are() {
        let mut names = Names::default();
        let add = |names: &mut Names, name: &[u8]| {
            let at = names.next().unwrap();
            names.push(name);
            at
        };
        let first = add(&mut names, b"first");
        let copy = names.share();
        let second = add(&mut names, &[b'x'; NAME_MAX]);
        let third = add(&mut names, b"3");
        assert_eq!(copy.get(first), b"first");
        assert_eq!((names.get(first), names.get(second)), (&b"first"[..], &[b'x'; NAME_MAX][..]));
        let again = names.share();
        assert_eq!((again.get(third), again.get(first)), (&b"3"[..], &b"first"[..]));
    }
}
