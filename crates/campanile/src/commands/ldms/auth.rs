//! How commands authenticate to ldmsd: the options `-a` and `-A` of its own programs.

use campanile_ldms::auth::{Auth, config};

use crate::failure::Failure;

/// The options.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct AuthArgs {
    /// How to authenticate: none, naive, ovis or munge
    #[arg(short = 'a', long, value_name = "PLUGIN", default_value = "none")]
    auth: String,
    /// An option of the plugin, as often as needed: conf=FILE (ovis), uid=N and gid=N (naive), socket=PATH (munge)
    #[arg(short = 'A', long, value_name = "KEY=VALUE", value_parser = key_value)]
    auth_arg: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
}

impl AuthArgs {
    /// The way to authenticate; reads the secret file of `ovis`.
    pub(crate) fn load(&self) -> Result<Auth, Failure> {
        let env = |name: &str| std::env::var(name).ok();
        config::load(&self.auth, &self.auth_arg, &env).map_err(|error| {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(source) = cause {
                text = format!("{text}: {source}");
                cause = source.source();
            }
            Failure::Usage(text)
        })
    }
}
