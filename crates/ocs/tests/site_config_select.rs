//! Which file, host and instance the options and the environment mean.
#![expect(clippy::expect_used, reason = "a test that cannot go on must end, saying why")]

use std::path::{Path, PathBuf};

use campanile_ocs::site_config::{Mode, SelectError, SelectErrorKind, Selected, SiteArgs, find_file, select};
use clap::Parser as _;

const SITE: &str = "\
hub: {wamp_server: 'ws://h:8001/ws', wamp_http: 'http://h:8001/call', wamp_realm: r, address_root: obs}
hosts:
  host-1:
    log-dir: logs
    wamp_realm: other
    agent-instances:
    - {agent-class: A, instance-id: a1, arguments: [--mode, idle]}
    - {agent-class: A, instance-id: a2}
    - {agent-class: B, instance-id: b}
    - {agent-class: C, instance-id: c, manage: nonsense}
  broken: {agent-instances: 3}
";

struct Dir(tempfile::TempDir);

impl Dir {
    fn with(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a directory can be made");
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).expect("a file can be written");
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self) -> String {
        self.0.path().display().to_string()
    }
}

fn no_env(_: &str) -> Option<String> {
    None
}

fn on(file: &Path) -> SiteArgs {
    SiteArgs { site_file: Some(file.to_path_buf()), ..SiteArgs::default() }
}

#[track_caller]
fn refused(result: Result<Selected, SelectError>, kind: SelectErrorKind) -> String {
    let error = result.expect_err("it is refused");
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.diagnostics.has_errors());
    error.diagnostics.iter().map(|item| item.one_line()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_file_is_that_of_the_option_or_of_the_site_or_the_default_one() {
    let dir = Dir::with(&[("default.yaml", SITE), ("lab.yaml", SITE)]);
    let env = |name: &str| (name == "OCS_CONFIG_DIR").then(|| dir.text());
    let find = |args: &SiteArgs| find_file(args, &env).expect("it is found").expect("there is one");
    assert_eq!(find(&SiteArgs::default()), dir.path("default.yaml"));
    assert_eq!(find(&SiteArgs { site: Some("lab".into()), ..SiteArgs::default() }), dir.path("lab.yaml"));
    assert_eq!(find(&on(Path::new("x/y.yaml"))), Path::new("x/y.yaml"));
    let selected = select(Mode::Control, &SiteArgs::default(), "elsewhere", &env).expect("it is found");
    assert_eq!(selected.site.path, dir.path("default.yaml"));
    assert!(selected.host.is_none() && selected.instance.is_none());
}

#[test]
fn without_any_file_the_user_is_told_what_to_do() {
    for env in [no_env as fn(&str) -> Option<String>, |_| Some(String::new())] {
        let said = refused(select(Mode::Control, &SiteArgs::default(), "h", &env), SelectErrorKind::Usage);
        assert!(said.contains("--site-file") && said.contains("OCS_CONFIG_DIR"), "{said}");
    }
    let both = SiteArgs { site: Some("lab".into()), ..on(Path::new("x.yaml")) };
    assert!(
        refused(select(Mode::Control, &both, "h", &no_env), SelectErrorKind::Usage)
            .contains("--site and --site-file")
    );
}

#[test]
fn an_unknown_site_is_answered_with_those_that_exist() {
    let dir = Dir::with(&[("lab.yaml", SITE), ("field.yaml", SITE), ("notes.txt", "")]);
    let env = |_: &str| Some(dir.text());
    let said = refused(select(Mode::Control, &SiteArgs::default(), "h", &env), SelectErrorKind::File);
    assert!(said.contains("default.yaml does not exist") && said.contains("the sites field, lab"), "{said}");
    let missing =
        refused(select(Mode::Control, &on(&dir.path("no.yaml")), "h", &no_env), SelectErrorKind::File);
    assert!(missing.contains("cannot read the file"), "{missing}");
}

#[test]
fn site_none_needs_no_file_but_all_of_the_options() {
    let mut args =
        SiteArgs { site: Some("none".into()), site_hub: Some("ws://x/ws".into()), ..SiteArgs::default() };
    let said = refused(select(Mode::Agent("A"), &args, "h", &no_env), SelectErrorKind::Usage);
    assert!(said.contains("--site-realm and --address-root"), "{said}");
    args.site_realm = Some("r".into());
    args.address_root = Some("obs".into());
    let selected = select(Mode::Agent("A"), &args, "h", &no_env).expect("it is enough");
    assert_eq!((selected.site.path, selected.site.hub.wamp_server.as_str()), (PathBuf::new(), "ws://x/ws"));
    assert!(selected.host.is_none() && selected.instance.is_none());
}

#[test]
fn the_block_of_the_machine_is_taken_else_that_of_localhost() {
    let text = format!("{SITE}  localhost: {{agent-instances: []}}\n");
    let dir = Dir::with(&[("site.yaml", &text)]);
    let args = on(&dir.path("site.yaml"));
    let name = |args: &SiteArgs, hostname| {
        let selected = select(Mode::Host, args, hostname, &no_env).expect("there is one");
        (
            selected.host.expect("it is there").name,
            selected.diagnostics.iter().filter(|item| item.span.is_none()).count(),
        )
    };
    assert_eq!(name(&args, "host-1"), ("host-1".to_owned(), 0));
    assert_eq!(name(&args, "elsewhere"), ("localhost".to_owned(), 0));
    let asked = SiteArgs { site_host: Some("host1".into()), ..args };
    assert_eq!(
        name(&asked, "host-1"),
        ("localhost".to_owned(), 1),
        "the fall-back of an explicit name is worth a warning"
    );
}

#[test]
fn a_missing_block_is_an_error_for_a_host_and_none_for_a_client() {
    let dir = Dir::with(&[("site.yaml", SITE)]);
    let args = on(&dir.path("site.yaml"));
    let said = refused(select(Mode::Host, &args, "host1", &no_env), SelectErrorKind::Host);
    assert!(said.contains("no host `host1`") && said.contains("did you mean `host-1`?"), "{said}");
    let said = refused(select(Mode::Host, &args, "faraway", &no_env), SelectErrorKind::Host);
    assert!(said.contains("it has host-1, broken; choose one with --site-host"), "{said}");
    assert!(select(Mode::Control, &args, "faraway", &no_env).expect("a client needs none").host.is_none());
}

#[test]
fn a_broken_block_stops_its_own_host_and_nobody_else() {
    let dir = Dir::with(&[("site.yaml", SITE)]);
    let args = on(&dir.path("site.yaml"));
    let said = refused(select(Mode::Host, &args, "broken", &no_env), SelectErrorKind::Host);
    assert!(said.contains("the block of host `broken` is unusable: line 11: expected a list"), "{said}");
    let client = select(Mode::Control, &args, "broken", &no_env).expect("a client goes on");
    assert!(client.host.is_none() && client.diagnostics.has_errors());
    let other = select(Mode::Host, &args, "host-1", &no_env).expect("another host goes on");
    assert_eq!(other.host.expect("it is there").instances.len(), 4);
}

#[test]
fn the_block_overrides_the_hub_and_the_options_override_both() {
    let dir = Dir::with(&[("site.yaml", SITE)]);
    let mut args = on(&dir.path("site.yaml"));
    args.working_dir = Some("/srv".into());
    let selected = select(Mode::Host, &args, "host-1", &no_env).expect("it is there");
    assert_eq!(selected.site.hub.wamp_realm, "other");
    assert_eq!(selected.host.expect("it is there").log_dir, Some("/srv/logs".into()));
    args.site_realm = Some("mine".into());
    args.site_http = Some("https://x/call".into());
    args.access_policy = Some("none".into());
    args.log_dir = Some("/abs".into());
    args.crossbar_timeout = Some(0);
    let selected = select(Mode::Host, &args, "host-1", &no_env).expect("it is there");
    let (hub, host) = (selected.site.hub, selected.host.expect("it is there"));
    assert_eq!((hub.wamp_realm.as_str(), hub.wamp_http.as_deref()), ("mine", Some("https://x/call")));
    assert_eq!((hub.access_policy.as_deref(), hub.address_root.as_str()), (Some("none"), "obs"));
    assert_eq!((host.log_dir, host.crossbar_timeout_s), (Some("/abs".into()), 0));
}

#[test]
fn wrong_options_are_all_reported_at_once() {
    let args = SiteArgs {
        site_hub: Some("http://x".into()),
        site_http: Some("nonsense".into()),
        address_root: Some("a b".into()),
        ..SiteArgs::default()
    };
    let said = refused(select(Mode::Control, &args, "h", &no_env), SelectErrorKind::Usage);
    assert_eq!(said.lines().count(), 3, "{said}");
}

#[test]
fn an_instance_is_found_by_id_or_by_a_class_that_only_it_has() {
    let dir = Dir::with(&[("site.yaml", SITE)]);
    let mut args = on(&dir.path("site.yaml"));
    let pick = |class, args: &SiteArgs| select(Mode::Agent(class), args, "host-1", &no_env);
    let id = |selected: Selected| selected.instance.expect("it is there").instance_id;
    assert_eq!(id(pick("B", &args).expect("it is unique")), "b");
    let said = refused(pick("A", &args), SelectErrorKind::Instance);
    assert!(
        said.contains("several instances of the class A") && said.contains("--instance-id: a1, a2"),
        "{said}"
    );
    let said = refused(pick("Z", &args), SelectErrorKind::Instance);
    assert!(said.contains("no instance of the class Z") && said.contains("it has A, B, C"), "{said}");
    args.instance_id = Some("a2".into());
    assert_eq!(id(pick("A", &args).expect("it is named")), "a2");
    assert_eq!(id(pick("B", &args).expect("with an id the class is not asked")), "a2");
}

#[test]
fn an_unknown_or_disabled_instance_is_refused_with_the_reason() {
    let text = format!("{SITE}  host-2: {{agent-instances: [{{agent-class: A, instance-id: far}}]}}\n");
    let dir = Dir::with(&[("site.yaml", &text)]);
    let pick = |id: &str| {
        let args = SiteArgs { instance_id: Some(id.into()), ..on(&dir.path("site.yaml")) };
        refused(select(Mode::Agent("A"), &args, "host-1", &no_env), SelectErrorKind::Instance)
    };
    assert!(pick("far").contains("host host-2 has it: --site-host host-2"));
    assert!(pick("a3").contains("did you mean `a1`?"));
    assert!(pick("something").contains("it has a1, a2, b, c"));
    assert!(pick("c").contains("the entry of c is disabled: line 10: unknown value `nonsense` of `manage`"));
}

#[test]
fn an_unusable_file_is_reported_with_everything_that_is_wrong() {
    let dir = Dir::with(&[(
        "site.yaml",
        "hub: {wamp_server: x}\nhosts: {a: {agent-instances: [{manage: nope}]}}\n",
    )]);
    let said =
        refused(select(Mode::Control, &on(&dir.path("site.yaml")), "h", &no_env), SelectErrorKind::File);
    for part in [
        "is not a URL",
        "`wamp_realm` is missing",
        "`address_root` is missing",
        "`nope`",
        "`instance-id` is missing",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[derive(clap::Parser)]
struct Options {
    #[command(flatten)]
    site: SiteArgs,
}

#[test]
fn the_options_have_the_names_of_ocs_and_the_last_one_counts() {
    let words = "x --site s --site-file f --site-host h --site-hub u --site-http t --site-realm r --instance-id i --address-root a \
                 --registry-address g --log-dir l --working-dir w --crossbar-timeout 5 --access-policy p --site-host=h2";
    let args = Options::try_parse_from(words.split_whitespace()).expect("they are known").site;
    let expected = SiteArgs {
        site: Some("s".into()),
        site_file: Some("f".into()),
        site_host: Some("h2".into()),
        site_hub: Some("u".into()),
        site_http: Some("t".into()),
        site_realm: Some("r".into()),
        instance_id: Some("i".into()),
        address_root: Some("a".into()),
        registry_address: Some("g".into()),
        log_dir: Some("l".into()),
        working_dir: Some("w".into()),
        crossbar_timeout: Some(5),
        access_policy: Some("p".into()),
    };
    assert_eq!(args, expected);
}

#[test]
fn the_arguments_of_the_entry_and_of_the_command_line_are_merged() {
    let dir = Dir::with(&[("site.yaml", SITE)]);
    let args = SiteArgs { instance_id: Some("a1".into()), ..on(&dir.path("site.yaml")) };
    let instance = select(Mode::Agent("A"), &args, "host-1", &no_env)
        .expect("it is there")
        .instance
        .expect("it is there");
    assert_eq!(instance.merged_arguments(["--mode=acq"]), ["--mode=acq", "--instance-id", "a1"]);
    assert_eq!(instance.merged_arguments(["--instance-id", "a1"]), ["--mode", "idle", "--instance-id", "a1"]);
    assert_eq!(instance.merged_arguments(Vec::<String>::new()), ["--mode", "idle", "--instance-id", "a1"]);
}

#[test]
fn a_wrong_access_policy_stops_agents_but_no_clients_and_its_passwords_never_show() {
    let policy = "overide:swordfish,x";
    let dir =
        Dir::with(&[("site.yaml", &SITE.replacen("obs}", &format!("obs, access_policy: '{policy}'}}"), 1))]);
    let here = SiteArgs { instance_id: Some("a1".into()), ..on(&dir.path("site.yaml")) };
    let error = select(Mode::Agent("A"), &here, "host-1", &no_env).expect_err("no agent may run");
    assert_eq!(error.kind, SelectErrorKind::File);
    let said = format!("{} {error}", error.diagnostics.render(false));
    assert!(said.contains("invalid access policy") && said.contains("access_policy: ****"), "{said}");
    assert!(!said.contains("swordfish"), "{said}");
    assert!(select(Mode::Control, &here, "host-1", &no_env).is_ok());
    // The option counts, not the file.
    let with_option = |policy: &str| SiteArgs { access_policy: Some(policy.into()), ..here.clone() };
    assert!(select(Mode::Agent("A"), &with_option("director:d"), "host-1", &no_env).is_ok());
    let error =
        select(Mode::Agent("A"), &with_option(policy), "host-1", &no_env).expect_err("a wrong option");
    assert_eq!(error.kind, SelectErrorKind::Usage);
    assert!(
        error.to_string().contains("--access-policy") && !error.to_string().contains("swordfish"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_beside_a_policy_is_shown_without_its_passwords() {
    for text in [
        "{hub: {wamp_server: nowhere, wamp_realm: r, access_policy: 'override:swordfish,tuna'}}\n",
        "hub:\n  access_policy: override:swordfish: tuna\n",
        "hub:\n  access_policy: 'override:swordfish,tuna\n",
    ] {
        let dir = Dir::with(&[("site.yaml", text)]);
        let (_, diagnostics) = campanile_ocs::site_config::load(&dir.path("site.yaml"));
        let said = format!("{}{}", diagnostics.render(false), diagnostics.to_json());
        assert!(diagnostics.has_errors() && said.contains("access_policy"), "{said}");
        assert!(!said.contains("swordfish") && !said.contains("tuna"), "{said}");
    }
}
