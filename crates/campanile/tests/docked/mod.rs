//! Docker on a whole site and a real engine: our HostManager beside the original one over the same services, with the site's
//! own files, driven by the original client.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use campanile_testkit::{
    Daemon, DockerEngine, Peers, TempSite, bridge_call, free_port, require_program, wait_until,
};
use serde_json::{Value, json};

use crate::world::{self, HOST, MANAGER, SOON, faker, ours};

struct Docked {
    engine: DockerEngine,
    peers: Peers,
    site: TempSite,
    _router: Daemon,
}

impl Docked {
    #[track_caller]
    fn start(
        engine: Option<DockerEngine>,
        instances: &[Value],
        options: &[&str],
        compose: &str,
    ) -> Option<Self> {
        let (engine, peers) = (engine?, Peers::require()?);
        let mut all = vec![TempSite::instance("HostManager", MANAGER, &json!({ "arguments": options }))];
        all.extend_from_slice(instances);
        let site = TempSite::new(free_port(), &json!({ HOST: { "agent-instances": all } }));
        std::fs::write(site.dir().join("docker-compose.yaml"), compose).unwrap();
        let router = world::our_router(&site);
        Some(Self { engine, peers, site, _router: router })
    }

    /// The HostManager of the Python package, with this engine.
    fn original(&self) -> Daemon {
        let mut command = Command::new(self.peers.python());
        command.args(["-m", "ocs.agents.host_manager.agent", "--instance-id", MANAGER]);
        command.args(self.site.args(HOST)).arg("--working-dir").arg(self.site.dir());
        self.engine.environment(&mut command);
        command.env("PYTHONUNBUFFERED", "1").current_dir(self.site.dir());
        Daemon::spawn("the original HostManager", command)
    }

    fn ours(&self, extra: &[&str]) -> Daemon {
        Daemon::spawn("campanile host", self.command(ours("host"), "state", extra))
    }

    fn command(&self, mut command: Command, state: &str, extra: &[&str]) -> Command {
        command.args(self.site.args(HOST)).arg("--python").arg(self.peers.python());
        command.arg("--state-dir").arg(self.site.dir().join(state));
        command.arg("--working-dir").arg(self.site.dir()).args(extra);
        self.engine.environment(&mut command);
        command
    }

    /// Our HostManager as an ordinary user who is in this group, too, and sees our programs wherever they are.
    fn as_user(&self, group: u32) -> Daemon {
        let programs = self.site.dir().join("programs");
        fs::create_dir_all(&programs).unwrap();
        for name in ["campanile", "docker-compose"] {
            fs::write(programs.join(name), "").unwrap();
        }
        let script = "mount --bind \"$1\" \"$3/campanile\" && mount --bind \"$2\" \"$3/docker-compose\" && cd \"$3\" && \
                      exec setpriv --reuid=54321 --regid=54321 --groups=\"$4\" --no-new-privs ./campanile \"${@:5}\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "bash", "-c", script, "bash"]);
        command.arg(env!("CARGO_BIN_EXE_campanile")).arg(DockerEngine::compose()).arg(&programs);
        command.arg(group.to_string()).arg("host");
        let compose = programs.join("docker-compose").display().to_string();
        let mut command = self.command(command, "state-of-user", &["--docker-compose-bin", &compose]);
        command.env_remove("OCS_CONFIG_DIR").env_remove("STATE_DIRECTORY").env("HOME", &programs);
        // The plugins lie where this user may not look.
        command.env_remove("DOCKER_CONFIG");
        Daemon::spawn("campanile host", command)
    }

    fn ops(&self, args: Value) -> Option<Value> {
        bridge_call(self.site.port(), &self.site.address(&format!("{MANAGER}.ops")), args).ok()
    }

    fn data(&self) -> Option<Value> {
        self.ops(json!(["status", "manager"])).map(|reply| reply[2]["data"].clone())
    }

    fn seen(&self, id: &str) -> Option<[String; 3]> {
        let data = self.data()?;
        let child = data["child_states"].as_array()?.iter().find(|child| child["instance_id"] == id)?.clone();
        let word = |key: &str| child[key].as_str().map(str::to_owned);
        Some([word("agent_class")?, word("target_state")?, word("next_action")?])
    }

    #[track_caller]
    fn until(&self, id: &str, what: [&str; 3]) {
        wait_until(SOON, &format!("{id} is {what:?}"), || self.seen(id).is_some_and(|seen| seen == what));
    }

    /// What both HostManagers tell of the same services, in the keys of the original. The times differ.
    fn documented(&self) -> Value {
        let data = self.data().unwrap();
        let keys = [
            "next_action",
            "target_state",
            "stability",
            "agent_class",
            "instance_id",
            "operable",
            "restart_required",
        ];
        let mut children: Vec<Value> = data["child_states"]
            .as_array()
            .unwrap()
            .iter()
            .map(|child| {
                keys.iter()
                    .map(|key| ((*key).to_owned(), child[*key].clone()))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            })
            .collect();
        children.sort_by_key(|child| child["instance_id"].to_string());
        let parsed: serde_json::Map<String, Value> = data["config_parse_status"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(file, status)| (file.clone(), json!([status[0], status[2]])))
            .collect();
        let (orphans, new_tags) = (&data["orphans"], &data["new_tags"]);
        json!({ "child_states": children, "config_parse_status": parsed, "orphans": orphans, "new_tags": new_tags })
    }

    #[track_caller]
    fn die(&self, daemon: &mut Daemon, disown_dockers: bool) {
        let reply = self.ops(json!(["start", "die", { "disown_dockers": disown_dockers }])).unwrap();
        assert_eq!(reply[0], 0, "{reply}");
        daemon.wait(SOON);
    }
}

fn service(name: &str) -> String {
    format!(
        "  {name}:\n    image: {}\n    network_mode: none\n    command: [\"/bin/sh\", \"-c\", \"trap 'exit 0' TERM; sleep \
         100000 & wait\"]\n",
        DockerEngine::IMAGE
    )
}

#[test]
fn the_original_and_ours_tell_the_same_of_the_same_services_and_hand_them_over() {
    let compose =
        format!("services:\n{}{}{}", service("ocs-faker1"), service("ocs-faker2"), service("influxdb"));
    let instances = [
        faker("faker1", json!({ "manage": "docker" })),
        faker("faker2", json!({ "manage": "docker/down" })),
        faker("faker3", json!({ "manage": "docker/up" })),
        faker("native", json!({ "manage": "host/down" })),
        faker("unseen", json!({ "manage": "ignore" })),
    ];
    let options = ["--docker-compose", "docker-compose.yaml"];
    let Some(docked) = Docked::start(DockerEngine::require(), &instances, &options, &compose) else { return };
    let mut original = docked.original();
    docked.until("faker1", ["FakeDataAgent[d]", "up", "up"]);
    docked.until("faker3", ["FakeDataAgent[d?]", "up", "?"]);
    docked.until("native", ["FakeDataAgent", "down", "down"]);
    docked.until("influxdb", ["[docker]", "passive", "down"]);
    let theirs = docked.documented();
    let container = docked.engine.container_of("ocs-faker1");
    docked.die(&mut original, true);

    let mut manager = docked.ours(&[]);
    docked.until("faker1", ["FakeDataAgent[d]", "up", "up"]);
    docked.until("faker3", ["FakeDataAgent[d?]", "up", "?"]);
    docked.until("influxdb", ["[docker]", "passive", "down"]);
    assert_eq!(docked.documented(), theirs);
    assert_eq!(docked.engine.container_of("ocs-faker1"), container, "it was handed over, not started again");
    assert!(docked.seen("unseen").is_none());

    // The original client drives it.
    let output = docked.peers.ocsbow(&docked.site, HOST, &["up", "faker2"]);
    assert_eq!(output.code(), 0, "{}", output.stderr);
    docked.until("faker2", ["FakeDataAgent[d]", "up", "up"]);
    let status = docked.peers.ocsbow(&docked.site, HOST, &["status"]).stdout;
    let has = |words: &[&str]| status.lines().any(|line| line.split_whitespace().eq(words.iter().copied()));
    assert!(has(&["faker2", "FakeDataAgent[d]", "up", "up"]), "{status}");
    assert!(has(&["influxdb", "?/[docker]", "down", "passive"]), "{status}");

    // Killed without a word, the next one finds the container and goes on with it.
    manager.kill9();
    let mut manager = docked.ours(&[]);
    docked.until("faker1", ["FakeDataAgent[d]", "up", "up"]);
    docked.until("faker2", ["FakeDataAgent[d]", "up", "up"]);
    assert_eq!(docked.engine.container_of("ocs-faker1"), container);

    // Handed back to the original, and then ended for good.
    docked.die(&mut manager, true);
    let mut original = docked.original();
    docked.until("faker1", ["FakeDataAgent[d]", "up", "up"]);
    assert_eq!(docked.engine.container_of("ocs-faker1"), container);
    docked.die(&mut original, true);
    let mut manager = docked.ours(&[]);
    docked.until("faker1", ["FakeDataAgent[d]", "up", "up"]);
    docked.die(&mut manager, false);
    assert!(docked.engine.containers_of("ocs-faker1").is_empty());
}

#[test]
fn the_prefix_the_compose_program_and_the_user_may_be_any() {
    if !rustix::process::geteuid().is_root() {
        return campanile_testkit::skip("only root can become another user");
    }
    if ["unshare", "setpriv"].iter().any(|name| require_program(name, "it is part of util-linux").is_none()) {
        return;
    }
    let compose = format!("services:\n{}{}{}", service("lab-faker1"), service("faker1"), service("influxdb"));
    let instances = [faker("faker1", json!({ "manage": "docker" }))];
    let options = ["--docker-compose", "docker-compose.yaml"];
    let engine = DockerEngine::own();
    let Some(docked) = Docked::start(engine, &instances, &options, &compose) else { return };
    let up = || docked.until("faker1", ["FakeDataAgent[d]", "up", "up"]);
    let down = |mut manager: Daemon| {
        manager.stop(SOON);
        for service in ["lab-faker1", "faker1"] {
            wait_until(SOON, "its container is gone", || docked.engine.containers_of(service).is_empty());
        }
    };

    // Another prefix; the program is found as the plugin of docker.
    let manager = docked.ours(&["--docker-service-prefix", "lab-"]);
    up();
    docked.engine.container_of("lab-faker1");
    docked.until("influxdb", ["[docker]", "passive", "down"]);
    down(manager);

    // None, and the program by its name in the working directory.
    let bin = docked.site.dir().join("bin");
    fs::create_dir(&bin).unwrap();
    symlink(DockerEngine::compose(), bin.join("docker-compose")).unwrap();
    let named = ["--docker-service-prefix", "", "--docker-compose-bin", "bin/docker-compose"];
    let manager = docked.ours(&named);
    up();
    docked.engine.container_of("faker1");
    docked.until("lab-faker1", ["[docker]", "passive", "down"]);
    down(manager);

    // Without the plugin it is looked for on the path.
    let mut command = docked.command(ours("host"), "state", &["--docker-service-prefix", ""]);
    command.env("PATH", &bin).env_remove("DOCKER_CONFIG").env("HOME", docked.site.dir());
    let manager = Daemon::spawn("campanile host", command);
    up();
    down(manager);

    // One that is not there is told, and is no reason to end.
    let mut manager = docked.ours(&["--docker-compose-bin", "no/such"]);
    docked.until("faker1", ["FakeDataAgent[d?]", "up", "?"]);
    let status = docked.data().unwrap()["config_parse_status"]["docker-compose.yaml"].clone();
    let text = status[2].as_str().unwrap();
    assert!(status[0] == false && text.contains("no/such cannot be used: there is no program"), "{status}");
    manager.stop(SOON);

    // An ordinary user, first one who may not use the socket, then one of the group that may.
    const GROUP: u32 = 54_322;
    fs::write(docked.site.dir().join("docker-compose.yaml"), compose.replace("lab-", "ocs-")).unwrap();
    let socket = docked.engine.socket();
    chown(&socket, Some(0), Some(GROUP)).unwrap();
    let open =
        |path: &std::path::Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(&socket, 0o660);
    open(socket.parent().unwrap(), 0o711);
    open(docked.site.dir(), 0o777);
    let mut manager = docked.as_user(GROUP + 1);
    docked.until("faker1", ["FakeDataAgent[d?]", "up", "?"]);
    let told = docked.data().unwrap()["child_states"][0]["reason"].as_str().unwrap().to_owned();
    assert!(told.contains("ermission denied"), "{told}");
    manager.stop(SOON);
    let manager = docked.as_user(GROUP);
    up();
    docked.engine.container_of("ocs-faker1");
    down(manager);
}
