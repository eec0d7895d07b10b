//! [`Bolt`]: reads single values out of a bbolt database, the key/value file in which podman (before
//! its version 5) and containerd keep what they know of containers.
//!
//! Layout by bbolt's `page.go`, `bucket.go` and `meta.go` (format 2): two meta pages, of which the valid
//! one with the higher transaction counts; pages of branch and leaf elements; buckets are values that
//! name a root page or hold one page inline.
//!
//! Invariant: the owner is neither locked nor waited for. Its pages are copied on write, so that a tree
//! stays whole until later transactions use its pages again; a look during which the transaction moved on
//! is made anew. Whatever the bytes, a look ends after a bounded number of small reads.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const MAGIC: u32 = 0xed0c_daed;
const VERSION: u32 = 2;
/// Sizes of pages, by where the second meta page can stand: those of the machines that Go knows.
const PAGE_SIZES: [u64; 4] = [4096, 8192, 16_384, 65_536];
const PAGE_HEADER: usize = 16;
const META_LEN: usize = 64;
const ELEMENT: usize = 16;
const FLAG_BRANCH: u16 = 1;
const FLAG_LEAF: u16 = 2;
/// An element of a leaf that is a bucket, and the length of what stands before its inline page.
const ELEMENT_BUCKET: u32 = 1;
const BUCKET_HEADER: usize = 16;
/// Longest page that is read: of records of containers, large ones.
const PAGE_MAX: u64 = 4 << 20;
/// Deepest tree.
const DEPTH_MAX: usize = 24;
/// Looks while the database changes under them.
const LOOKS: u32 = 4;

/// An open database.
#[derive(Debug)]
pub(super) struct Bolt {
    file: File,
}

/// The meta page that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meta {
    page_size: u64,
    root: u64,
    transaction: u64,
}

/// Where a bucket's tree begins.
enum Tree {
    Page(u64),
    /// A page of its own inside the value.
    Inline(Vec<u8>),
}

impl Bolt {
    /// Opens the file; `None` where it is none.
    pub(super) fn open(path: &Path) -> Option<Bolt> {
        let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
        let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
        file.metadata().ok()?.is_file().then_some(Bolt { file })
    }

    /// Values of the bucket at a path of buckets, one for each key; `None` where there is no such bucket.
    pub(super) fn values<const N: usize>(
        &self,
        buckets: &[&[u8]],
        keys: [&str; N],
    ) -> Option<[Option<Vec<u8>>; N]> {
        self.look(|meta| {
            let tree = self.bucket(meta, buckets)?;
            Some(keys.map(|key| match self.find(meta, &tree, key.as_bytes()) {
                Some((value, false)) => Some(value),
                _ => None,
            }))
        })
    }

    /// All values of a bucket whose tree is one page, which those of labels are.
    pub(super) fn all(&self, buckets: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let entries = self.look(|meta| {
            let page = match self.bucket(meta, buckets)? {
                Tree::Page(id) => self.page(meta, id)?,
                Tree::Inline(page) => page,
            };
            let page = Page::new(&page)?;
            let element = |at| page.leaf(at).map(|e| (e.key.to_vec(), e.value.to_vec()));
            Some(if page.is_leaf { (0..page.count).map_while(element).collect() } else { Vec::new() })
        });
        entries.unwrap_or_default()
    }

    /// Looks until no transaction came between.
    fn look<T>(&self, look: impl Fn(&Meta) -> Option<T>) -> Option<T> {
        for _ in 0..LOOKS {
            let meta = self.meta()?;
            let found = look(&meta);
            if self.meta()?.transaction == meta.transaction {
                return found;
            }
        }
        None
    }

    fn meta(&self) -> Option<Meta> {
        let second = PAGE_SIZES.into_iter().filter_map(|at| self.meta_at(at).filter(|m| m.page_size == at));
        self.meta_at(0).into_iter().chain(second).max_by_key(|meta| meta.transaction)
    }

    fn meta_at(&self, at: u64) -> Option<Meta> {
        let mut bytes = [0; META_LEN];
        self.file.read_exact_at(&mut bytes, at + PAGE_HEADER as u64).ok()?;
        let is_ours = u32_at(&bytes, 0)? == MAGIC && u32_at(&bytes, 4)? == VERSION;
        let is_whole = u64_at(&bytes, META_LEN - 8)? == fnv1a(&bytes[..META_LEN - 8]);
        let page_size = u64::from(u32_at(&bytes, 8)?);
        (is_ours && is_whole && PAGE_SIZES.contains(&page_size)).then_some(Meta {
            page_size,
            root: u64_at(&bytes, 16)?,
            transaction: u64_at(&bytes, 48)?,
        })
    }

    fn bucket(&self, meta: &Meta, path: &[&[u8]]) -> Option<Tree> {
        path.iter().try_fold(Tree::Page(meta.root), |tree, name| match self.find(meta, &tree, name)? {
            (value, true) => match u64_at(&value, 0)? {
                0 => Some(Tree::Inline(value.get(BUCKET_HEADER..)?.to_vec())),
                root => Some(Tree::Page(root)),
            },
            _ => None,
        })
    }

    /// The value of a key, and whether it is a bucket.
    fn find(&self, meta: &Meta, tree: &Tree, key: &[u8]) -> Option<(Vec<u8>, bool)> {
        let mut bytes = match tree {
            Tree::Page(id) => self.page(meta, *id)?,
            Tree::Inline(page) => page.clone(),
        };
        for _ in 0..DEPTH_MAX {
            let page = Page::new(&bytes)?;
            if page.is_leaf {
                let found = (0..page.count).filter_map(|at| page.leaf(at)).find(|e| e.key == key)?;
                return Some((found.value.to_vec(), found.is_bucket));
            }
            // The last child that does not begin behind the key.
            let children = (0..page.count).map_while(|at| page.branch(at));
            let child = children.take_while(|(first, _)| *first <= key).last()?.1;
            bytes = self.page(meta, child)?;
        }
        None
    }

    /// A page with those that it overflows into.
    fn page(&self, meta: &Meta, id: u64) -> Option<Vec<u8>> {
        let at = id.checked_mul(meta.page_size)?;
        let mut header = [0; PAGE_HEADER];
        self.file.read_exact_at(&mut header, at).ok()?;
        let len = (u64::from(u32_at(&header, 12)?) + 1).checked_mul(meta.page_size)?;
        if u64_at(&header, 0)? != id || len > PAGE_MAX {
            return None;
        }
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    }
}

/// One page's elements.
struct Page<'a> {
    bytes: &'a [u8],
    is_leaf: bool,
    count: usize,
}

struct Leaf<'a> {
    key: &'a [u8],
    value: &'a [u8],
    is_bucket: bool,
}

impl<'a> Page<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let flags = u16_at(bytes, 8)?;
        let is_leaf = flags & FLAG_LEAF != 0;
        let is_known = is_leaf || flags & FLAG_BRANCH != 0;
        is_known.then_some(Page { bytes, is_leaf, count: usize::from(u16_at(bytes, 10)?) })
    }

    fn leaf(&self, at: usize) -> Option<Leaf<'a>> {
        let at = PAGE_HEADER + at * ELEMENT;
        let [flags, pos, key_len, value_len] = [0, 4, 8, 12].map(|i| u32_at(self.bytes, at + i));
        let start = at.checked_add(pos? as usize)?;
        let middle = start.checked_add(key_len? as usize)?;
        let end = middle.checked_add(value_len? as usize)?;
        Some(Leaf {
            key: self.bytes.get(start..middle)?,
            value: self.bytes.get(middle..end)?,
            is_bucket: flags? & ELEMENT_BUCKET != 0,
        })
    }

    /// The first key of a child, and the child.
    fn branch(&self, at: usize) -> Option<(&'a [u8], u64)> {
        let at = PAGE_HEADER + at * ELEMENT;
        let start = at.checked_add(u32_at(self.bytes, at)? as usize)?;
        let end = start.checked_add(u32_at(self.bytes, at + 4)? as usize)?;
        Some((self.bytes.get(start..end)?, u64_at(self.bytes, at + 8)?))
    }
}

/// The checksum of meta pages (FNV-1a, 64 bits).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}
