//! The store as the keeper of the last good manifests, for the source.

use std::sync::Arc;

use crate::source::{KeepError, KeptObjects, LastGood};
use crate::store::{LastGoodFile, Store};

/// Keeps the last good objects in the state directory.
pub struct Keeper(pub Arc<Store>);

impl LastGood for Keeper {
    fn load(&self, file: &str) -> Result<KeptObjects, KeepError> {
        match self.0.last_good(file) {
            Ok(kept) => Ok(kept.map(|kept| kept.objects).unwrap_or_default()),
            Err(corrupt) => Err(corrupt.to_string().into()),
        }
    }

    fn keep(
        &self,
        files: &mut dyn Iterator<Item = (String, KeptObjects)>,
    ) -> Result<(), KeepError> {
        let files = files.map(|(file, objects)| LastGoodFile { file, objects });
        Ok(self.0.put_last_good(files)?)
    }

    fn retain(&self, files: &mut dyn Iterator<Item = &str>) -> Result<(), KeepError> {
        Ok(self.0.retain_last_good(files)?)
    }
}
