//! The configuration of a site in a store.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_maestro::config::{self, Pairing};
use campanile_maestro::keys::{self, Layout};
use campanile_store::Store;
use campanile_store::etcd::{ClusterFile, EtcdStore, Member};
use campanile_testkit::Etcd;

use super::{File, PATIENCE, Site};

pub(crate) fn store_of(etcd: &Etcd) -> Arc<dyn Store> {
    let members = etcd.ports().iter().map(|port| Member { host: "127.0.0.1".into(), port: *port });
    let file = ClusterFile { members: members.collect(), ..ClusterFile::default() };
    Arc::new(EtcdStore::open(&file).unwrap())
}

/// Saves a site's file, as maestro_ctrl does.
pub(crate) async fn save(site: &Site, store: &dyn Store, layout: &Layout) {
    save_file(&site.file, store, layout).await;
}

/// Saves any file.
pub(crate) async fn save_file(file: &File, store: &dyn Store, layout: &Layout) {
    let text = file.text();
    let (cluster, _) = config::parse(Path::new("c.yaml"), text.as_bytes(), Pairing::Written);
    let origin = keys::Origin { text: &text, pairing: Pairing::Written };
    let began = Instant::now();
    // An etcd that has just been started anew needs a moment.
    while let Err(error) = keys::save(store, layout, cluster.as_ref().unwrap(), origin, 1.0).await {
        assert!(began.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
