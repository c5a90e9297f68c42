//! Authentication as a user names it: a plugin and its options (`-a ovis -A conf=/path`).

use std::path::Path;

use super::secret::{self, SecretError};
use super::{Auth, NAIVE_DEFAULT};

/// Why a plugin and its options are no way to authenticate.
#[derive(Debug, thiserror::Error)]
pub enum AuthConfigError {
    /// A plugin this program does not have.
    #[error("authentication plugin '{0}' is not known; none, naive, ovis and munge are")]
    UnknownPlugin(String),
    /// An option the plugin does not have.
    #[error("authentication plugin '{plugin}' has no option '{option}'{}", hint(.plugin))]
    UnknownOption {
        /// The plugin.
        plugin: &'static str,
        /// The option.
        option: String,
    },
    /// An option whose value is not what it must be.
    #[error("option {option}={value} of authentication plugin '{plugin}' is not a number")]
    BadNumber {
        /// The plugin.
        plugin: &'static str,
        /// The option.
        option: String,
        /// Its value.
        value: String,
    },
    /// The secret of `ovis` cannot be had.
    #[error("authentication plugin 'ovis' has no secret")]
    Secret(#[from] SecretError),
}

fn hint(plugin: &str) -> &'static str {
    match plugin {
        "naive" => "; it has uid and gid",
        "ovis" => "; it has conf",
        "munge" => "; it has socket",
        _ => "",
    }
}

/// The way to authenticate that `plugin` with these options means. Reads the secret file of `ovis`.
///
/// # Errors
/// When the plugin or an option is unknown, or the secret cannot be had.
pub fn load(
    plugin: &str,
    options: &[(String, String)],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Auth, AuthConfigError> {
    let only = |plugin: &'static str, known: &[&str]| {
        let unknown = options.iter().find(|(option, _)| !known.contains(&option.as_str()));
        unknown.map_or(Ok(()), |(option, _)| {
            Err(AuthConfigError::UnknownOption { plugin, option: option.clone() })
        })
    };
    let value = |name: &str| options.iter().rev().find(|(option, _)| option == name).map(|(_, value)| value);
    match plugin {
        "none" => {
            only("none", &[])?;
            Ok(Auth::None)
        }
        "naive" => {
            only("naive", &["uid", "gid"])?;
            let number = |option: &str| match value(option) {
                None => Ok(NAIVE_DEFAULT),
                Some(value) => value.parse().map_err(|_| AuthConfigError::BadNumber {
                    plugin: "naive",
                    option: option.to_owned(),
                    value: value.clone(),
                }),
            };
            Ok(Auth::Naive { uid: number("uid")?, gid: number("gid")? })
        }
        "ovis" => {
            only("ovis", &["conf"])?;
            let secret = match value("conf") {
                Some(path) => secret::read(Path::new(path))?,
                None => secret::find(env)?,
            };
            Ok(Auth::Ovis(secret))
        }
        "munge" => {
            only("munge", &["socket"])?;
            Ok(Auth::Munge { socket: value("socket").map(Into::into) })
        }
        other => Err(AuthConfigError::UnknownPlugin(other.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(option, value)| ((*option).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn plugins_and_their_options_are_checked() {
        let env = |_: &str| None;
        assert_eq!(load("none", &[], &env).unwrap(), Auth::None);
        let naive = load("naive", &options(&[("uid", "0"), ("gid", "5")]), &env).unwrap();
        assert_eq!(naive, Auth::Naive { uid: 0, gid: 5 });
        assert_eq!(load("naive", &[], &env).unwrap(), Auth::Naive { uid: 65534, gid: 65534 });
        let munge = load("munge", &options(&[("socket", "/run/m")]), &env).unwrap();
        assert_eq!(munge, Auth::Munge { socket: Some("/run/m".into()) });
        let says = |plugin, list| load(plugin, &options(list), &env).unwrap_err().to_string();
        assert_eq!(
            says("kerberos", &[]),
            "authentication plugin 'kerberos' is not known; none, naive, ovis and munge are"
        );
        assert_eq!(
            says("ovis", &[("secret", "x")]),
            "authentication plugin 'ovis' has no option 'secret'; it has conf"
        );
        assert_eq!(
            says("naive", &[("uid", "root")]),
            "option uid=root of authentication plugin 'naive' is not a number"
        );
        assert_eq!(says("ovis", &[("conf", "relative")]), "authentication plugin 'ovis' has no secret");
    }
}
