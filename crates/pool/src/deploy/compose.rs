//! A new configuration from a template and what a cloud offers. PURE.

use std::path::Path;

use campanile_yaml::{Kind, Schema, parse};

use super::edit::set;
use super::keystone::Credentials;

/// The cloud's name where the template has none.
const CLOUD: &str = "default";
/// The firewall and key that `ehos_setup` makes.
pub const FIREWALL: &str = "ehos_firewall";
/// See [`FIREWALL`].
pub const KEY: &str = "ehos_key";

/// What goes into the configuration beside the credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choices {
    /// Image to make bases from.
    pub image: String,
    /// Flavor.
    pub flavor: String,
    /// Network, if there is no doubt about it.
    pub network: Option<String>,
    /// Password of the pool, where the template has none.
    pub password: String,
}

/// What the template wants of a flavor: `daemon.min_cores`, and `daemon.min_ram` in MiB.
#[must_use]
pub fn wants(template: &str) -> (u32, u64) {
    let number = |key: &str| -> f64 {
        let value =
            value_of(template, &["daemon", key]).or_else(|| value_of(template, &["ehos_daemon", key]));
        value.and_then(|text| text.trim().parse().ok()).unwrap_or(0.0)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturating, and none is negative"
    )]
    let wants = (number("min_cores").max(0.0) as u32, (number("min_ram").max(0.0) * 1024.0) as u64);
    wants
}

/// Fills the template in; its comments stay.
///
/// # Errors
/// In words: the template is no YAML, or has something else in a place.
pub fn compose(template: &str, credentials: &Credentials, choices: &Choices) -> Result<String, String> {
    let cloud = cloud_name(template)?;
    let mut text = template.to_owned();
    let mut put = |path: &[&str], value: &str| -> Result<(), String> {
        text = set(&text, path, value)?;
        Ok(())
    };
    put(&["clouds", &cloud, "auth_url"], &credentials.auth_url)?;
    put(&["clouds", &cloud, "region_name"], &credentials.region_name)?;
    for (key, value) in &credentials.login {
        if credentials.is_application_credential {
            put(&["pool", "clouds", &cloud, key], value)?;
        } else {
            put(&["clouds", &cloud, key], value)?;
        }
    }
    put(&["ehos", "image"], &choices.image)?;
    put(&["ehos", "flavor"], &choices.flavor)?;
    if let Some(network) = &choices.network {
        put(&["ehos", "network"], network)?;
    }
    if !is_set(template, &["condor", "password"]) {
        put(&["condor", "password"], &choices.password)?;
    }
    if is_set(template, &["daemon", "master_cloud"]) {
        put(&["daemon", "master_cloud"], &cloud)?;
    }
    // The image of another project means nothing here.
    if value_of(template, &["clouds", &cloud, "image"]).is_some_and(|image| image != "None") {
        put(&["clouds", &cloud, "image"], "None")?;
    }
    Ok(text)
}

/// The only cloud of the template, or `default`.
fn cloud_name(template: &str) -> Result<String, String> {
    let (document, problems) = parse(Path::new("template"), template.as_bytes(), Schema::Safe);
    let Some(document) = document.filter(|_| !problems.has_errors()) else {
        return Err(format!("the template is no YAML\n{}", problems.render(false)));
    };
    let clouds = document.root().get("clouds").filter(|clouds| clouds.kind() == Kind::Map);
    let names: Vec<&str> = clouds
        .into_iter()
        .flat_map(campanile_yaml::Node::entries)
        .filter_map(|(key, _)| key.text())
        .collect();
    match names.as_slice() {
        [] => Ok(CLOUD.to_owned()),
        [only] => Ok((*only).to_owned()),
        _ if names.contains(&CLOUD) => Ok(CLOUD.to_owned()),
        _ => {
            Err(format!("the template has several clouds ({}) and none is called {CLOUD}", names.join(", ")))
        }
    }
}

/// The text at a place, if something stands there.
#[must_use]
pub fn value_of(text: &str, path: &[&str]) -> Option<String> {
    let (document, _) = parse(Path::new("file"), text.as_bytes(), Schema::Safe);
    let document = document?;
    let node = path.iter().try_fold(document.root(), |node, key| node.get(key))?;
    node.text().filter(|_| !node.is_null()).map(str::to_owned)
}

/// Whether anything stands at a place, a list or a mapping, too.
#[must_use]
pub fn has(text: &str, path: &[&str]) -> bool {
    let (document, _) = parse(Path::new("file"), text.as_bytes(), Schema::Safe);
    let Some(document) = document else { return false };
    let node = path.iter().try_fold(document.root(), |node, key| node.get(key));
    node.is_some_and(|node| !node.is_null() && node.text() != Some("None"))
}

/// Whether something stands at a place that is not `None`.
#[must_use]
pub fn is_set(text: &str, path: &[&str]) -> bool {
    value_of(text, path).is_some_and(|value| !value.trim().is_empty() && value != "None")
}

#[cfg(test)]
mod tests {
    use super::super::share::shipped;
    use super::*;

    fn credentials(is_application_credential: bool) -> Credentials {
        let login = if is_application_credential {
            vec![
                ("application_credential_id", "i".to_owned()),
                ("application_credential_secret", "s#1".to_owned()),
            ]
        } else {
            vec![
                ("project_name", "a: b".to_owned()),
                ("username", "u".to_owned()),
                ("password", "p#x".to_owned()),
            ]
        };
        Credentials {
            auth_url: "http://k:5000/v3".to_owned(),
            region_name: "r".to_owned(),
            login,
            is_application_credential,
        }
    }

    fn choices() -> Choices {
        Choices {
            image: "GOLD".to_owned(),
            flavor: "m1.x".to_owned(),
            network: None,
            password: "pw".to_owned(),
        }
    }

    #[test]
    fn the_example_is_filled_in_and_keeps_its_comments() {
        let text = compose(shipped("ehos.yaml.example").unwrap(), &credentials(false), &choices()).unwrap();
        for (path, value) in [
            (&["clouds", "default", "project_name"][..], "a: b"),
            (&["clouds", "default", "password"], "p#x"),
            (&["clouds", "default", "user_domain_name"], "Default"),
            (&["ehos", "flavor"], "m1.x"),
            (&["ehos", "network"], "dualStack"),
            (&["condor", "password"], "pw"),
        ] {
            assert_eq!(value_of(&text, path).as_deref(), Some(value));
        }
        assert!(text.contains("# GB of a scratch volume"));
        let comments = |text: &str| text.lines().filter(|line| line.trim_start().starts_with('#')).count();
        assert_eq!(comments(&text), comments(shipped("ehos.yaml.example").unwrap()));
    }

    #[test]
    fn an_old_template_with_a_password_keeps_it() {
        let template = "condor: {password: mine}\nclouds: {bergen: {image: old}}\nehos_daemon: {min_ram: 2, min_cores: 1}\n";
        let text = compose(template, &credentials(true), &choices()).unwrap();
        assert_eq!(value_of(&text, &["condor", "password"]).as_deref(), Some("mine"));
        assert_eq!(value_of(&text, &["clouds", "bergen", "image"]).as_deref(), Some("None"));
        let secret = ["pool", "clouds", "bergen", "application_credential_secret"];
        assert_eq!(value_of(&text, &secret).as_deref(), Some("s#1"));
        assert_eq!(wants(template), (1, 2048));
        assert!(
            compose("clouds: {a: {}, b: {}}", &credentials(true), &choices()).unwrap_err().contains("a, b")
        );
    }
}
