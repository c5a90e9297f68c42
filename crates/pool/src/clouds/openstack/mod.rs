//! OpenStack: keystone, nova, neutron, glance and, for scratch volumes, cinder.
//!
//! An own client on `reqwest`: two dozen calls, with full say over microversions, deadlines and logins, which decide
//! whether a machine leaks. What is ours bears our mark: servers in their metadata (and a tag, to list them by), ports
//! and floating addresses in their description, volumes in their metadata.

mod access;
mod catalog;
mod compute;
mod fault;
mod image;
mod insecure;
mod names;
mod network;
mod session;
mod time;
mod volume;

use async_trait::async_trait;
use data_encoding::BASE64;
use serde_json::json;

pub use access::{Identity, Login, usual_places};
pub use image::Image;

use self::catalog::Service;
use self::names::{Kind, Names};
use self::session::Session;
use super::{Adoption, Cloud, CloudError, Leftover, LeftoverKind, NewServer};
use crate::model::{CloudLimits, Flavor, MARK_KEY, Mark, NODE_KEY, Server, TYPE_KEY};

/// The longest user-data that nova takes, bytes before base64 (its limit is 65535 characters after).
const USER_DATA_MAX_BYTES: usize = 49_150;

/// One region of one project.
#[derive(Debug)]
pub struct OpenStack {
    name: String,
    session: Session,
    names: Names,
}

impl OpenStack {
    /// A cloud of that name in the configuration. Nothing is sent yet.
    ///
    /// # Errors
    /// [`CloudError::Invalid`] when TLS cannot be set up.
    pub fn new(name: impl Into<String>, login: Login) -> Result<Self, CloudError> {
        Ok(Self { name: name.into(), session: Session::new(login)?, names: Names::default() })
    }

    /// How long a request may take until the end of its answer (default: 30 s).
    #[must_use]
    pub fn with_answer_timeout(mut self, timeout: std::time::Duration) -> Self {
        self.session.set_answer_timeout(timeout);
        self
    }

    async fn flavor_id(&self, name: &str) -> Result<String, CloudError> {
        let all = compute::flavors(&self.session).await?;
        let found = all.iter().find(|one| one.id == name).or_else(|| all.iter().find(|one| one.name == name));
        found.map(|flavor| flavor.id.clone()).ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|flavor| flavor.name.as_str()).collect();
            CloudError::Invalid(format!("there is no flavor {name:?}; there are {}", names.join(", ")))
        })
    }

    /// What must be there before the server: a port with its floating address, a volume.
    async fn prepare(
        &self,
        new: &NewServer,
        network: &str,
        image: &str,
        made: &mut Made,
    ) -> Result<(), CloudError> {
        let mark = new.mark.value();
        if new.floating_ip {
            let port =
                network::create_port(&self.session, network, &new.security_groups, &mark, &new.node).await?;
            made.port = Some(port.clone());
            network::create_floating_ip(&self.session, &port, &mark, &new.node).await?;
        }
        if new.scratch_gib > 0 {
            made.scratch =
                Some(volume::create(&self.session, new.scratch_gib, None, &mark, &new.node).await?);
        }
        // Made by us and not by nova, which would make it without our mark.
        if new.boot_gib > 0 {
            made.boot =
                Some(volume::create(&self.session, new.boot_gib, Some(image), &mark, &new.node).await?);
        }
        Ok(())
    }

    async fn order(
        &self,
        new: &NewServer,
        network: &str,
        image_id: &str,
        made: &Made,
    ) -> Result<String, CloudError> {
        let flavor_id = self.names.id(Kind::Flavor, &new.flavor, self.flavor_id(&new.flavor)).await?;
        let mark = new.mark.value();
        let networks = match &made.port {
            Some(port) => json!([{"port": port}]),
            None => json!([{"uuid": network}]),
        };
        let order = compute::Order {
            name: &new.node,
            flavor_id: &flavor_id,
            image_id,
            networks,
            key: new.key.as_deref(),
            security_groups: &new.security_groups,
            user_data: &BASE64.encode(new.user_data.as_bytes()),
            metadata: json!({MARK_KEY: mark, NODE_KEY: new.node, TYPE_KEY: new.worker_type}),
            tags: vec![&mark],
            scratch_id: made.scratch.as_deref(),
            boot_id: made.boot.as_deref(),
        };
        compute::create(&self.session, order).await
    }

    /// Takes back what was made for a server that the cloud has refused. What cannot be removed now bears the mark.
    async fn undo(&self, made: &Made, mark: &Mark, node: &str) {
        if made.port.is_some()
            && let Ok(found) = network::leftovers(&self.session, mark, &[]).await
        {
            for one in found.iter().rev().filter(|one| one.node == node) {
                let _found_again = network::remove(&self.session, one.kind, &one.id).await;
            }
        }
        for id in made.scratch.iter().chain(&made.boot) {
            let _found_again = volume::remove(&self.session, id).await;
        }
    }
}

/// What was made beside a server.
#[derive(Default)]
struct Made {
    port: Option<String>,
    scratch: Option<String>,
    boot: Option<String>,
}

#[async_trait]
impl Cloud for OpenStack {
    fn name(&self) -> &str {
        &self.name
    }

    async fn list_marked(&self, mark: &Mark) -> Result<Vec<Server>, CloudError> {
        let value = mark.value();
        let all = compute::servers(&self.session, &format!("tags={}", compute::encode(&value))).await?;
        Ok(all.into_iter().filter(|server| server.mark.as_deref() == Some(value.as_str())).collect())
    }

    async fn list_named(&self, names: &[String]) -> Result<Vec<Server>, CloudError> {
        let all = compute::servers(&self.session, "").await?;
        Ok(all.into_iter().filter(|server| names.contains(&server.name)).collect())
    }

    async fn adopt(&self, server_id: &str, adoption: &Adoption) -> Result<(), CloudError> {
        let value = adoption.mark.value();
        let (server, _floating) = compute::server_by_id(&self.session, server_id)
            .await?
            .ok_or_else(|| CloudError::NotFound(format!("server {server_id}")))?;
        if let Some(other) = server.mark.filter(|mark| *mark != value) {
            return Err(CloudError::Conflict(format!("{} bears the mark {other:?}", server.name)));
        }
        let metadata = json!({MARK_KEY: value, NODE_KEY: adoption.node, TYPE_KEY: adoption.worker_type});
        compute::mark(&self.session, server_id, &value, metadata).await
    }

    async fn create(&self, new: &NewServer) -> Result<String, CloudError> {
        if new.user_data.len() > USER_DATA_MAX_BYTES {
            return Err(CloudError::Invalid(format!(
                "the user-data has {} bytes, and nova takes {USER_DATA_MAX_BYTES}",
                new.user_data.len()
            )));
        }
        let network = network::network(&self.session, new.network.as_deref());
        let name = new.network.as_deref().unwrap_or_default();
        let network = self.names.id(Kind::Network, name, network).await?;
        let image = image::find(&self.session, &new.image);
        let image = self.names.id(Kind::Image, &new.image, image).await?;
        let mut made = Made::default();
        let answer = match self.prepare(new, &network, &image, &mut made).await {
            Ok(()) => self.order(new, &network, &image, &made).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &answer
            && !error.may_have_been_done()
        {
            self.names.forget();
            self.undo(&made, &new.mark, &new.node).await;
        }
        answer
    }

    async fn delete(&self, server_id: &str, mark: &Mark) -> Result<(), CloudError> {
        let Some((server, floating)) = compute::server_by_id(&self.session, server_id).await? else {
            return Ok(());
        };
        let value = mark.value();
        if server.mark.as_deref() != Some(value.as_str()) {
            return Err(CloudError::NotOurs(format!("server {} ({server_id})", server.name)));
        }
        // Also where nova says that it is at it: a deletion that failed within nova leaves its mark there for ever, and is
        // only taken up by asking again, which is otherwise harmless.
        if floating {
            network::release_floating_ips(&self.session, server_id, &value).await?;
        }
        compute::delete(&self.session, server_id).await
    }

    async fn console(&self, server_id: &str, max_lines: u32) -> Result<String, CloudError> {
        compute::console(&self.session, server_id, max_lines).await
    }

    async fn limits(&self) -> Result<CloudLimits, CloudError> {
        compute::limits(&self.session).await
    }

    async fn flavors(&self) -> Result<Vec<Flavor>, CloudError> {
        compute::flavors(&self.session).await
    }

    async fn leftovers(&self, mark: &Mark) -> Result<Vec<Leftover>, CloudError> {
        let servers = self.list_marked(mark).await?;
        let servers: Vec<(String, String)> =
            servers.into_iter().filter_map(|server| Some((server.id, server.node?))).collect();
        let mut found = network::leftovers(&self.session, mark, &servers).await?;
        if self.session.has(Service::Volume).await? {
            found.extend(volume::leftovers(&self.session, mark).await?);
        }
        Ok(found)
    }

    async fn remove_leftover(&self, leftover: &Leftover) -> Result<(), CloudError> {
        match leftover.kind {
            LeftoverKind::Volume => volume::remove(&self.session, &leftover.id).await,
            kind => network::remove(&self.session, kind, &leftover.id).await,
        }
    }
}

/// What setting up a project needs beside a pool: images, keys, the firewall.
impl OpenStack {
    /// All images that the project sees.
    ///
    /// # Errors
    /// [`CloudError`].
    pub async fn images(&self) -> Result<Vec<Image>, CloudError> {
        image::all(&self.session).await
    }

    /// The image of that id, if there is one.
    ///
    /// # Errors
    /// [`CloudError`].
    pub async fn image(&self, id: &str) -> Result<Option<Image>, CloudError> {
        image::by_id(&self.session, id).await
    }

    /// Removes an image; `Ok` when it is not there.
    ///
    /// # Errors
    /// [`CloudError`].
    pub async fn delete_image(&self, id: &str) -> Result<(), CloudError> {
        image::delete(&self.session, id).await
    }

    /// Asks for an image of a server that is switched off; the answer is the image's id.
    ///
    /// # Errors
    /// [`CloudError`].
    pub async fn create_image(&self, server_id: &str, name: &str, mark: &Mark) -> Result<String, CloudError> {
        compute::create_image(&self.session, server_id, name, json!({MARK_KEY: mark.value()})).await
    }

    /// Asks for a server to be switched off.
    ///
    /// # Errors
    /// [`CloudError`].
    pub async fn stop(&self, server_id: &str) -> Result<(), CloudError> {
        compute::stop(&self.session, server_id).await
    }

    /// A server of the project, whosever it is.
    ///
    /// # Errors
    /// [`CloudError`].
    pub async fn server(&self, server_id: &str) -> Result<Option<Server>, CloudError> {
        Ok(compute::server_by_id(&self.session, server_id).await?.map(|(server, _floating)| server))
    }

    /// Uploads a public key under a name, unless there is one of that name. Whether it was uploaded.
    ///
    /// # Errors
    /// [`CloudError`].
    pub async fn ensure_keypair(&self, name: &str, public_key: &str) -> Result<bool, CloudError> {
        if compute::has_keypair(&self.session, name).await? {
            return Ok(false);
        }
        match compute::create_keypair(&self.session, name, public_key).await {
            // Somebody was quicker.
            Err(CloudError::Conflict(_)) => Ok(false),
            answer => answer.map(|()| true),
        }
    }

    /// Makes a security group, unless there is one of that name, and lets in what EHOS needs: ssh (22/tcp) from anywhere,
    /// HTCondor (9618, TCP and UDP) from the group itself, or from anywhere where `external`. Whether it was made.
    ///
    /// # Errors
    /// [`CloudError`].
    pub async fn ensure_firewall(&self, name: &str, external: bool) -> Result<bool, CloudError> {
        let found = network::security_group(&self.session, name).await?;
        let made = found.is_none();
        let group = match found {
            Some(group) => group,
            None => network::create_security_group(&self.session, name, "ssh and HTCondor, for EHOS").await?,
        };
        network::allow(&self.session, &group, "tcp", 22, None).await?;
        let from = (!external).then_some(group.as_str());
        for protocol in ["tcp", "udp"] {
            network::allow(&self.session, &group, protocol, 9618, from).await?;
        }
        Ok(made)
    }
}
