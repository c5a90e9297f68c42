//! How to log in: the entry of the configuration, completed from `clouds.yaml`, as a request to keystone.
//!
//! `clouds.yaml` is found where OpenStack's own clients find it (openstacksdk, "Configuration"): the working directory,
//! `~/.config/openstack`, `/etc/openstack`; the first that exists counts, and a `secure.yaml` beside it adds what must not
//! be in it. `OS_*` variables are never read: a shell that has sourced a keystone file must not change what a daemon does.

use std::path::{Path, PathBuf};

use campanile_yaml::{Document, Node, Schema};
use serde_json::{Value, json};
use url::Url;

use crate::config::{Access, Secret};

/// All that is needed to log in, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Keystone's version 3, without a slash at its end.
    pub auth_url: String,
    /// Who.
    pub identity: Identity,
    /// Region; `None`: the only one that the catalog has.
    pub region: Option<String>,
    /// Which endpoints of the catalog.
    pub interface: String,
    /// Certificates to trust beside the system's.
    pub cacert: Option<PathBuf>,
    /// Whether certificates are left unchecked.
    pub insecure: bool,
}

/// Who logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A user, in a project.
    Password {
        /// The user.
        username: String,
        /// The user's domain.
        user_domain: String,
        /// The user's password.
        password: Secret,
        /// The project.
        project: String,
        /// The project's domain.
        project_domain: String,
    },
    /// An application credential, which knows its project.
    Application {
        /// Its id.
        id: String,
        /// Its secret.
        secret: Secret,
    },
}

/// Where `clouds.yaml` is looked for.
#[must_use]
pub fn usual_places(home: Option<&Path>) -> Vec<PathBuf> {
    let mut places = vec![PathBuf::from("clouds.yaml")];
    places.extend(home.map(|home| home.join(".config/openstack/clouds.yaml")));
    places.push(PathBuf::from("/etc/openstack/clouds.yaml"));
    places
}

impl Login {
    /// Completes an entry of the configuration; `places` are the files that may be the `clouds.yaml`.
    ///
    /// # Errors
    /// Everything that is missing or cannot be read, in words.
    pub fn complete(access: &Access, places: &[PathBuf]) -> Result<Self, Vec<String>> {
        let mut access = access.clone();
        let mut problems = Vec::new();
        if let Some(name) = access.clouds_yaml.clone() {
            add_clouds_yaml(&mut access, &name, places, &mut problems);
        }
        let mut need = |value: Option<String>, what: &str| {
            let value = value.filter(|text| !text.is_empty());
            if value.is_none() {
                problems.push(format!("{what} is missing"));
            }
            value.unwrap_or_default()
        };
        let auth_url = need(access.auth_url.clone(), "auth_url");
        let identity = match (&access.application_credential_id, &access.application_credential_secret) {
            (Some(id), Some(secret)) => Identity::Application { id: id.clone(), secret: secret.clone() },
            (Some(_), None) => {
                problems.push("application_credential_id needs application_credential_secret".to_owned());
                return Err(problems);
            }
            (None, _) => Identity::Password {
                username: need(access.username.clone(), "username"),
                password: Secret::new(need(
                    access.password.as_ref().map(|p| p.reveal().to_owned()),
                    "password",
                )),
                project: need(access.project_name.clone(), "project_name"),
                user_domain: access.user_domain_name.clone().unwrap_or_else(|| "Default".to_owned()),
                project_domain: access.project_domain_name.clone().unwrap_or_else(|| "Default".to_owned()),
            },
        };
        let auth_url = match version_3(&auth_url) {
            Ok(url) => url,
            Err(problem) => {
                if !auth_url.is_empty() {
                    problems.push(problem);
                }
                String::new()
            }
        };
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            auth_url,
            identity,
            region: access.region_name,
            interface: access.interface.unwrap_or_else(|| "public".to_owned()),
            cacert: access.cacert,
            insecure: access.insecure,
        })
    }

    /// The body of `POST /v3/auth/tokens` (Identity API v3, "Password authentication with scoped authorization" and
    /// "Authenticating with an Application Credential"). Holds the secret.
    #[must_use]
    pub fn request(&self) -> Value {
        match &self.identity {
            Identity::Password { username, user_domain, password, project, project_domain } => {
                json!({"auth": {
                    "identity": {"methods": ["password"], "password": {"user": {
                        "name": username, "domain": domain(user_domain), "password": password.reveal(),
                    }}},
                    "scope": {"project": {"name": project, "domain": domain(project_domain)}},
                }})
            }
            Identity::Application { id, secret } => json!({"auth": {"identity": {
                "methods": ["application_credential"],
                "application_credential": {"id": id, "secret": secret.reveal()},
            }}}),
        }
    }
}

/// Keystone's own domain is known by its id `default` everywhere, and by its name only in some capitals.
fn domain(name: &str) -> Value {
    if name.eq_ignore_ascii_case("default") { json!({"id": "default"}) } else { json!({"name": name}) }
}

/// The URL of version 3: what sites write ends in `/v3`, `/v3/`, `/v2.0` or in nothing.
fn version_3(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("auth_url {text:?} is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("auth_url {text:?} is neither http:// nor https://"));
    }
    let bare = text.trim_end_matches('/');
    let base = ["/v3", "/v2.0", "/auth/tokens"]
        .into_iter()
        .fold(bare, |url, end| url.strip_suffix(end).unwrap_or(url));
    Ok(format!("{}/v3", base.trim_end_matches("/v3")))
}

fn add_clouds_yaml(access: &mut Access, name: &str, places: &[PathBuf], problems: &mut Vec<String>) {
    let Some(path) = places.iter().find(|path| path.is_file()) else {
        let list: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
        problems.push(format!("there is no clouds.yaml (looked for {})", list.join(", ")));
        return;
    };
    let secure = path.with_file_name("secure.yaml");
    let mut found = false;
    for file in [Some(path.as_path()), secure.is_file().then_some(secure.as_path())].into_iter().flatten() {
        let (document, diagnostics) = campanile_yaml::read_file(file, Schema::Safe);
        if diagnostics.has_errors() {
            // Where, not what: the text of a diagnostic may quote a password.
            let lines: Vec<String> = diagnostics
                .iter()
                .filter_map(|one| one.span)
                .map(|span| span.start.line.to_string())
                .collect();
            problems.push(format!("{} cannot be used: errors in line {}", file.display(), lines.join(", ")));
            continue;
        }
        if let Some(entry) = document.as_ref().and_then(|document| cloud_entry(document, name)) {
            found = true;
            take(access, entry);
        }
    }
    if !found {
        problems.push(format!("{} has no cloud {name:?}", path.display()));
    }
}

fn cloud_entry<'d>(document: &'d Document, name: &str) -> Option<Node<'d>> {
    document.root().get("clouds")?.get(name)
}

/// Takes over what the entry says and the configuration does not.
fn take(access: &mut Access, entry: Node<'_>) {
    let auth = entry.get("auth");
    let text = |key: &str| {
        let inner = auth.and_then(|auth| auth.get(key)).or_else(|| entry.get(key))?;
        inner.text().filter(|_| !inner.is_null()).map(str::to_owned)
    };
    let fill = |slot: &mut Option<String>, keys: &[&str]| {
        if slot.is_none() {
            *slot = keys.iter().find_map(|key| text(key));
        }
    };
    fill(&mut access.auth_url, &["auth_url"]);
    fill(&mut access.username, &["username"]);
    fill(&mut access.project_name, &["project_name", "tenant_name"]);
    fill(&mut access.user_domain_name, &["user_domain_name", "domain_name"]);
    fill(&mut access.project_domain_name, &["project_domain_name", "domain_name"]);
    fill(&mut access.region_name, &["region_name"]);
    fill(&mut access.interface, &["interface"]);
    fill(&mut access.application_credential_id, &["application_credential_id"]);
    if access.password.is_none() {
        access.password = text("password").map(Secret::new);
    }
    if access.application_credential_secret.is_none() {
        access.application_credential_secret = text("application_credential_secret").map(Secret::new);
    }
    if access.cacert.is_none() {
        access.cacert = text("cacert").map(PathBuf::from);
    }
    if text("verify").is_some_and(|verify| matches!(verify.to_lowercase().as_str(), "false" | "no" | "off")) {
        access.insecure = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password_access() -> Access {
        Access {
            auth_url: Some("http://keystone:5000/".to_owned()),
            username: Some("ehos".to_owned()),
            password: Some(Secret::new("s3cret")),
            project_name: Some("p".to_owned()),
            ..Access::default()
        }
    }

    #[test]
    fn every_spelling_of_the_url_of_keystone_leads_to_version_3() {
        for text in
            ["http://k:5000", "http://k:5000/", "http://k:5000/v3", "http://k:5000/v3/", "http://k:5000/v2.0"]
        {
            assert_eq!(version_3(text).unwrap(), "http://k:5000/v3");
        }
        assert_eq!(version_3("https://k/identity/v3").unwrap(), "https://k/identity/v3");
        assert!(version_3("keystone").is_err());
        assert!(version_3("ftp://k/").is_err());
    }

    #[test]
    fn all_that_is_missing_is_said_at_once() {
        let problems = Login::complete(&Access::default(), &[]).unwrap_err();
        let all = problems.join("; ");
        for word in ["auth_url", "username", "password", "project_name"] {
            assert!(all.contains(word), "{all}");
        }
    }

    #[test]
    fn clouds_yaml_fills_in_what_the_configuration_does_not_say() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clouds.yaml");
        std::fs::write(
            &file,
            "clouds:\n  a:\n    region_name: R1\n    auth: {auth_url: 'http://k:5000/v3', username: u, project_name: p}\n",
        )
        .unwrap();
        std::fs::write(dir.path().join("secure.yaml"), "clouds:\n  a:\n    auth: {password: 0123}\n")
            .unwrap();
        let access = Access {
            clouds_yaml: Some("a".to_owned()),
            region_name: Some("R2".to_owned()),
            ..Access::default()
        };
        let login = Login::complete(&access, &[dir.path().join("absent.yaml"), file.clone()]).unwrap();
        assert_eq!(login.region.as_deref(), Some("R2"));
        assert!(matches!(&login.identity, Identity::Password { username, password, .. }
            if username == "u" && password.reveal() == "0123"));
        let missing = Access { clouds_yaml: Some("b".to_owned()), ..Access::default() };
        assert!(Login::complete(&missing, &[file]).unwrap_err()[0].contains("no cloud \"b\""));
    }

    #[test]
    fn an_application_credential_needs_no_user_and_no_project() {
        let access = Access {
            auth_url: Some("http://k:5000".to_owned()),
            application_credential_id: Some("id".to_owned()),
            application_credential_secret: Some(Secret::new("x")),
            ..Access::default()
        };
        let request = Login::complete(&access, &[]).unwrap().request();
        assert_eq!(request["auth"]["identity"]["methods"][0], "application_credential");
        assert!(request["auth"].get("scope").is_none());
    }

    #[test]
    fn no_secret_is_printed() {
        let login = Login::complete(&password_access(), &[]).unwrap();
        assert!(!format!("{login:?}").contains("s3cret"));
        assert_eq!(login.request()["auth"]["identity"]["password"]["user"]["password"], "s3cret");
    }
}
