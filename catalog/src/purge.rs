//! Deleting the files of a dropped table.

use futures::future::join_all;

use crate::service::Service;
use crate::state::TableRow;

/// Files deleted at a time: enough to hide the latency of a store, few enough not to crowd out commits.
const DELETES_AT_ONCE: usize = 16;

impl Service {
    /// Deletes everything in the folder of a table that was dropped. What fails is logged and left: nothing points to it.
    pub(crate) async fn purge(&self, dropped: TableRow) {
        let location = &dropped.pointer.location;
        let Ok(state) = self.fresh_state().await else { return };
        // The folder may be another's by now: a second name of the same files, or a table made there since.
        if state.location_holder(location, dropped.id, uuid::Uuid::nil()).is_some() {
            tracing::warn!(table = %dropped.name, location, "not purged: another table uses the location");
            return;
        }
        if self.warehouse.checked(location).is_err() {
            tracing::warn!(table = %dropped.name, location, "not purged: the location is not in the warehouse");
            return;
        }
        let files = match self.store.list(location).await {
            Ok(files) => files,
            Err(error) => return tracing::warn!(table = %dropped.name, %error, "not purged"),
        };
        let count = files.len();
        let mut failed = 0;
        for some in files.chunks(DELETES_AT_ONCE) {
            let deleted = join_all(some.iter().map(|file| self.store.delete(file))).await;
            failed += deleted.iter().filter(|result| result.is_err()).count();
        }
        tracing::info!(table = %dropped.name, count, failed, "purged");
    }
}
