//! The store as the keeper of the last good manifests, for the source.

use super::state_disk::Disk;
use crate::source::{KeepError, KeptObjects, LastGood};
use crate::store::LastGoodFile;

/// Keeps the last good objects in the state directory. It waits for the disk on the thread that reads
/// manifests.
pub struct Keeper(pub Disk);

impl LastGood for Keeper {
    fn load(&self, file: &str) -> Result<KeptObjects, KeepError> {
        match self.0.with(|store| store.last_good(file)) {
            Ok(kept) => Ok(kept.map(|kept| kept.objects).unwrap_or_default()),
            Err(corrupt) => Err(corrupt.to_string().into()),
        }
    }

    fn kept(&self) -> Result<Vec<String>, KeepError> {
        self.0.with(crate::store::Store::last_good_names)
    }

    fn keep(
        &self,
        files: &mut dyn Iterator<Item = (String, KeptObjects)>,
    ) -> Result<(), KeepError> {
        let files = files.map(|(file, objects)| LastGoodFile { file, objects });
        Ok(self.0.with(|store| store.put_last_good(files))?)
    }

    fn retain(&self, files: &mut dyn Iterator<Item = &str>) -> Result<(), KeepError> {
        Ok(self.0.with(|store| store.retain_last_good(files))?)
    }
}
