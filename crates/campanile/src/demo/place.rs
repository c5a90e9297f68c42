//! The directory of a demo: its site config, logs, state, and the commands under their usual names.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use campanile_yaml::{Document, Schema, Span};
use tempfile::TempDir;

/// The site config that comes with the program.
pub(crate) const BUILT_IN_SITE: &str = include_str!("../../../../examples/demo-site.yaml");
/// The port that an OCS site usually has, taken when it is free.
const USUAL_PORT: u16 = 8001;

/// The directory. It is removed with the value, unless it shall be kept.
pub(crate) struct Place {
    dir: TempDir,
    /// Environment of everything that the demo starts, by which the last of it is found at the end.
    pub(crate) mark: String,
}

impl Place {
    /// Makes the directory and the names of the commands in it.
    pub(crate) fn create(keep: bool) -> anyhow::Result<Self> {
        let mut dir = tempfile::Builder::new()
            .prefix("campanile-demo-")
            .tempdir()
            .context("cannot make a directory for the demo")?;
        dir.disable_cleanup(keep);
        let mark = dir.path().display().to_string();
        let place = Self { dir, mark };
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        for path in [place.bin(), place.state(), place.dir.path().join("log")] {
            std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        for name in ["campanile", "ocsbow"] {
            symlink(&program, place.bin().join(name)).context("cannot link the commands")?;
        }
        Ok(place)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where `campanile` and `ocsbow` are.
    pub(crate) fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    /// The HostManagers' state.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The site config, under the name that every OCS program looks for.
    pub(crate) fn site_file(&self) -> PathBuf {
        self.dir.path().join("default.yaml")
    }

    /// Writes the site config, and a file that a shell can source to use the site.
    pub(crate) fn write(&self, site: &str) -> anyhow::Result<()> {
        let write = |path: &Path, text: &str| {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write(&self.site_file(), site)?;
        write(&self.env_file(), &self.env_text())
    }

    /// To be sourced by a shell.
    pub(crate) fn env_file(&self) -> PathBuf {
        self.dir.path().join("env")
    }

    fn env_text(&self) -> String {
        let quote = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
        format!(
            "# Source this to use the site of the demo: . {}\nexport OCS_CONFIG_DIR={}\nexport STATE_DIRECTORY={}\n\
             export PATH={}:\"$PATH\"\n",
            self.env_file().display(),
            quote(self.dir.path()),
            quote(&self.state()),
            quote(&self.bin()),
        )
    }
}

/// A port of this machine that nobody listens on: the usual one of OCS sites if it is `preferred` and free, else any.
pub(crate) fn free_port(preferred: bool) -> io::Result<u16> {
    let at = |port| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let listener = if preferred { at(USUAL_PORT).or_else(|_| at(0))? } else { at(0)? };
    Ok(listener.local_addr()?.port())
}

/// The same site with its router on this port of this machine; everything else stays as it was written.
///
/// `None` when the text is no site config in which a hub could be found.
pub(crate) fn with_router_at(site: &str, port: u16) -> Option<String> {
    let (document, _) = campanile_yaml::parse("site.yaml".as_ref(), site.as_bytes(), Schema::Safe);
    let mut changes: Vec<(Span, String)> = Vec::new();
    let document = document?;
    urls(&document, port, &mut changes);
    // From the end, so that the places before stay where they are.
    changes.sort_by_key(|(span, _)| span.start.offset);
    let mut text = site.strip_prefix('\u{feff}').unwrap_or(site).to_owned();
    for (span, url) in changes.iter().rev() {
        let range = span.start.offset as usize..span.end.offset as usize;
        text.get(range.clone())?;
        text.replace_range(range, &format!("\"{url}\""));
    }
    Some(text)
}

fn urls(document: &Document, port: u16, changes: &mut Vec<(Span, String)>) {
    let root = document.root();
    let hosts = root.get("hosts");
    let blocks = root
        .get("hub")
        .into_iter()
        .chain(hosts.into_iter().flat_map(|hosts| hosts.entries().map(|(_, host)| host)));
    for block in blocks {
        for (key, scheme, path) in [("wamp_server", "ws", "ws"), ("wamp_http", "http", "call")] {
            if let Some(url) = block.get(key).filter(|url| url.text().is_some_and(|text| !text.is_empty())) {
                let change = (url.span(), format!("{scheme}://127.0.0.1:{port}/{path}"));
                // Two blocks may share one anchor.
                if !changes.contains(&change) {
                    changes.push(change);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_routers_place_changes_in_the_site_config() {
        let moved = with_router_at(BUILT_IN_SITE, 4711).unwrap();
        let expected = BUILT_IN_SITE
            .replace("ws://127.0.0.1:8001/ws", "\"ws://127.0.0.1:4711/ws\"")
            .replace("http://127.0.0.1:8001/call", "\"http://127.0.0.1:4711/call\"");
        assert_eq!(moved, expected);
    }

    #[test]
    fn a_hub_elsewhere_and_the_overrides_of_hosts_move_too() {
        let site = "hub: {wamp_server: 'ws://host-2:8001/ws', wamp_realm: r, address_root: a}\n\
                    hosts:\n  h: {wamp_server: ws://other/ws, agent-instances: []}\n";
        let moved = with_router_at(site, 9).unwrap();
        assert_eq!(
            moved,
            "hub: {wamp_server: \"ws://127.0.0.1:9/ws\", wamp_realm: r, address_root: a}\n\
             hosts:\n  h: {wamp_server: \"ws://127.0.0.1:9/ws\", agent-instances: []}\n"
        );
    }

    #[test]
    fn the_directory_has_the_commands_and_goes_with_the_demo() {
        let place = Place::create(false).unwrap();
        place.write("hub: {}\n").unwrap();
        let dir = place.path().to_owned();
        assert!(dir.join("bin/ocsbow").is_symlink());
        let env = std::fs::read_to_string(dir.join("env")).unwrap();
        assert!(env.contains(&format!("export OCS_CONFIG_DIR='{}'\n", dir.display())), "{env}");
        drop(place);
        assert!(!dir.exists());
    }
}
