//! Taking over the workers of a running EHOS: they bear no mark, so an operator names them.

use serde_json::{Value, json};

use crate::clouds::Adoption;
use crate::manager::Pool;

/// Names of one request.
const MAX_NAMES: usize = 1_000;

/// Looks for servers of these names in all clouds; with `confirm` puts our mark on them.
///
/// The question is `{"names": […], "worker_type": …, "confirm": bool}`. The answer has `found` (a list of `cloud`, `id`,
/// `name`, `status`, `flavor`, `state`: `can be adopted`, `is ours`, `adopted`, or why not), `missing` (names) and
/// `problems` (clouds that do not answer).
pub async fn adopt(pool: &Pool, question: &Value) -> Value {
    let names: Vec<String> = question["names"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .take(MAX_NAMES)
        .collect();
    let config = pool.config();
    let first_type = config.worker_types.first().map(|kind| kind.name.clone()).unwrap_or_default();
    let worker_type = question["worker_type"].as_str().map_or(first_type, str::to_owned);
    let confirm = question["confirm"] == json!(true);
    let mut problems: Vec<String> = Vec::new();
    if !config.worker_types.iter().any(|kind| kind.name == worker_type) {
        problems.push(format!("there is no worker type {worker_type}"));
    }
    let mut found = Vec::new();
    let sides = pool.sides();
    let mark = config.mark.value();
    for cloud in &sides.clouds {
        match cloud.list_named(&names).await {
            Ok(servers) => found.extend(servers.into_iter().map(|server| (cloud.clone(), server))),
            Err(error) => problems.push(format!("cloud {}: {error}", cloud.name())),
        }
    }
    // A name that two servers have says of neither whose worker it is.
    let count = |name: &str| found.iter().filter(|(_, server)| server.name == name).count();
    let mut list = Vec::new();
    for (cloud, server) in &found {
        let state = match &server.mark {
            Some(of) if *of == mark => "is ours".to_owned(),
            Some(of) => format!("belongs to {of}"),
            None if count(&server.name) > 1 => "two servers have this name".to_owned(),
            None if pool.has_node(&server.name) => "a node has this name".to_owned(),
            None if !confirm || !problems.is_empty() => "can be adopted".to_owned(),
            None => {
                let adoption = Adoption {
                    mark: config.mark.clone(),
                    node: server.name.clone(),
                    worker_type: worker_type.clone(),
                };
                match cloud.adopt(&server.id, &adoption).await {
                    Ok(()) => {
                        pool.tell(
                            &server.name,
                            format!("is adopted: server {} in {}", server.id, cloud.name()),
                            false,
                        );
                        pool.changed.notify_one();
                        "adopted".to_owned()
                    }
                    Err(error) => format!("is not adopted: {error}"),
                }
            }
        };
        list.push(json!({
            "cloud": cloud.name(),
            "id": server.id,
            "name": server.name,
            "status": server.status,
            "flavor": server.flavor,
            "state": state,
        }));
    }
    let missing: Vec<&String> = names.iter().filter(|name| count(name) == 0).collect();
    json!({ "found": list, "missing": missing, "problems": problems })
}
