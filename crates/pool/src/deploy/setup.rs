//! Preparing the clouds of a configuration: key pair, firewall, images; each cloud in a task of its own.

use futures_util::future::join_all;
use tokio::sync::watch;

use super::Tell;
use super::cloud_init;
use super::compose::is_set;
use super::edit::set;
use super::image::{BuildError, Patience, Recipe, build};
use super::share::Shared;
use crate::clouds::openstack::{Login, OpenStack, usual_places};
use crate::clouds::{CloudError, NewServer};
use crate::config::{CloudConfig, CloudKind, PoolConfig};
use crate::model::Mark;

/// What is to be done.
#[derive(Clone)]
pub struct Plan {
    /// Name and text of the public key; `None`: no key pair is made.
    pub key: Option<(String, String)>,
    /// The security group.
    pub firewall: String,
    /// Whether HTCondor's port is open to everybody: workers in other clouds.
    pub external: bool,
    /// The base file; `None`: no images are built.
    pub base: Option<Shared>,
    /// Build images even if there are some of this base file.
    pub anew: bool,
    /// Deadlines.
    pub patience: Patience,
}

/// What came of one cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloudOutcome {
    /// Its name.
    pub cloud: String,
    /// The image, and whether it was there already.
    pub image: Option<(String, bool)>,
    /// What went wrong, in words.
    pub problems: Vec<String>,
}

/// The OpenStack client of a cloud of the configuration; `None` for a local one.
///
/// # Errors
/// In words: the login is not whole.
pub fn open(cloud: &CloudConfig) -> Result<Option<OpenStack>, String> {
    let CloudKind::OpenStack(access) = &cloud.kind else { return Ok(None) };
    let home = std::env::var_os("HOME");
    let places = usual_places(home.as_deref().map(std::path::Path::new));
    let login = Login::complete(access, &places).map_err(|lacks| lacks.join("; "))?;
    OpenStack::new(cloud.name.clone(), login).map(Some).map_err(|error| error.to_string())
}

/// Prepares all OpenStack clouds at the same time. An error in one does not stop the others. When `interrupted` becomes
/// true, what is being built is taken down.
pub async fn prepare(
    config: &PoolConfig,
    plan: &Plan,
    interrupted: &watch::Receiver<bool>,
    tell: Tell<'_>,
) -> Vec<CloudOutcome> {
    let each = config.clouds.iter().map(|cloud| one(config, cloud, plan, interrupted.clone(), tell));
    join_all(each).await.into_iter().flatten().collect()
}

async fn one(
    config: &PoolConfig,
    settings: &CloudConfig,
    plan: &Plan,
    mut interrupted: watch::Receiver<bool>,
    tell: Tell<'_>,
) -> Option<CloudOutcome> {
    let mut outcome = CloudOutcome { cloud: settings.name.clone(), ..CloudOutcome::default() };
    let cloud = match open(settings) {
        Ok(Some(cloud)) => cloud,
        Ok(None) => return None,
        Err(problem) => {
            outcome.problems.push(problem);
            return Some(outcome);
        }
    };
    if let Err(problem) = keys_and_firewall(&cloud, settings, plan, tell).await {
        outcome.problems.push(problem);
        return Some(outcome);
    }
    let Some(base) = &plan.base else { return Some(outcome) };
    match recipe(config, settings, plan, base) {
        Err(problem) => outcome.problems.push(problem),
        Ok(recipe) => {
            let ended = async move {
                // An error means that nobody can interrupt any more.
                if interrupted.wait_for(|now| *now).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            match build(&cloud, &recipe, &plan.patience, ended, tell).await {
                Ok(built) => {
                    let how = if built.was_there { "is there already" } else { "is ready" };
                    tell(&settings.name, &format!("the image {} {how}", built.image));
                    outcome.image = Some((built.image, built.was_there));
                }
                Err(error @ BuildError::Interrupted) => {
                    outcome.problems.push(format!("{error}; its base VM is removed"));
                }
                Err(error) => outcome.problems.push(format!("no image: {error}")),
            }
        }
    }
    Some(outcome)
}

async fn keys_and_firewall(
    cloud: &OpenStack,
    settings: &CloudConfig,
    plan: &Plan,
    tell: Tell<'_>,
) -> Result<(), String> {
    let refused = |what: String| move |error: CloudError| format!("{what}: {error}");
    if let Some((name, public)) = &plan.key {
        let made = cloud.ensure_keypair(name, public).await.map_err(refused(format!("key pair {name}")))?;
        tell(&settings.name, &format!("key pair {name} {}", if made { "made" } else { "is there already" }));
    }
    let made = cloud
        .ensure_firewall(&plan.firewall, plan.external)
        .await
        .map_err(refused(format!("firewall {}", plan.firewall)))?;
    let reach = if plan.external { "open to everybody" } else { "open within the group" };
    let how = if made { "made" } else { "is there" };
    tell(
        &settings.name,
        &format!("firewall {} {how}: 22/tcp from anywhere, 9618 tcp and udp {reach}", plan.firewall),
    );
    Ok(())
}

/// The flavor of base and master in a cloud.
pub(super) fn flavor(config: &PoolConfig, settings: &CloudConfig) -> Option<String> {
    let of_types = || config.worker_types.first().and_then(|kind| kind.flavors.first());
    config.ehos.flavor.as_ref().or_else(|| settings.flavors.first()).or_else(of_types).cloned()
}

fn recipe(config: &PoolConfig, settings: &CloudConfig, plan: &Plan, base: &Shared) -> Result<Recipe, String> {
    let image = config.ehos.image.clone().ok_or("`ehos.image` names no image to make the base from")?;
    let flavor = flavor(config, settings).ok_or("`ehos.flavor` names no flavor")?;
    let groups = if settings.security_groups.is_empty() {
        vec![plan.firewall.clone()]
    } else {
        settings.security_groups.clone()
    };
    Ok(Recipe {
        prefix: config.mark.prefix.clone(),
        host: config.mark.host.clone(),
        server: NewServer {
            node: String::new(),
            mark: Mark { prefix: String::new(), host: String::new() },
            worker_type: "base".to_owned(),
            flavor,
            image,
            network: settings.network.clone(),
            key: settings.key.clone().or_else(|| plan.key.as_ref().map(|(name, _)| name.clone())),
            security_groups: groups,
            user_data: base.text.clone(),
            floating_ip: false,
            scratch_gib: 0,
            boot_gib: 0,
        },
        final_message: cloud_init::final_message(&base.origin, &base.text),
        anew: plan.anew,
    })
}

/// The configuration with what was made written into it: images, key, firewall where it named none, and a password.
/// The text itself where nothing changes.
///
/// # Errors
/// In words: a value cannot be set in the form that the file has.
pub fn updated(
    text: &str,
    plan: &Plan,
    outcomes: &[CloudOutcome],
    make_password: impl FnOnce() -> std::io::Result<String>,
) -> Result<String, String> {
    let mut text = text.to_owned();
    if !is_set(&text, &["condor", "password"]) {
        let password = make_password().map_err(|error| format!("no password can be made: {error}"))?;
        text = set(&text, &["condor", "password"], &password)?;
    }
    if let Some((name, _)) = &plan.key
        && !is_set(&text, &["ehos", "key"])
    {
        text = set(&text, &["ehos", "key"], name)?;
    }
    let groups_in_list = super::compose::has(&text, &["ehos", "security_groups"]);
    if !groups_in_list {
        text = set(&text, &["ehos", "security_groups"], &plan.firewall)?;
    }
    for outcome in outcomes {
        if let Some((image, _)) = &outcome.image {
            let ours = ["pool", "clouds", &outcome.cloud, "image"];
            let theirs = ["clouds", &outcome.cloud, "image"];
            // Where the image stands under `pool` it overrides.
            let path = if is_set(&text, &ours) || !super::compose::has(&text, &theirs[..2]) {
                &ours[..]
            } else {
                &theirs[..]
            };
            text = set(&text, path, image)?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            key: Some(("ehos_key".to_owned(), "ssh-ed25519 A".to_owned())),
            firewall: "ehos_firewall".to_owned(),
            external: false,
            base: None,
            anew: false,
            patience: Patience::default(),
        }
    }

    #[test]
    fn what_was_made_is_written_down_and_what_was_said_stays() {
        let text = "# c\nclouds:\n  a: {image: None} # a\n  b:\n    image: old\npool: {clouds: {c: {priority: 1}}}\nehos:\n  security_groups: [x]\n";
        let built = |cloud: &str| CloudOutcome {
            cloud: cloud.to_owned(),
            image: Some((format!("i-{cloud}"), false)),
            problems: Vec::new(),
        };
        let failed = CloudOutcome { cloud: "b".to_owned(), ..CloudOutcome::default() };
        let new = updated(text, &plan(), &[built("a"), failed, built("c")], || Ok("pw".to_owned())).unwrap();
        assert_eq!(
            new,
            "# c\nclouds:\n  a: {image: i-a} # a\n  b:\n    image: old\npool: {clouds: {c: {image: i-c, priority: 1}}}\n\
             ehos:\n  key: ehos_key\n  security_groups: [x]\ncondor:\n  password: pw\n"
        );
        let again = updated(&new, &plan(), &[built("a")], || Ok("other".to_owned())).unwrap();
        assert_eq!(again, new);
    }
}
