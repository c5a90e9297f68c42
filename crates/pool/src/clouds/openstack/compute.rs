//! Nova: servers, flavors, limits, key pairs (Compute API reference).
//!
//! Microversion 2.52 (Pike, 2017) throughout: tags with the creation, flavors embedded in servers. It is sent with every
//! call, since nova answers a call without one by 2.1 and then ignores `?tags=` without a word.

use serde_json::{Value, json};

use super::super::CloudError;
use super::catalog::Service;
use super::session::{Request, Session};
use super::time::unix_ms;
use crate::model::{CloudLimits, Flavor, MARK_KEY, NODE_KEY, Resources, Server, ServerStatus, TYPE_KEY};

/// What we speak.
const MICROVERSION: &str = "2.52";
/// From here on flavors come with their extra specs, which name GPUs.
const MICROVERSION_EXTRA_SPECS: &str = "2.61";

fn get(path: impl Into<String>) -> Request {
    Request::get(Service::Compute, path).at(MICROVERSION)
}

fn post(path: impl Into<String>, body: Value) -> Request {
    Request::post(Service::Compute, path, body).at(MICROVERSION)
}

/// Everything that a new server needs, with ids in the place of names.
pub(super) struct Order<'o> {
    pub(super) name: &'o str,
    pub(super) flavor_id: &'o str,
    pub(super) image_id: &'o str,
    /// `[{"uuid": network}]` or `[{"port": port}]`.
    pub(super) networks: Value,
    pub(super) key: Option<&'o str>,
    pub(super) security_groups: &'o [String],
    /// base64.
    pub(super) user_data: &'o str,
    pub(super) metadata: Value,
    pub(super) tags: Vec<&'o str>,
    /// A volume beside its disk, which goes with the server.
    pub(super) scratch_id: Option<&'o str>,
    /// A volume in the place of its disk, which goes with the server.
    pub(super) boot_id: Option<&'o str>,
}

/// Asks for a server; the answer is its id.
pub(super) async fn create(session: &Session, order: Order<'_>) -> Result<String, CloudError> {
    let mut server = json!({
        "name": order.name,
        "flavorRef": order.flavor_id,
        "networks": order.networks,
        "metadata": order.metadata,
        "tags": order.tags,
    });
    if let Some(key) = order.key {
        server["key_name"] = json!(key);
    }
    // Groups of a server are those of the ports that nova makes; a port that was made beforehand has its own.
    if !order.security_groups.is_empty() && order.networks[0].get("port").is_none() {
        server["security_groups"] = order.security_groups.iter().map(|name| json!({"name": name})).collect();
    }
    if !order.user_data.is_empty() {
        server["user_data"] = json!(order.user_data);
    }
    if order.boot_id.is_none() {
        server["imageRef"] = json!(order.image_id);
    }
    let volumes = [(0, order.boot_id), (-1, order.scratch_id)];
    let volumes = volumes.into_iter().filter_map(|(index, id)| Some((index, id?)));
    let mut devices: Vec<Value> = volumes
        .map(|(index, id)| {
            json!({"boot_index": index, "uuid": id, "source_type": "volume", "destination_type": "volume",
                   "delete_on_termination": true})
        })
        .collect();
    if order.boot_id.is_none() && !devices.is_empty() {
        devices.push(json!({"boot_index": 0, "uuid": order.image_id, "source_type": "image",
                            "destination_type": "local", "delete_on_termination": true}));
    }
    if !devices.is_empty() {
        server["block_device_mapping_v2"] = devices.into();
    }
    let answer = session.call(post("/servers", json!({"server": server}))).await?;
    let id = answer["server"]["id"].as_str();
    id.map(str::to_owned).ok_or_else(|| CloudError::Nonsense("nova gave the new server no id".to_owned()))
}

/// Servers of the project; `filter` is a query (`tags=x`) or empty.
pub(super) async fn servers(session: &Session, filter: &str) -> Result<Vec<Server>, CloudError> {
    let path =
        if filter.is_empty() { "/servers/detail".to_owned() } else { format!("/servers/detail?{filter}") };
    let list = session.list(get(path), "servers").await?;
    list.iter().map(|value| server(value).ok_or_else(|| nonsense("server"))).collect()
}

/// One server, with what floats on it; `None`: there is none of that id.
pub(super) async fn server_by_id(session: &Session, id: &str) -> Result<Option<(Server, bool)>, CloudError> {
    match session.call(get(format!("/servers/{id}"))).await {
        Ok(answer) => {
            let value = &answer["server"];
            let floating = has_floating_address(value);
            server(value).map(|server| Some((server, floating))).ok_or_else(|| nonsense("server"))
        }
        Err(CloudError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks for the deletion; `Ok` when there is no such server.
pub(super) async fn delete(session: &Session, id: &str) -> Result<(), CloudError> {
    gone_is_fine(
        session.call(Request::delete(Service::Compute, format!("/servers/{id}")).at(MICROVERSION)).await,
    )
}

pub(super) fn gone_is_fine<T>(answer: Result<T, CloudError>) -> Result<(), CloudError> {
    match answer {
        Ok(_) | Err(CloudError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// `os-getConsoleOutput`. Nova answers 409 for a server that has never been on a host, as one in ERROR, and 404 where
/// there is no console: both say that nothing was printed.
pub(super) async fn console(session: &Session, id: &str, lines: u32) -> Result<String, CloudError> {
    let body = json!({"os-getConsoleOutput": {"length": lines}});
    match session.call(post(format!("/servers/{id}/action"), body)).await {
        Ok(answer) => Ok(answer["output"].as_str().unwrap_or_default().to_owned()),
        Err(CloudError::Conflict(_) | CloudError::NotFound(_)) => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// `os-stop`: asks for the server to be switched off.
pub(super) async fn stop(session: &Session, id: &str) -> Result<(), CloudError> {
    session.call(post(format!("/servers/{id}/action"), json!({"os-stop": null}))).await.map(|_| ())
}

/// `createImage`: asks for an image of a server; the answer is its id.
pub(super) async fn create_image(
    session: &Session,
    id: &str,
    name: &str,
    mark: Value,
) -> Result<String, CloudError> {
    let body = json!({"createImage": {"name": name, "metadata": mark}});
    let answer = session.call(post(format!("/servers/{id}/action"), body)).await?;
    let image = answer["image_id"].as_str();
    image.map(str::to_owned).ok_or_else(|| CloudError::Nonsense("nova gave the new image no id".to_owned()))
}

/// Puts metadata and a tag on a server that has none of ours. The tag first: the metadata alone would hide the server
/// from a list by tag.
pub(super) async fn mark(session: &Session, id: &str, tag: &str, metadata: Value) -> Result<(), CloudError> {
    let tagged = Request::put(Service::Compute, format!("/servers/{id}/tags/{}", encode(tag)), Value::Null);
    session.call(tagged.at(MICROVERSION)).await?;
    session.call(post(format!("/servers/{id}/metadata"), json!({"metadata": metadata}))).await.map(|_| ())
}

/// `GET /limits`: what the project may have and has.
pub(super) async fn limits(session: &Session) -> Result<CloudLimits, CloudError> {
    let answer = session.call(get("/limits")).await?;
    let absolute = &answer["limits"]["absolute"];
    let used = |key: &str| absolute[key].as_u64().ok_or_else(|| nonsense("limits"));
    // -1 stands for "no limit".
    let most = |key: &str| absolute[key].as_i64().and_then(|value| u64::try_from(value).ok());
    Ok(CloudLimits {
        cores_used: used("totalCoresUsed")?,
        cores_max: most("maxTotalCores"),
        memory_used_mib: used("totalRAMUsed")?,
        memory_max_mib: most("maxTotalRAMSize"),
        servers_used: used("totalInstancesUsed")?,
        servers_max: most("maxTotalInstances"),
    })
}

/// All flavors that the project may use.
pub(super) async fn flavors(session: &Session) -> Result<Vec<Flavor>, CloudError> {
    let list = |version| Request::get(Service::Compute, "/flavors/detail").at(version);
    let values = match session.list(list(MICROVERSION_EXTRA_SPECS), "flavors").await {
        // An older nova: no extra specs, so no GPUs are known.
        Err(CloudError::Invalid(_)) => session.list(list(MICROVERSION), "flavors").await?,
        values => values?,
    };
    values.iter().map(|value| flavor(value).ok_or_else(|| nonsense("flavor"))).collect()
}

/// Whether there is a key pair of that name.
pub(super) async fn has_keypair(session: &Session, name: &str) -> Result<bool, CloudError> {
    match session.call(get(format!("/os-keypairs/{}", encode(name)))).await {
        Ok(_) => Ok(true),
        Err(CloudError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Uploads a public key.
pub(super) async fn create_keypair(
    session: &Session,
    name: &str,
    public_key: &str,
) -> Result<(), CloudError> {
    let body = json!({"keypair": {"name": name, "public_key": public_key}});
    session.call(post("/os-keypairs", body)).await.map(|_| ())
}

fn nonsense(what: &str) -> CloudError {
    CloudError::Nonsense(format!("nova's {what} lacks what the API promises"))
}

/// A part of a path or query, percent-encoded.
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

fn server(value: &Value) -> Option<Server> {
    let text = |key: &str| value[key].as_str().map(str::to_owned);
    let metadata = |key: &str| value["metadata"][key].as_str().map(str::to_owned);
    let flavor = &value["flavor"];
    let resources = flavor["vcpus"].as_u64().map(|cores| Resources {
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        memory_mib: flavor["ram"].as_u64().unwrap_or(0),
        disk_mib: flavor["disk"].as_u64().unwrap_or(0).saturating_mul(1024),
        gpus: gpus(&flavor["extra_specs"]),
    });
    let addresses = |kind: &str| -> Vec<String> {
        let networks = value["addresses"].as_object().into_iter().flat_map(|map| map.values());
        let all = networks.flat_map(|list| list.as_array().into_iter().flatten());
        all.filter(|one| one["OS-EXT-IPS:type"].as_str().unwrap_or("fixed") == kind)
            .filter_map(|one| one["addr"].as_str().map(str::to_owned))
            .collect()
    };
    Some(Server {
        id: text("id")?,
        name: text("name").unwrap_or_default(),
        status: status(value),
        mark: metadata(MARK_KEY),
        node: metadata(NODE_KEY),
        worker_type: metadata(TYPE_KEY),
        flavor: flavor["original_name"]
            .as_str()
            .or_else(|| flavor["id"].as_str())
            .unwrap_or_default()
            .to_owned(),
        resources,
        created_ms: value["created"].as_str().and_then(unix_ms).unwrap_or(0),
        fault: value["fault"]["message"].as_str().map(str::to_owned),
        addresses: [addresses("fixed"), addresses("floating")].concat(),
    })
}

/// The server status (API guide, "Server concepts") with the task that is under way: a server whose deletion was asked for
/// stays ACTIVE until somebody gets to it.
fn status(value: &Value) -> ServerStatus {
    if value["OS-EXT-STS:task_state"] == "deleting" {
        return ServerStatus::Deleting;
    }
    match value["status"].as_str().unwrap_or_default() {
        "BUILD" | "REBUILD" => ServerStatus::Building,
        "ACTIVE" | "PASSWORD" | "REBOOT" | "HARD_REBOOT" | "MIGRATING" | "RESIZE" | "VERIFY_RESIZE"
        | "REVERT_RESIZE" | "RESCUE" => ServerStatus::Active,
        "SHUTOFF" | "PAUSED" | "SUSPENDED" | "SHELVED" | "SHELVED_OFFLOADED" => ServerStatus::Stopped,
        "ERROR" => ServerStatus::Error,
        "DELETED" | "SOFT_DELETED" => ServerStatus::Deleting,
        _ => ServerStatus::Unknown,
    }
}

fn has_floating_address(value: &Value) -> bool {
    let networks = value["addresses"].as_object().into_iter().flat_map(|map| map.values());
    networks
        .flat_map(|list| list.as_array().into_iter().flatten())
        .any(|one| one["OS-EXT-IPS:type"] == "floating")
}

fn flavor(value: &Value) -> Option<Flavor> {
    let number = |key: &str| value[key].as_u64();
    Some(Flavor {
        id: value["id"].as_str()?.to_owned(),
        name: value["name"].as_str().or_else(|| value["original_name"].as_str())?.to_owned(),
        resources: Resources {
            cores: u32::try_from(number("vcpus")?).ok()?,
            memory_mib: number("ram")?,
            disk_mib: number("disk").unwrap_or(0).saturating_mul(1024),
            gpus: gpus(&value["extra_specs"]),
        },
    })
}

/// GPUs by the extra specs of a flavor: `resources:VGPU = n`, `pci_passthrough:alias = gpu:n[,…]` (nova, "Flavors").
/// An alias may stand for another kind of card; where it does, its name does not say "gpu".
fn gpus(specs: &Value) -> u32 {
    let number = |text: &str| text.trim().parse::<u32>().unwrap_or(0);
    let virtual_ones = specs["resources:VGPU"].as_str().map_or(0, number);
    let whole_ones = specs["pci_passthrough:alias"].as_str().map_or(0, |aliases| {
        let gpu = |alias: &str| {
            let (name, count) = alias.split_once(':').unwrap_or((alias, "1"));
            if name.to_lowercase().contains("gpu") { number(count) } else { 0 }
        };
        aliases.split(',').map(gpu).sum()
    });
    virtual_ones.saturating_add(whole_ones)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_with_its_mark_its_flavor_and_its_fault() {
        let value = json!({
            "id": "u", "name": "ehos-execute-1", "status": "ERROR", "created": "2026-11-22T10:00:00Z",
            "metadata": {"campanile-pool": "ehos@head", "campanile-node": "ehos-execute-1"},
            "flavor": {"vcpus": 4, "ram": 8192, "disk": 80, "original_name": "m1.large", "extra_specs": {}},
            "fault": {"code": 500, "message": "No valid host was found."},
            "addresses": {"n": [{"addr": "203.0.113.9", "version": 4, "OS-EXT-IPS:type": "floating"},
                                {"addr": "10.10.0.7", "version": 4, "OS-EXT-IPS:type": "fixed"}]},
        });
        let server = server(&value).unwrap();
        assert_eq!(server.status, ServerStatus::Error);
        assert_eq!(server.mark.as_deref(), Some("ehos@head"));
        assert_eq!(server.flavor, "m1.large");
        assert_eq!(
            server.resources.unwrap(),
            Resources { cores: 4, memory_mib: 8192, disk_mib: 81920, gpus: 0 }
        );
        assert_eq!(server.addresses, ["10.10.0.7", "203.0.113.9"]);
        assert_eq!(server.fault.as_deref(), Some("No valid host was found."));
        assert!(has_floating_address(&value));
    }

    #[test]
    fn a_server_whose_deletion_was_asked_for_is_being_deleted_whatever_its_status() {
        let value = json!({"status": "ACTIVE", "OS-EXT-STS:task_state": "deleting"});
        assert_eq!(status(&value), ServerStatus::Deleting);
        assert_eq!(status(&json!({"status": "ACTIVE", "OS-EXT-STS:task_state": null})), ServerStatus::Active);
        assert_eq!(status(&json!({"status": "NEW_IN_2030"})), ServerStatus::Unknown);
    }

    #[test]
    fn gpus_are_counted_by_the_extra_specs() {
        assert_eq!(gpus(&json!({"resources:VGPU": "1"})), 1);
        assert_eq!(gpus(&json!({"pci_passthrough:alias": "a100-gpu:2,nic:1"})), 2);
        assert_eq!(gpus(&json!({"hw:cpu_policy": "dedicated"})), 0);
        assert_eq!(gpus(&Value::Null), 0);
    }

    #[test]
    fn a_mark_survives_a_query() {
        assert_eq!(encode("ehos@head.example"), "ehos%40head.example");
        assert_eq!(encode("a b&c=d"), "a%20b%26c%3Dd");
    }
}
