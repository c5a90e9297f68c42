//! Building an image in one cloud: base VM, console, stop, image, and no VM left behind.
//!
//! What has been done is read from the cloud: base VM and image bear a mark that is made of the base file and of what
//! the VM is made from. A run that was killed goes on where it was; one with another base file begins anew.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Tell;
use super::cloud_init::FAILED;
use crate::clouds::openstack::OpenStack;
use crate::clouds::{Cloud, CloudError, NewServer};
use crate::model::{Mark, Server, ServerStatus};
use crate::names::server_name;

/// Lines of a console that are looked at: cloud-init's last message is followed by a prompt and little else.
const CONSOLE_LINES: u32 = 400;
/// Lines of it that are told when something fails.
const TAIL_LINES: usize = 15;
/// How often the world may fail to answer in a row before the building is given up.
const ANSWERS_LOST_MAX: u32 = 10;
/// How long the removal of a VM is waited for.
const REMOVAL: Duration = Duration::from_secs(180);

/// How long each step may take, and how often it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the request until the last message of cloud-init.
    pub up: Duration,
    /// Until it is switched off.
    pub stop: Duration,
    /// Until the image is there.
    pub image: Duration,
    /// Between two looks.
    pub look: Duration,
}

impl Default for Patience {
    /// Those of EHOS: 1200 s, 300 s, 600 s; a look each second.
    fn default() -> Self {
        Self {
            up: Duration::from_secs(1200),
            stop: Duration::from_secs(300),
            image: Duration::from_secs(600),
            look: Duration::from_secs(1),
        }
    }
}

/// What an image is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The first part of names.
    pub prefix: String,
    /// Who makes it: this host.
    pub host: String,
    /// The base VM; its name and mark are filled in by the building.
    pub server: NewServer,
    /// What the console shows at the end.
    pub final_message: String,
    /// Make a new one, even if there is one of this recipe.
    pub anew: bool,
}

impl Recipe {
    /// The mark of what is made by this recipe. It is none of a pool, so that no daemon takes the base VM for a worker.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let of = [&self.server.user_data, &self.server.image, &self.server.flavor];
        let hash = of
            .iter()
            .flat_map(|text| text.bytes().chain([0]))
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        Mark {
            prefix: format!("{}-base-{hash:016x}", self.prefix.chars().take(16).collect::<String>()),
            host: self.host.clone(),
        }
    }
}

/// Why there is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The cloud refused.
    #[error("{what}: {source}")]
    Cloud {
        /// What was asked of it.
        what: &'static str,
        /// Its answer.
        source: CloudError,
    },
    /// The base VM broke, or its installation failed.
    #[error("the base VM failed: {0}")]
    Broken(String),
    /// A step took too long.
    #[error("{what} took more than {} s{tail}", limit.as_secs())]
    TooLong {
        /// Which.
        what: &'static str,
        /// Its limit.
        limit: Duration,
        /// The end of the console, if it helps.
        tail: String,
    },
    /// Somebody has asked to end.
    #[error("interrupted")]
    Interrupted,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The image's id.
    pub image: String,
    /// Whether it was there already.
    pub was_there: bool,
}

/// Builds the image, or finds it built. Whatever happens, the VM is removed at the end; what cannot be removed is told.
/// When `interrupted` ends, the building does.
///
/// # Errors
/// [`BuildError`].
pub async fn build(
    cloud: &OpenStack,
    recipe: &Recipe,
    patience: &Patience,
    interrupted: impl Future<Output = ()>,
    tell: Tell<'_>,
) -> Result<Built, BuildError> {
    let mark = recipe.mark();
    let mut image = None;
    let outcome = tokio::select! {
        outcome = steps(cloud, recipe, &mark, patience, &mut image, tell) => outcome,
        () = interrupted => Err(BuildError::Interrupted),
    };
    clean_up(cloud, &mark, tell).await;
    if outcome.is_err()
        && let Some(id) = image
    {
        tell(cloud.name(), "removing the unfinished image");
        if let Err(error) = cloud.delete_image(&id).await {
            tell(cloud.name(), &format!("the unfinished image {id} was not removed: {error}"));
        }
    }
    outcome
}

async fn steps(
    cloud: &OpenStack,
    recipe: &Recipe,
    mark: &Mark,
    patience: &Patience,
    begun_image: &mut Option<String>,
    tell: Tell<'_>,
) -> Result<Built, BuildError> {
    let of = |what| move |source| BuildError::Cloud { what, source };
    let value = mark.value();
    if !recipe.anew {
        let images = cloud.images().await.map_err(of("listing images"))?;
        let ours: Vec<_> =
            images.iter().filter(|image| image.mark.as_deref() == Some(value.as_str())).collect();
        if let Some(image) = ours.iter().find(|image| image.status == "active") {
            return Ok(Built { image: image.id.clone(), was_there: true });
        }
        if let Some(image) = ours.iter().find(|image| matches!(image.status.as_str(), "queued" | "saving")) {
            tell(cloud.name(), "an earlier run has begun its image; waiting for it");
            if wait_for_image(cloud, &image.id, patience).await.is_ok() {
                return Ok(Built { image: image.id.clone(), was_there: true });
            }
            let _gone_or_not = cloud.delete_image(&image.id).await;
        }
    }
    let server_id = base_vm(cloud, recipe, mark, tell).await?;
    up(cloud, &server_id, &recipe.final_message, patience, "the start of the base VM", tell).await?;
    tell(cloud.name(), "base VM is up; switching it off");
    cloud.stop(&server_id).await.map_err(of("switching the base VM off"))?;
    status(cloud, &server_id, ServerStatus::Stopped, patience.stop, patience.look).await?;
    let name = server_name(&recipe.prefix, "image", now_ms(), lot());
    tell(cloud.name(), &format!("making the image {name}"));
    let id = cloud.create_image(&server_id, &name, mark).await.map_err(of("making the image"))?;
    *begun_image = Some(id.clone());
    wait_for_image(cloud, &id, patience).await?;
    Ok(Built { image: id, was_there: false })
}

/// The base VM of an earlier run, else a new one.
async fn base_vm(
    cloud: &OpenStack,
    recipe: &Recipe,
    mark: &Mark,
    tell: Tell<'_>,
) -> Result<String, BuildError> {
    let of = |what| move |source| BuildError::Cloud { what, source };
    let found = cloud.list_marked(mark).await.map_err(of("listing servers"))?;
    if let Some(server) =
        found.iter().find(|one| matches!(one.status, ServerStatus::Building | ServerStatus::Active))
    {
        tell(
            cloud.name(),
            &format!("the base VM {} of an earlier run is there; going on with it", server.name),
        );
        return Ok(server.id.clone());
    }
    let limits = cloud.limits().await.map_err(of("reading the quota"))?;
    if limits.servers_max.is_some_and(|max| limits.servers_used >= max) {
        return Err(BuildError::Cloud {
            what: "making the base VM",
            source: CloudError::Quota {
                resource: "instances".to_owned(),
                message: format!("{} servers are there, as many as are allowed", limits.servers_used),
            },
        });
    }
    let node = server_name(&recipe.prefix, "base", now_ms(), lot());
    tell(cloud.name(), &format!("making the base VM {node}"));
    let server = NewServer { node: node.clone(), mark: mark.clone(), ..recipe.server.clone() };
    match cloud.create(&server).await {
        Ok(id) => Ok(id),
        // It may be there all the same; it then bears the mark.
        Err(error) if error.may_have_been_done() => {
            sleep(Duration::from_secs(2)).await;
            let found = cloud.list_marked(mark).await.map_err(of("listing servers"))?;
            let server = found.iter().find(|server| server.name == node);
            server
                .map(|server| server.id.clone())
                .ok_or(BuildError::Cloud { what: "making the base VM", source: error })
        }
        Err(source) => Err(BuildError::Cloud { what: "making the base VM", source }),
    }
}

/// Waits until the console shows the message. Returns all that the console shows then.
pub(super) async fn up(
    cloud: &OpenStack,
    server_id: &str,
    message: &str,
    patience: &Patience,
    what: &'static str,
    tell: Tell<'_>,
) -> Result<String, BuildError> {
    let begun = Instant::now();
    let mut lost = 0;
    let mut text = String::new();
    let mut told = "";
    loop {
        let look = async {
            let server = cloud.server(server_id).await?;
            let is_active = server.as_ref().is_some_and(|server| server.status == ServerStatus::Active);
            let text = if is_active { cloud.console(server_id, CONSOLE_LINES).await? } else { String::new() };
            Ok((server, text))
        };
        match look.await {
            Ok((server, shown)) => {
                lost = 0;
                text = shown;
                alive(server.as_ref(), &text)?;
                if text.contains(message) {
                    return Ok(text);
                }
                let now = if text.is_empty() {
                    "waiting for the machine"
                } else {
                    "the machine runs; waiting for its last message"
                };
                if now != told {
                    tell(cloud.name(), now);
                    told = now;
                }
            }
            Err(source) => {
                lost += 1;
                if lost >= ANSWERS_LOST_MAX {
                    return Err(BuildError::Cloud { what: "looking at the machine", source });
                }
            }
        }
        if begun.elapsed() > patience.up {
            return Err(BuildError::TooLong { what, limit: patience.up, tail: tail(&text) });
        }
        sleep(patience.look).await;
    }
}

fn alive(server: Option<&Server>, console: &str) -> Result<(), BuildError> {
    let Some(server) = server else {
        return Err(BuildError::Broken("it has vanished".to_owned()));
    };
    if server.status == ServerStatus::Error {
        return Err(BuildError::Broken(server.fault.clone().unwrap_or_else(|| "it is in error".to_owned())));
    }
    if let Some(line) = console.lines().find(|line| line.contains(FAILED)) {
        return Err(BuildError::Broken(format!("{}{}", line.trim(), tail(console))));
    }
    Ok(())
}

fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "; its console is empty".to_owned();
    }
    let first = lines.len().saturating_sub(TAIL_LINES);
    format!("; the end of its console:\n  {}", lines[first..].join("\n  "))
}

async fn status(
    cloud: &OpenStack,
    server_id: &str,
    wanted: ServerStatus,
    limit: Duration,
    look: Duration,
) -> Result<(), BuildError> {
    let begun = Instant::now();
    loop {
        if let Ok(server) = cloud.server(server_id).await {
            alive(server.as_ref(), "")?;
            if server.is_some_and(|server| server.status == wanted) {
                return Ok(());
            }
        }
        if begun.elapsed() > limit {
            return Err(BuildError::TooLong {
                what: "switching the base VM off",
                limit,
                tail: String::new(),
            });
        }
        sleep(look).await;
    }
}

async fn wait_for_image(cloud: &OpenStack, id: &str, patience: &Patience) -> Result<(), BuildError> {
    let begun = Instant::now();
    loop {
        match cloud.image(id).await {
            Ok(Some(image)) if image.status == "active" => return Ok(()),
            Ok(Some(image)) if matches!(image.status.as_str(), "killed" | "deleted" | "deactivated") => {
                return Err(BuildError::Broken(format!("its image is {}", image.status)));
            }
            Ok(None) => return Err(BuildError::Broken("its image has vanished".to_owned())),
            Ok(Some(_)) | Err(_) => {}
        }
        if begun.elapsed() > patience.image {
            return Err(BuildError::TooLong {
                what: "making the image",
                limit: patience.image,
                tail: String::new(),
            });
        }
        sleep(patience.look).await;
    }
}

/// Removes every VM of the mark and waits until they are gone.
pub(super) async fn clean_up(cloud: &OpenStack, mark: &Mark, tell: Tell<'_>) {
    let begun = Instant::now();
    let mut problem = String::new();
    while begun.elapsed() < REMOVAL {
        match cloud.list_marked(mark).await {
            Ok(servers) if servers.is_empty() => return,
            Ok(servers) => {
                for server in servers {
                    if server.status != ServerStatus::Deleting
                        && let Err(error) = cloud.delete(&server.id, mark).await
                    {
                        problem = format!("{} ({}): {error}", server.name, server.id);
                    }
                }
            }
            Err(error) => problem = error.to_string(),
        }
        sleep(Duration::from_millis(500)).await;
    }
    tell(cloud.name(), &format!("a VM of the mark {} was not removed: {problem}", mark.value()));
}

pub(super) fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// A number that differs from that of another run in the same second.
pub(super) fn lot() -> u64 {
    super::random_bytes::<4>().map(|bytes| u64::from(u32::from_le_bytes(bytes))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(user_data: &str) -> Recipe {
        Recipe {
            prefix: "ehos".to_owned(),
            host: "deploy.example.org".to_owned(),
            server: NewServer {
                node: String::new(),
                mark: Mark { prefix: String::new(), host: String::new() },
                worker_type: "base".to_owned(),
                flavor: "m1.tiny".to_owned(),
                image: "i".to_owned(),
                network: None,
                key: None,
                security_groups: Vec::new(),
                user_data: user_data.to_owned(),
                floating_ip: false,
                scratch_gib: 0,
                boot_gib: 0,
            },
            final_message: "up".to_owned(),
            anew: false,
        }
    }

    #[test]
    fn the_mark_is_that_of_the_recipe_and_of_no_pool() {
        assert_eq!(recipe("a").mark(), recipe("a").mark());
        assert_ne!(recipe("a").mark(), recipe("b").mark());
        assert!(recipe("a").mark().value().starts_with("ehos-base-"));
        assert!(recipe("a").mark().value().chars().count() <= crate::model::MARK_MAX_CHARS);
    }

    #[test]
    fn an_installation_that_failed_is_seen_on_the_console() {
        let console = "a\n[ 9.0] EHOS-FAILED: HTCondor cannot be installed\nThe EHOS vm is up after 3\n";
        let server = Server {
            id: "s".to_owned(),
            name: "s".to_owned(),
            status: ServerStatus::Active,
            mark: None,
            node: None,
            worker_type: None,
            flavor: String::new(),
            resources: None,
            created_ms: 0,
            fault: None,
            addresses: Vec::new(),
        };
        let error = alive(Some(&server), console).unwrap_err();
        assert!(error.to_string().contains("HTCondor cannot be installed"), "{error}");
        assert!(alive(None, "").is_err());
    }
}
