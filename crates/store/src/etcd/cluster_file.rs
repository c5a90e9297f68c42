//! The file that names the members of an etcd cluster: the original's `etcd.yaml`, and what we add to it.
//!
//! The original's own example repeats the key `members` for every member. YAML keeps the last one of repeated keys; here
//! they are joined, with a warning. `maestro_members` is read, too: with it, the original runs several Maestros.

use std::path::{Path, PathBuf};

use campanile_yaml::{Diagnostics, Kind, Node, Schema};

/// Port of etcd where a member names none.
pub const DEFAULT_PORT: u16 = 2379;

/// An etcd cluster, and how to get into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterFile {
    /// Its name; for people.
    pub name: String,
    /// Its members; at least one.
    pub members: Vec<Member>,
    /// Hosts and ports of Maestros, if there are to be several.
    pub maestro_members: Vec<Member>,
    /// How to speak TLS; none for plain connections.
    pub tls: Option<Tls>,
    /// User, if the cluster wants one.
    pub user: Option<String>,
    /// File with the user's password.
    pub password_file: Option<PathBuf>,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Files for TLS, each in PEM form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of those who sign the members' certificates; the system's where none is named.
    pub ca: Option<PathBuf>,
    /// Our certificate, if the members want one.
    pub cert: Option<PathBuf>,
    /// The key of our certificate.
    pub key: Option<PathBuf>,
    /// The name in the members' certificates, where it is not the host.
    pub server_name: Option<String>,
}

const KEYS: [&str; 4] = ["cluster", "members", "maestro_members", "campanile"];

/// Reads the file. The cluster is to be used only if the diagnostics have no errors.
#[must_use]
pub fn read_cluster_file(path: &Path) -> (ClusterFile, Diagnostics) {
    // What is said about repeated keys in general is replaced by what they mean here.
    let (document, diagnostics) = campanile_yaml::read_file(path, Schema::Safe);
    let Some(document) = document else { return (ClusterFile::default(), diagnostics) };
    let mut all = without_repeated_members(&diagnostics);
    let mut file = ClusterFile::default();
    let Some(root) = document.root().want_map(&mut all) else { return (file, all) };
    root.warn_of_misspelt_keys(&KEYS, &mut all);
    if let Some(name) = root.get("cluster").and_then(|name| name.want_text(&mut all)) {
        name.clone_into(&mut file.name);
    }
    file.members = joined(root, "members", &mut all);
    if file.members.is_empty() {
        let problem = root.error("the file names no `members`");
        all.push(problem.hint("write one entry with `host` and `port` for each member of the etcd cluster"));
    }
    file.maestro_members = joined(root, "maestro_members", &mut all);
    if let Some(section) = root.get("campanile").and_then(|section| section.want_map(&mut all)) {
        access(section, path.parent().unwrap_or(Path::new("")), &mut file, &mut all);
    }
    (file, all)
}

fn without_repeated_members(diagnostics: &Diagnostics) -> Diagnostics {
    let mut kept = Diagnostics::new();
    for diagnostic in diagnostics.iter() {
        let is_repeated_key =
            diagnostic.message.contains("`members`") || diagnostic.message.contains("`maestro_members`");
        if !is_repeated_key {
            kept.push(diagnostic.clone());
        }
    }
    kept
}

/// All lists under one key, however often it is repeated.
fn joined(root: Node<'_>, key: &str, diagnostics: &mut Diagnostics) -> Vec<Member> {
    let mut members = Vec::new();
    let mut first: Option<Node<'_>> = None;
    for (name, list) in root.written_entries().filter(|(name, _)| name.text() == Some(key)) {
        if let Some(first) = first {
            let problem = name.warning(format!("`{key}` is repeated; the lists are joined"));
            let problem = problem.related(first.place(), "it is here, too");
            diagnostics.push(problem.hint(format!("write `{key}` once, with all entries below it")));
        }
        first = first.or(Some(name));
        let Some(list) = list.want_list(diagnostics) else { continue };
        for entry in list.items() {
            members.extend(member(entry, diagnostics));
        }
    }
    members
}

fn member(entry: Node<'_>, diagnostics: &mut Diagnostics) -> Option<Member> {
    let entry = entry.want_map(diagnostics)?;
    entry.warn_of_misspelt_keys(&["host", "port"], diagnostics);
    let Some(host) = entry.get("host") else {
        diagnostics.push(entry.error("this member has no `host`"));
        return None;
    };
    let host = host.want_text(diagnostics)?.to_owned();
    let Some(port) = entry.get("port") else { return Some(Member { host, port: DEFAULT_PORT }) };
    // In quotes or not.
    match port.text().and_then(|text| text.parse().ok()).filter(|port| *port > 0) {
        Some(port) => Some(Member { host, port }),
        None => {
            diagnostics.push(port.error(format!("a port is 1 to 65535, found {}", port.description())));
            None
        }
    }
}

/// `campanile: {tls: {ca, cert, key, server_name}, user, password_file}`.
fn access(section: Node<'_>, dir: &Path, file: &mut ClusterFile, diagnostics: &mut Diagnostics) {
    section.warn_of_misspelt_keys(&["tls", "user", "password_file"], diagnostics);
    let text = |key: &str, from: Node<'_>, diagnostics: &mut Diagnostics| {
        let value = from.get(key).filter(|value| !value.is_null())?;
        value.want_text(diagnostics).map(str::to_owned)
    };
    file.user = text("user", section, diagnostics);
    // Files are named as seen from the file that names them.
    file.password_file = text("password_file", section, diagnostics).map(|name| dir.join(name));
    if let Some(at) = section.get("password_file").filter(|_| file.user.is_none()) {
        diagnostics.push(at.error("there is a `password_file` and no `user`"));
    }
    if let Some(at) = section.get("user").filter(|_| file.password_file.is_none()) {
        let problem = at.error("there is a `user` and no `password_file`");
        diagnostics.push(problem.hint("put the password alone into a file that only its owner can read"));
    }
    let Some(tls) = section.get("tls") else { return };
    if tls.kind() == Kind::Scalar && tls.text() == Some("true") {
        file.tls = Some(Tls::default());
        return;
    }
    let Some(tls) = tls.want_map(diagnostics) else { return };
    tls.warn_of_misspelt_keys(&["ca", "cert", "key", "server_name"], diagnostics);
    let path =
        |key: &str, diagnostics: &mut Diagnostics| text(key, tls, diagnostics).map(|name| dir.join(name));
    let found = Tls {
        ca: path("ca", diagnostics),
        cert: path("cert", diagnostics),
        key: path("key", diagnostics),
        server_name: text("server_name", tls, diagnostics),
    };
    if found.cert.is_some() != found.key.is_some() {
        diagnostics.push(tls.error("`cert` and `key` go together"));
    }
    file.tls = Some(found);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (ClusterFile, Diagnostics) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd.yaml");
        std::fs::write(&path, text).unwrap();
        read_cluster_file(&path)
    }

    fn addresses(members: &[Member]) -> String {
        let members = members.iter().map(|member| format!("{}:{}", member.host, member.port));
        members.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn repeated_members_are_joined_with_a_warning() {
        let (file, said) = read(
            "cluster: voltrino\nmembers:\n  - host: a\n    port: 2379\nmembers:\n  - host: b\n    port: \"2380\"\n\
             members:\n  - host: c\n",
        );
        assert_eq!(addresses(&file.members), "a:2379 b:2380 c:2379");
        assert_eq!((said.error_count(), said.warning_count()), (0, 2), "{}", said.render(false));
        assert!(said.render(false).contains("the lists are joined"));
    }

    #[test]
    fn the_form_of_the_repository_with_maestro_members() {
        let (file, said) = read(
            "cluster: orion\nmembers: [{host: orion-01, port: 2379}, {host: orion-02, port: 2379}]\n\
             maestro_members: [{host: orion-01, port: 4411}]\n",
        );
        assert!(said.is_empty(), "{}", said.render(false));
        assert_eq!(file.name, "orion");
        assert_eq!(addresses(&file.members), "orion-01:2379 orion-02:2379");
        assert_eq!(addresses(&file.maestro_members), "orion-01:4411");
    }

    #[test]
    fn what_is_wrong_is_said_all_at_once() {
        let (_, said) =
            read("members:\n  - port: 1\n  - {host: a, port: 0}\ncampanile: {user: x, tls: {cert: c}}\n");
        let text = said.render(false);
        for expected in ["no `host`", "a port is 1 to 65535", "no `password_file`", "go together"] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert!(read("cluster: x\n").1.has_errors());
    }
}
