//! Which file is the site config.

use std::path::{Path, PathBuf};

use campanile_yaml::Diagnostic;

use super::SiteArgs;
use super::pick::listed;
use super::select::{SelectError, SelectErrorKind};

/// The site config file that the options and the environment mean; `None` with `--site none`.
///
/// # Errors
/// Both `--site` and `--site-file` are given, or neither they nor `OCS_CONFIG_DIR` say where the file is, or it is not
/// there.
pub fn find_file(
    args: &SiteArgs,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<PathBuf>, SelectError> {
    let usage = |problem: Diagnostic| Err(SelectError::new(SelectErrorKind::Usage, problem));
    match (args.site.as_deref(), &args.site_file) {
        (Some("none"), _) => Ok(None),
        (Some(_), Some(_)) => {
            let problem = Diagnostic::error("--site and --site-file cannot be given together");
            usage(problem.hint("--site NAME means the file $OCS_CONFIG_DIR/NAME.yaml; give one of the two"))
        }
        (None, Some(file)) => Ok(Some(file.clone())),
        (site, None) => {
            let name = format!("{}.yaml", site.unwrap_or("default"));
            let Some(dir) = env("OCS_CONFIG_DIR").filter(|dir| !dir.is_empty()) else {
                let problem = Diagnostic::error("no site config file is given");
                let hint = "give --site-file FILE, or set OCS_CONFIG_DIR to the directory of default.yaml";
                return usage(problem.hint(hint));
            };
            let file = Path::new(&dir).join(&name);
            if file.exists() {
                return Ok(Some(file));
            }
            let problem =
                Diagnostic::error(format!("the site config file {} does not exist", file.display()));
            let hint = match sites_in(Path::new(&dir)) {
                sites if sites.is_empty() => {
                    "OCS_CONFIG_DIR names a directory without any; see --site-file".to_owned()
                }
                sites => {
                    format!("there are the sites {} (--site NAME)", listed(sites.iter().map(String::as_str)))
                }
            };
            Err(SelectError::new(SelectErrorKind::File, problem.hint(hint)))
        }
    }
}

/// The names that `--site` could have.
fn sites_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut sites: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(".yaml")?.to_owned())).collect();
    sites.sort();
    sites
}
