//! Neutron: networks, ports, floating addresses, security groups (Networking API v2.0).
//!
//! Neutron's objects have no metadata. What is ours says so in its `description`.

use serde_json::{Value, json};

use super::super::{CloudError, Leftover, LeftoverKind};
use super::catalog::Service;
use super::compute::{encode, gone_is_fine};
use super::session::{Request, Session};
use crate::model::{MARK_KEY, Mark, NODE_KEY};

/// What a port, floating address or security group of ours has as its description.
pub(super) fn description(mark: &str, node: &str) -> String {
    format!("{MARK_KEY}={mark} {NODE_KEY}={node}")
}

/// The node of something of ours; `None`: it is not ours.
fn node_of(value: &Value, mark: &str) -> Option<String> {
    let text = value["description"].as_str()?;
    let rest = text.strip_prefix(&format!("{MARK_KEY}={mark} {NODE_KEY}="))?;
    Some(rest.to_owned())
}

async fn list(session: &Session, path: String, key: &str) -> Result<Vec<Value>, CloudError> {
    session.list(Request::get(Service::Network, path), key).await
}

fn id_of(value: &Value) -> Result<String, CloudError> {
    value["id"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| CloudError::Nonsense("neutron gave something without an id".to_owned()))
}

/// The id of a network by its name or id; without one, that of the only network that is not external.
pub(super) async fn network(session: &Session, name: Option<&str>) -> Result<String, CloudError> {
    let all = list(session, "/networks?fields=id&fields=name&fields=router:external".to_owned(), "networks")
        .await?;
    let names = || all.iter().filter_map(|one| one["name"].as_str()).collect::<Vec<_>>().join(", ");
    let found: Vec<&Value> = match name {
        Some(name) => match all.iter().find(|one| one["id"] == name) {
            Some(one) => vec![one],
            None => all.iter().filter(|one| one["name"] == name).collect(),
        },
        None => all.iter().filter(|one| one["router:external"] != true).collect(),
    };
    match (found.as_slice(), name) {
        ([one], _) => id_of(one),
        ([], Some(name)) => {
            Err(CloudError::Invalid(format!("there is no network {name:?}; there are {}", names())))
        }
        ([], None) => Err(CloudError::Invalid("there is no network but external ones".to_owned())),
        (_, Some(name)) => {
            Err(CloudError::Invalid(format!("several networks are called {name:?}: give the id")))
        }
        (_, None) => Err(CloudError::Invalid(format!("name a network; there are {}", names()))),
    }
}

/// Makes a port for a server to come; the answer is its id.
pub(super) async fn create_port(
    session: &Session,
    network: &str,
    groups: &[String],
    mark: &str,
    node: &str,
) -> Result<String, CloudError> {
    let mut port = json!({"network_id": network, "name": node, "description": description(mark, node)});
    if !groups.is_empty() {
        let mut ids = Vec::new();
        for name in groups {
            let group = security_group(session, name).await?;
            ids.push(
                group.ok_or_else(|| CloudError::Invalid(format!("there is no security group {name:?}")))?,
            );
        }
        port["security_groups"] = json!(ids);
    }
    let answer = session.call(Request::post(Service::Network, "/ports", json!({"port": port}))).await?;
    id_of(&answer["port"])
}

/// Takes a floating address from the first external network and puts it on a port.
pub(super) async fn create_floating_ip(
    session: &Session,
    port: &str,
    mark: &str,
    node: &str,
) -> Result<(), CloudError> {
    let external = list(session, "/networks?router:external=true&fields=id".to_owned(), "networks").await?;
    let external = external.first().ok_or_else(|| {
        CloudError::Invalid("there is no external network for a floating address".to_owned())
    })?;
    let body = json!({"floatingip": {
        "floating_network_id": id_of(external)?, "port_id": port, "description": description(mark, node),
    }});
    session.call(Request::post(Service::Network, "/floatingips", body)).await.map(|_| ())
}

/// Gives back the floating addresses of a server that bear the mark. Others are left: somebody put them there.
pub(super) async fn release_floating_ips(
    session: &Session,
    server_id: &str,
    mark: &str,
) -> Result<(), CloudError> {
    let ports = list(session, format!("/ports?device_id={}&fields=id", encode(server_id)), "ports").await?;
    for port in &ports {
        let query = format!("/floatingips?port_id={}", encode(&id_of(port)?));
        for address in list(session, query, "floatingips").await? {
            if node_of(&address, mark).is_some() {
                remove(session, LeftoverKind::FloatingIp, &id_of(&address)?).await?;
            }
        }
    }
    Ok(())
}

/// Ports and floating addresses of ours. Ports that nova made for one of `servers` (id, node) are given our description
/// on the way, so that they are still known when their server is gone and they are not.
pub(super) async fn leftovers(
    session: &Session,
    mark: &Mark,
    servers: &[(String, String)],
) -> Result<Vec<Leftover>, CloudError> {
    let mark = mark.value();
    let mut found = Vec::new();
    for port in list(session, "/ports".to_owned(), "ports").await? {
        let id = id_of(&port)?;
        let device = port["device_id"].as_str().filter(|text| !text.is_empty());
        let node = match (node_of(&port, &mark), device) {
            (Some(node), _) => node,
            (None, Some(device)) => match servers.iter().find(|(id, _)| id == device) {
                Some((_, node)) if port["description"].as_str().unwrap_or_default().is_empty() => {
                    let body = json!({"port": {"description": description(&mark, node)}});
                    gone_is_fine(
                        session.call(Request::put(Service::Network, format!("/ports/{id}"), body)).await,
                    )?;
                    node.clone()
                }
                _ => continue,
            },
            (None, None) => continue,
        };
        found.push(Leftover { kind: LeftoverKind::Port, id, node, server_id: device.map(str::to_owned) });
    }
    for address in list(session, "/floatingips".to_owned(), "floatingips").await? {
        if let Some(node) = node_of(&address, &mark) {
            let port = address["port_id"].as_str();
            let on = port
                .and_then(|port| found.iter().find(|one| one.id == port))
                .and_then(|one| one.server_id.clone());
            found.push(Leftover {
                kind: LeftoverKind::FloatingIp,
                id: id_of(&address)?,
                node,
                server_id: on,
            });
        }
    }
    Ok(found)
}

/// Removes a port or a floating address.
pub(super) async fn remove(session: &Session, kind: LeftoverKind, id: &str) -> Result<(), CloudError> {
    let what = if kind == LeftoverKind::Port { "ports" } else { "floatingips" };
    gone_is_fine(session.call(Request::delete(Service::Network, format!("/{what}/{id}"))).await)
}

/// The id of a security group by its name or id.
pub(super) async fn security_group(session: &Session, name: &str) -> Result<Option<String>, CloudError> {
    let all = list(session, "/security-groups?fields=id&fields=name".to_owned(), "security_groups").await?;
    let found =
        all.iter().find(|one| one["id"] == name).or_else(|| all.iter().find(|one| one["name"] == name));
    found.map(id_of).transpose()
}

/// Makes a security group; the answer is its id.
pub(super) async fn create_security_group(
    session: &Session,
    name: &str,
    words: &str,
) -> Result<String, CloudError> {
    let body = json!({"security_group": {"name": name, "description": words}});
    let answer = session.call(Request::post(Service::Network, "/security-groups", body)).await?;
    id_of(&answer["security_group"])
}

/// Lets traffic in: to one port, by TCP or UDP, from a group (`Some`) or from anywhere. A rule that is there already is
/// fine.
pub(super) async fn allow(
    session: &Session,
    group: &str,
    protocol: &str,
    port: u16,
    from_group: Option<&str>,
) -> Result<(), CloudError> {
    let mut rule = json!({
        "security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": protocol,
        "port_range_min": port, "port_range_max": port,
    });
    match from_group {
        Some(from) => rule["remote_group_id"] = json!(from),
        None => rule["remote_ip_prefix"] = json!("0.0.0.0/0"),
    }
    let request =
        Request::post(Service::Network, "/security-group-rules", json!({"security_group_rule": rule}));
    match session.call(request).await {
        Ok(_) | Err(CloudError::Conflict(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_bears_exactly_our_mark_is_ours() {
        let ours = json!({"description": description("ehos@head", "ehos-1")});
        assert_eq!(node_of(&ours, "ehos@head").as_deref(), Some("ehos-1"));
        assert_eq!(node_of(&ours, "ehos@hea"), None);
        assert_eq!(node_of(&ours, "hos@head"), None);
        assert_eq!(node_of(&json!({"description": ""}), "ehos@head"), None);
        assert_eq!(node_of(&json!({}), "ehos@head"), None);
    }
}
