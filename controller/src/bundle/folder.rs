//! The directory that bundles are kept in, bounded.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::line::Header;

/// How a bundle's name ends.
const SUFFIX: &str = ".sluice.jsonl";
/// The most bundles that are kept.
const MOST: usize = 500;
/// The most bytes of them all, before another one begins.
const MOST_BYTES: u64 = 256 * 1024 * 1024;

/// Where bundles are.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it, if it is not there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Begins another bundle, for which the oldest ones may have to go. `since` tells the parts of one
    /// rollout from each other: a controller that starts anew begins a new one.
    pub(super) fn begin(&self, header: &Header, since: sluice_core::Time) -> io::Result<File> {
        self.make_room()?;
        let name = format!(
            "{}.{}.{}.{}{SUFFIX}",
            header.namespace,
            header.canary,
            since.format("%Y%m%dT%H%M%S%3fZ"),
            header.candidate,
        );
        let mut options = OpenOptions::new();
        options
            .create_new(true)
            .append(true)
            .open(self.path.join(name))
    }

    fn make_room(&self) -> io::Result<()> {
        let mut bundles = self.bundles()?;
        bundles.sort_unstable();
        let mut bytes: u64 = bundles.iter().map(|(_, _, bytes)| bytes).sum();
        let mut count = bundles.len();
        for (_, path, size) in bundles {
            if count < MOST && bytes < MOST_BYTES {
                break;
            }
            // Somebody may have removed it, or nobody can: another one goes instead.
            if fs::remove_file(path).is_err() {
                continue;
            }
            bytes = bytes.saturating_sub(size);
            count -= 1;
        }
        Ok(())
    }

    fn bundles(&self) -> io::Result<Vec<(SystemTime, PathBuf, u64)>> {
        let mut bundles = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                bundles.push((metadata.modified()?, entry.path(), metadata.len()));
            }
        }
        Ok(bundles)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use sluice_core::Time;

    #[test]
    fn the_oldest_bundles_make_room_and_other_files_stay() {
        let path = std::env::temp_dir().join(format!("sluice-folder-{}", std::process::id()));
        let folder = Folder::open(&path).unwrap();
        let old = SystemTime::now() - std::time::Duration::from_hours(1);
        for number in 0..MOST {
            let file = File::create(path.join(format!("{number}{SUFFIX}"))).unwrap();
            if number < 2 {
                file.set_modified(old).unwrap();
            }
        }
        let other = path.join("notes.jsonl");
        File::create(&other).unwrap().set_modified(old).unwrap();
        let header = Header {
            bundle: 1,
            sluice: String::new(),
            namespace: "shop".to_owned(),
            canary: "cart".to_owned(),
            candidate: "cart-b".into(),
            started_at: Time::UNIX_EPOCH,
        };
        folder.begin(&header, Time::UNIX_EPOCH).unwrap();
        let there = |number: usize| path.join(format!("{number}{SUFFIX}")).exists();
        let left = folder.bundles().unwrap().len();
        let name = path.join("shop.cart.19700101T000000000Z.cart-b.sluice.jsonl");
        let seen = (
            name.exists(),
            other.exists(),
            there(0) && there(1),
            there(2),
        );
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(left, MOST);
        assert_eq!(seen, (true, true, false, true));
    }
}
