//! Where EHOS looks for its files.

use std::path::{Path, PathBuf};

/// The places, in their order; the first that has the file counts.
pub const SEARCH_PATH: [&str; 13] = [
    "/etc/ehos",
    "/usr/local/etc/ehos",
    "/usr/local/etc",
    "../etc",
    "etc",
    "etc/ehos",
    "/usr/share/ehos",
    "/usr/local/share/ehos",
    "../share",
    "../share/ehos",
    "share",
    "share/ehos",
    ".",
];

/// A file by the rules of EHOS: as it is named, else beside the configuration (`base`), else in [`SEARCH_PATH`], where
/// what begins without `/` lies below `working_dir`. `etc` comes before `share`, so an altered file takes precedence
/// over the one that ships.
#[must_use]
pub fn find_file(name: &Path, base: &Path, working_dir: &Path) -> Option<PathBuf> {
    let is_file = |path: &PathBuf| path.is_file();
    if name.is_absolute() {
        return Some(name.to_owned()).filter(is_file);
    }
    let first = [working_dir.join(name), base.join(name)];
    let places = SEARCH_PATH.iter().map(|place| working_dir.join(place).join(name));
    first.into_iter().chain(places).find(is_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_altered_in_etc_comes_before_what_ships_in_share() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        let find = |name: &str| find_file(Path::new(name), Path::new("/nowhere"), dir.path());
        assert_eq!(find("execute.yaml"), None);
        write("share/ehos/execute.yaml");
        assert_eq!(find("execute.yaml"), Some(dir.path().join("share/ehos/execute.yaml")));
        write("etc/execute.yaml");
        assert_eq!(find("execute.yaml"), Some(dir.path().join("etc/execute.yaml")));
        write("execute.yaml");
        assert_eq!(find("execute.yaml"), Some(dir.path().join("execute.yaml")));
    }
}
