//! What of this host's router and HostManager is there.

use campanile_ocs::client::{OcsClient, OcsError};
use campanile_ocs::site_config::Hub;

use super::advice::{Facts, ManagerFacts, RouterFacts};
use super::manager::LocalManager;
use super::router::LocalRouter;
use crate::failure::Failure;
use crate::fleet::ask::{ANSWER_TIMEOUT, endpoint};

/// Looks at everything.
///
/// # Errors
/// When the router serves another site, or a crossbar cannot be asked.
pub(crate) async fn gather(
    hub: &Hub,
    router: Option<&LocalRouter>,
    manager: Option<&LocalManager>,
) -> Result<Facts, Failure> {
    let running = async {
        match router {
            Some(router) => router.is_running().await.map(Some),
            None => Ok(None),
        }
    };
    let condition = async {
        match manager {
            Some(manager) => Some(manager.condition().await),
            None => None,
        }
    };
    let (running, problem, condition) = tokio::join!(running, connection(hub), condition);
    let problem = problem?;
    Ok(Facts {
        router: RouterFacts {
            managed: router.is_some(),
            running: running?,
            connection: problem.is_none(),
            url: hub.wamp_http.clone().unwrap_or_else(|| hub.wamp_server.clone()),
            problem,
        },
        manager: manager.zip(condition).map(|(manager, condition)| ManagerFacts {
            instance_id: manager.instance_id.clone(),
            running: condition.running,
            process_running: condition.process_running,
            on_the_bus: condition.on_the_bus,
        }),
    })
}

/// Why no router answers for this site; `None` when one does.
pub(crate) async fn connection(hub: &Hub) -> Result<Option<String>, Failure> {
    let client = match OcsClient::connect(endpoint(hub), ANSWER_TIMEOUT).await {
        Ok(client) => client,
        Err(OcsError::RouterUnreachable { reason, .. }) => return Ok(Some(reason)),
        Err(error) => return Ok(Some(error.to_string())),
    };
    match client.router_check(&hub.address_root).await {
        Ok(()) => Ok(None),
        Err(OcsError::NotAuthorized(reason)) => Err(Failure::Usage(format!(
            "the router does not serve the addresses of this site: address root and realm of the site config and of \
             the router's configuration must agree\n  the router says: {reason}"
        ))),
        Err(OcsError::RouterUnreachable { reason, .. }) => Ok(Some(reason)),
        Err(OcsError::TimedOut { .. }) => Ok(Some("no answer in time".to_owned())),
        // Whatever else it has to say, it is there.
        Err(_) => Ok(None),
    }
}
