//! Opening contents: each once, closed after the last read.

use super::{Counters, EmitError, count};
use diskwright_formats::layout::{Content, ContentId, Contents};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file's device and inode numbers.
pub(super) type FileId = (u64, u64);

/// The contents of a run.
pub(super) struct Sources<'a> {
    contents: &'a dyn Contents,
    shared: BTreeMap<ContentId, Mutex<Shared<'a>>>,
    /// Files that the run replaces, with their names: none may be a source.
    replaced: BTreeMap<FileId, &'a Path>,
    counters: &'a Counters,
}

/// A content that several chunks have in common.
struct Shared<'a> {
    chunks_left: usize,
    open: Option<Arc<Box<dyn Content + 'a>>>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(
        contents: &'a dyn Contents,
        shared: &BTreeMap<ContentId, usize>,
        replaced: BTreeMap<FileId, &'a Path>,
        counters: &'a Counters,
    ) -> Sources<'a> {
        let closed = |chunks_left| Mutex::new(Shared { chunks_left, open: None });
        let shared = shared.iter().map(|(&id, &chunks)| (id, closed(chunks))).collect();
        Sources { contents, shared, replaced, counters }
    }

    /// Works on one chunk of a content; must be called once for each.
    pub(super) fn visit<T>(
        &self,
        id: ContentId,
        work: impl FnOnce(&(dyn Content + 'a)) -> Result<T, EmitError>,
    ) -> Result<T, EmitError> {
        let Some(shared) = self.shared.get(&id) else {
            let content = self.open(id)?;
            let done = work(&*content)?;
            content.close()?;
            return Ok(done);
        };
        let content = self.join(id, &mut lock(shared))?;
        let done = work(&**content)?;
        drop(content);
        if let Some(content) = leave(&mut lock(shared)) {
            content.close()?;
        }
        Ok(done)
    }

    fn join(&self, id: ContentId, shared: &mut Shared<'a>) -> Result<Arc<Box<dyn Content + 'a>>, EmitError> {
        if let Some(content) = &shared.open {
            return Ok(content.clone());
        }
        let content = Arc::new(self.open(id)?);
        shared.open = Some(content.clone());
        Ok(content)
    }

    fn open(&self, id: ContentId) -> Result<Box<dyn Content + 'a>, EmitError> {
        let content = self.contents.open(id)?;
        count(&self.counters.opens, 1);
        if !self.replaced.is_empty() {
            self.check_not_replaced(&*content)?;
        }
        Ok(content)
    }

    fn check_not_replaced(&self, content: &dyn Content) -> Result<(), EmitError> {
        let id = content.file_range(0, 1).and_then(|(file, _)| rustix::fs::fstat(file).ok());
        match id.and_then(|stat| self.replaced.get(&(stat.st_dev, stat.st_ino))) {
            None => Ok(()),
            Some(path) => Err(EmitError::refused(
                path,
                "this file is one of the sources of the image",
                "name another output file",
            )),
        }
    }
}

/// Counts a chunk down; whoever did the last gets the content to close it.
fn leave<'a>(shared: &mut Shared<'a>) -> Option<Box<dyn Content + 'a>> {
    shared.chunks_left -= 1;
    if shared.chunks_left > 0 {
        return None;
    }
    let content = shared.open.take()?;
    Some(Arc::into_inner(content).expect("whoever joined let go before leaving"))
}

/// A panic of another worker ends the run anyway; the state behind the lock is consistent at any moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
