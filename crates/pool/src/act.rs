//! Carrying out what a turn has ordered: one task for each node, bounded in number, each outcome written down.
//!
//! An order that is lost (the manager is killed, a call fails) is given again by a later turn: a deletion, a drain; or
//! given up: a request that no cloud has heard of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::{Candidate, JoinRequest};
use crate::clouds::{Cloud, CloudError, NewServer};
use crate::config::{BatchConfig, PoolConfig};
use crate::cycle::{Order, Orders};
use crate::manager::Pool;
use crate::model::{Node, NodeState};
use crate::plan::Creation;
use crate::{batch, deploy, userdata};

/// Lines of a console that are kept.
const CONSOLE_LINES: u32 = 40;
/// Characters of it that are written down.
const CONSOLE_CHARS: usize = 4_000;
/// The longest that the orders for one node may take.
const ORDERS_DEADLINE: Duration = Duration::from_secs(600);

/// Carries out the orders of one node, in their order.
pub(crate) async fn carry_out(pool: Arc<Pool>, orders: Orders) {
    let node = orders.node.clone();
    if tokio::time::timeout(ORDERS_DEADLINE, steps(&pool, orders)).await.is_err() {
        pool.tell(
            &node,
            format!("its orders were not carried out within {} s", ORDERS_DEADLINE.as_secs()),
            true,
        );
    }
    pool.let_go(&node);
}

async fn steps(pool: &Arc<Pool>, orders: Orders) {
    let sides = pool.sides();
    let cloud = sides.clouds.iter().find(|cloud| cloud.name() == orders.cloud).cloned();
    for order in orders.orders {
        let failed = match order {
            Order::Create(creation) => {
                create(pool, cloud.as_ref(), &orders.node, &creation).await;
                None
            }
            Order::Drain(worker, mode, reason) => match sides.batch.drain(&worker, mode, &reason).await {
                Ok(answer) => {
                    pool.enter_drain(&orders.node, answer).await;
                    None
                }
                Err(error) => Some(format!("its drain failed: {error}")),
            },
            Order::Off(worker) => sides
                .batch
                .off(&worker)
                .await
                .err()
                .map(|error| format!("its worker was not switched off: {error}")),
            Order::Examine(server_id) => {
                examine(pool, cloud.as_ref(), &orders.node, &server_id).await;
                None
            }
            Order::Delete(server_id) => delete(pool, cloud.as_ref(), &orders.node, &server_id).await,
            Order::Forget(handle) => {
                let forgotten = sides.batch.forget(&orders.node, handle.as_deref()).await;
                pool.sweep_soon(&orders.cloud);
                forgotten.err().map(|error| format!("the batch system did not forget it: {error}"))
            }
        };
        if let Some(text) = failed {
            pool.tell(&orders.node, text, true);
        }
    }
}

async fn delete(
    pool: &Arc<Pool>,
    cloud: Option<&Arc<dyn Cloud>>,
    node: &str,
    server_id: &str,
) -> Option<String> {
    let cloud = cloud?;
    match cloud.delete(server_id, &pool.config().mark).await {
        Ok(()) => {
            pool.changed.notify_one();
            None
        }
        Err(error) => Some(format!("the deletion of its server {server_id} ({node}) failed: {error}")),
    }
}

async fn examine(pool: &Arc<Pool>, cloud: Option<&Arc<dyn Cloud>>, node: &str, server_id: &str) {
    let Some(cloud) = cloud else { return };
    let text = match cloud.console(server_id, CONSOLE_LINES).await {
        Ok(text) if text.trim().is_empty() => "there is nothing on its console".to_owned(),
        Ok(text) => {
            let skip = text.chars().count().saturating_sub(CONSOLE_CHARS);
            format!("the end of its console:\n{}", text.chars().skip(skip).collect::<String>())
        }
        Err(error) => format!("its console cannot be read: {error}"),
    };
    pool.tell(node, text, false);
}

/// Requests a server. That it is intended was written down before.
async fn create(pool: &Arc<Pool>, cloud: Option<&Arc<dyn Cloud>>, node: &str, creation: &Creation) {
    let config = pool.config();
    let Some(cloud) = cloud else {
        pool.enter_not_admitted(node, &format!("there is no cloud {}", creation.cloud)).await;
        return;
    };
    let user_data = match prepare(pool, &config, node, creation).await {
        Ok((user_data, handle)) => {
            if let Some(handle) = handle
                && !pool.enter_handle(node, handle).await
            {
                return;
            }
            user_data
        }
        Err(why) => {
            pool.enter_not_admitted(node, &why).await;
            // A name that was taken for it is free again.
            if let Err(error) = pool.sides().batch.forget(node, None).await {
                pool.tell(node, format!("the batch system did not forget it: {error}"), true);
            }
            return;
        }
    };
    let settings = config.clouds.iter().find(|settings| settings.name == creation.cloud);
    let new = NewServer {
        node: node.to_owned(),
        mark: config.mark.clone(),
        worker_type: creation.worker_type.clone(),
        flavor: creation.flavor.clone(),
        image: creation.image.clone(),
        network: settings.and_then(|settings| settings.network.clone()),
        key: settings.and_then(|settings| settings.key.clone()),
        security_groups: settings.map(|settings| settings.security_groups.clone()).unwrap_or_default(),
        user_data,
        floating_ip: settings.is_some_and(|settings| settings.floating_ip),
        scratch_gib: settings.map_or(0, |settings| settings.scratch_gib),
        boot_gib: settings.map_or(0, |settings| settings.boot_gib),
    };
    let answer = cloud.create(&new).await;
    if answer.is_ok() {
        note_node(&config, node);
    }
    pool.enter_created(node, &answer).await;
    if let Err(error) = answer
        && !error.may_have_been_done()
        && let Err(error) = pool.sides().batch.forget(node, None).await
    {
        pool.tell(node, format!("the batch system did not forget it: {error}"), true);
    }
}

/// `daemon.node_log`: a line with the name of each new node.
fn note_node(config: &PoolConfig, node: &str) {
    use std::io::Write as _;
    let Some(path) = &config.node_log else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    if let Err(error) = file.and_then(|mut file| writeln!(file, "{node}")) {
        tracing::warn!(path = %path.display(), %error, "the name of a node cannot be noted");
    }
}

/// The user-data of a node, and the name that its worker will have, where that is known beforehand.
async fn prepare(
    pool: &Arc<Pool>,
    config: &PoolConfig,
    node: &str,
    creation: &Creation,
) -> Result<(String, Option<String>), String> {
    let kind = config.worker_types.iter().find(|kind| kind.name == creation.worker_type);
    let kind = kind.ok_or_else(|| format!("there is no worker type {}", creation.worker_type))?;
    let request = JoinRequest {
        node: node.to_owned(),
        candidate: Candidate {
            worker_type: kind.name.clone(),
            resources: creation.resources.minus(&kind.reserved),
            attributes: kind.attributes.clone(),
        },
        lifetime_ms: config.lease.lifetime_ms,
        idle_shutdown_ms: config.lease.idle_shutdown_ms,
    };
    let join = pool.sides().batch.admit(&request).await.map_err(|error| error.to_string())?;
    let text = match (&kind.userdata_file, &config.batch) {
        (Some(path), _) => match tokio::fs::read_to_string(path).await {
            Ok(text) => text,
            Err(error) => deploy::share::in_program(path)
                .map(str::to_owned)
                .ok_or_else(|| format!("{} cannot be read: {error}", path.display()))?,
        },
        (None, BatchConfig::Local(_)) => batch::local::USER_DATA.to_owned(),
        (None, _) => String::new(),
    };
    let mut values: BTreeMap<String, String> = join.tags.into_iter().collect();
    let seconds = |ms: u64| (ms / 1000).to_string();
    values.insert("node".to_owned(), node.to_owned());
    values.insert("worker_type".to_owned(), kind.name.clone());
    values.insert("lifetime_s".to_owned(), seconds(config.lease.lifetime_ms));
    values.insert("idle_shutdown_s".to_owned(), seconds(config.lease.idle_shutdown_ms));
    if let Ok(program) = std::env::current_exe() {
        values.insert("campanile".to_owned(), program.display().to_string());
    }
    let filled = userdata::fill(&text, &values).map_err(|missing| {
        format!("no value is known for {{{}}} in its cloud-init file", missing.join("}, {"))
    })?;
    Ok((filled, join.worker_handle))
}

/// Removes what has outlived its server in one cloud.
///
/// # Errors
/// In words: what could not be listed or removed.
pub(crate) async fn sweep(pool: &Pool, cloud: &dyn Cloud) -> Result<u32, String> {
    let mark = pool.config().mark.clone();
    // The nodes as they were before the list was asked for: what is made meanwhile is not judged.
    let leftovers = cloud.leftovers(&mark).await.map_err(|error: CloudError| error.to_string())?;
    let servers = cloud.list_marked(&mark).await.map_err(|error| error.to_string())?;
    let mut removed = 0;
    let mut problems = Vec::new();
    for leftover in leftovers {
        let has_node = pool.has_node(&leftover.node);
        let has_server = servers.iter().any(|server| {
            server.node.as_deref() == Some(leftover.node.as_str())
                || Some(&server.id) == leftover.server_id.as_ref()
        });
        if has_node || has_server {
            continue;
        }
        match cloud.remove_leftover(&leftover).await {
            Ok(()) => {
                removed += 1;
                let what = leftover.kind.name();
                pool.tell(
                    &leftover.node,
                    format!("its {what} {} had outlived it and was removed", leftover.id),
                    false,
                );
            }
            Err(error) => problems.push(format!("{} {}: {error}", leftover.kind.name(), leftover.id)),
        }
    }
    if problems.is_empty() { Ok(removed) } else { Err(problems.join("; ")) }
}

/// Whether a node still has something in its cloud.
pub(crate) fn is_there(node: &Node) -> bool {
    node.state != NodeState::Gone
}
