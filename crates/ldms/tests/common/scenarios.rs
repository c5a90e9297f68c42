//! What holds for the client on any ldmsd. Each scenario has daemons of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use campanile_ldms::api::advertise::{AdvertiserAdd, AdvertiserStart, PrdcrListenAdd, PrdcrListenStart};
use campanile_ldms::api::daemon::{
    AuthAdd, CfgCntr, DaemonExit, DaemonStatus, Greeting, PrdcrStats, SetStats, Version,
};
use campanile_ldms::api::plugin::{Config, Load, PluginStatus, Start, Stop};
use campanile_ldms::api::producer::{
    PrdcrAdd, PrdcrDel, PrdcrHintTree, PrdcrSetStatus, PrdcrStart, PrdcrStatus, PrdcrStop, Producer,
    ProducerState,
};
use campanile_ldms::api::store::{StrgpAdd, StrgpStart, StrgpStatus};
use campanile_ldms::api::update_times::{SetTimes, UpdateTimeStats};
use campanile_ldms::api::updater::{UpdtrAdd, UpdtrDel, UpdtrPrdcrAdd, UpdtrStart, UpdtrStatus, UpdtrStop};
use campanile_ldms::api::{Micros, Request};
use campanile_ldms::auth::Peer;
use campanile_ldms::client::{Client, ConnectError, Endpoint, Form, Options, RequestError};
use campanile_ldms::wire::errno;
use campanile_ldms::wire::ids::{AttrId, RequestId};
use campanile_ldms::wire::record::Attribute;

use super::record::Recorder;
use super::{Site, Way, connect, connect_with, options, refused, tell, tell_all, transcript, wait_for};

const SECOND: Micros = Micros(1_000_000);

fn name(name: &str) -> String {
    name.to_owned()
}

/// A daemon that samples one set, named after it, every second.
async fn sampler(site: &Site, called: &str) -> (Endpoint, Client) {
    let endpoint = site.start(called).await;
    let client = connect(&endpoint).await;
    configure_sampler(&client, called).await;
    (endpoint, client)
}

async fn configure_sampler(client: &Client, called: &str) {
    client.call(&Load { name: name("m"), plugin: Some(name("meminfo")) }).await.unwrap();
    let options = format!("producer={called} instance={called}/m component_id=7 perm=0777");
    client.call(&Config { name: name("m"), options }).await.unwrap();
    let start = Start { name: name("m"), interval: SECOND, offset: Some(Micros(0)), exclusive_thread: None };
    client.call(&start).await.unwrap();
}

fn producer(called: &str, at: &Endpoint) -> PrdcrAdd {
    PrdcrAdd {
        name: name(called),
        xprt: name("sock"),
        host: at.host.clone(),
        port: at.port,
        reconnect: Micros(200_000),
        ..PrdcrAdd::default()
    }
}

async fn status_of(client: &Client, called: &str) -> Producer {
    let status = PrdcrStatus { name: Some(name(called)), ..PrdcrStatus::default() };
    client.call(&status).await.unwrap().0.remove(0)
}

async fn in_state(client: &Client, called: &str, state: ProducerState) -> Producer {
    wait_for(&format!("{called} in {state}"), || async {
        Some(status_of(client, called).await).filter(|producer| producer.state == state)
    })
    .await
}

/// An updater over all producers, every second.
async fn updater(client: &Client, called: &str) {
    let add = UpdtrAdd {
        name: name(called),
        interval: SECOND,
        offset: Some(Micros(100_000)),
        auto_interval: true,
        ..UpdtrAdd::default()
    };
    client.call(&add).await.unwrap();
    client.call(&UpdtrPrdcrAdd { name: name(called), regex: name(".*") }).await.unwrap();
    client.call(&UpdtrStart { name: name(called), ..UpdtrStart::default() }).await.unwrap();
}

/// When a set that was collected was sampled, in microseconds; 0 before it was.
async fn sampled_us(client: &Client, set: &str) -> u64 {
    let sets = client.directory().await.unwrap();
    sets.iter().find(|entry| entry.name == set).map_or(0, |entry| entry.timestamp.as_us())
}

pub(crate) async fn both_forms_of_the_handshake_and_the_greeting(site: &Site) {
    let endpoint = site.start("d").await;
    for form in [Form::Plain, Form::Rail, Form::Rail] {
        let options = Options { form, ..options(&Way::None) };
        let client = Client::connect(&endpoint, &options).await.unwrap();
        assert_eq!(client.peer(), Peer::ROOT);
        assert_eq!(client.call(&DaemonStatus {}).await.unwrap().0.state, "ready");
        assert_eq!(client.call(&Greeting { name: name("you") }).await.unwrap(), "Hello 'you'");
        let version = client.call(&Version {}).await.unwrap().0;
        assert_eq!(version.protocol, "4.2.0.0");
        assert_eq!(client.call(&CfgCntr {}).await.unwrap(), 0);
    }
}

pub(crate) async fn a_sampler_is_loaded_started_stopped_and_seen_in_the_directory(site: &Site) {
    let (_, client) = sampler(site, "s").await;
    let plugins = client.call(&PluginStatus {}).await.unwrap().0;
    assert_eq!((plugins[0].name.as_str(), plugins[0].kind.as_str()), ("m", "sampler[M]"));
    assert_eq!(client.call(&CfgCntr {}).await.unwrap(), 3);
    let set = wait_for("a sample", || async {
        let sets = client.directory().await.unwrap();
        sets.into_iter().find(|set| set.name == "s/m" && set.flags.starts_with("CL"))
    })
    .await;
    assert_eq!((set.schema.as_str(), set.update_hint_us()), ("meminfo", Some((1_000_000, Some(0)))));
    assert_eq!((set.card, set.perm.as_str()), (57, "-rwxrwxrwx"));
    // A manager weighs sets by this size.
    assert_eq!(set.data_size, 544);
    // A changed interval needs a stop and a start.
    let start = Start { name: name("m"), interval: Micros(2_000_000), ..Start::default() };
    assert_eq!(refused(&client, &start).await, errno::EBUSY);
    client.call(&Stop { name: name("m") }).await.unwrap();
    client.call(&start).await.unwrap();
    let sets = client.directory().await.unwrap();
    assert_eq!(sets[0].update_hint_us().map(|hint| hint.0), Some(2_000_000));
    assert_eq!(
        refused(&client, &Load { name: name("m"), plugin: Some(name("meminfo")) }).await,
        errno::EEXIST
    );
}

pub(crate) async fn sets_are_collected_over_two_levels(site: &Site) {
    let (first, _) = sampler(site, "s1").await;
    let (second, _) = sampler(site, "s2").await;
    let low = site.start("l1").await;
    let l1 = connect(&low).await;
    for (called, at) in [("s1", &first), ("s2", &second)] {
        l1.call(&producer(called, at)).await.unwrap();
        assert_eq!(status_of(&l1, called).await.state, ProducerState::Stopped);
        l1.call(&PrdcrStart { name: name(called), reconnect: None }).await.unwrap();
    }
    let connected = in_state(&l1, "s1", ProducerState::Connected).await;
    assert_eq!((connected.kind.as_str(), connected.reconnect_us), ("active", Some(200_000)));
    in_state(&l1, "s2", ProducerState::Connected).await;
    updater(&l1, "u").await;
    let high = site.start("l2").await;
    let l2 = connect(&high).await;
    l2.call(&producer("l1", &low)).await.unwrap();
    l2.call(&PrdcrStart { name: name("l1"), reconnect: None }).await.unwrap();
    in_state(&l2, "l1", ProducerState::Connected).await;
    updater(&l2, "u").await;
    for set in ["s1/m", "s2/m"] {
        let seen = wait_for("a sample at the top", || async {
            Some(sampled_us(&l2, set).await).filter(|time_us| *time_us > 0)
        })
        .await;
        wait_for("the next sample at the top", || async {
            (sampled_us(&l2, set).await > seen).then_some(())
        })
        .await;
    }
    let sets = l2.call(&PrdcrSetStatus::default()).await.unwrap().0;
    let ours = sets.iter().find(|set| set.inst_name == "s1/m").unwrap();
    assert_eq!((ours.origin.as_str(), ours.producer.as_str()), ("s1", "l1"));
    assert!(ours.timestamp_sec.unwrap() > 0);
    let hints = l2.call(&PrdcrHintTree::default()).await.unwrap().0;
    assert_eq!(hints[0].hints.iter().map(|hint| hint.sets.len()).sum::<usize>(), 2);
    let updaters = l2.call(&UpdtrStatus::default()).await.unwrap().0;
    assert_eq!((updaters[0].state.as_str(), updaters[0].producers.len()), ("RUNNING", 1));
    let stats = l2.call(&PrdcrStats {}).await.unwrap().0;
    assert_eq!((stats["prdcr_count"].as_i64(), stats["connected_count"].as_i64()), (Some(1), Some(1)));
    assert_eq!(l2.call(&SetStats::default()).await.unwrap().0["active_count"].as_i64(), Some(2));
}

pub(crate) async fn a_producer_that_goes_is_lost_and_found_again(site: &Site) {
    let (at, _) = sampler(site, "s").await;
    let low = site.start("l1").await;
    let l1 = connect(&low).await;
    l1.call(&producer("s", &at)).await.unwrap();
    l1.call(&PrdcrStart { name: name("s"), reconnect: None }).await.unwrap();
    in_state(&l1, "s", ProducerState::Connected).await;
    assert_eq!(refused(&l1, &PrdcrStart { name: name("s"), reconnect: None }).await, errno::EBUSY);
    assert_eq!(refused(&l1, &PrdcrDel { name: name("s") }).await, errno::EBUSY);
    assert_eq!(refused(&l1, &producer("s", &at)).await, errno::EEXIST);
    site.crash("s");
    wait_for("the loss", || async {
        let state = status_of(&l1, "s").await.state;
        matches!(state, ProducerState::Disconnected | ProducerState::Connecting).then_some(())
    })
    .await;
    site.restart("s").await;
    in_state(&l1, "s", ProducerState::Connected).await;
    // It knows nothing of what it was told before.
    let again = wait_for("the daemon", || async { connect_with(&at, &Way::None).await.ok() }).await;
    assert!(again.call(&PluginStatus {}).await.unwrap().0.is_empty());
    // A stop may last: until then a start is refused as busy (and a manager has to wait).
    l1.call(&PrdcrStop { name: name("s") }).await.unwrap();
    in_state(&l1, "s", ProducerState::Stopped).await;
    l1.call(&PrdcrStart { name: name("s"), reconnect: None }).await.unwrap();
    in_state(&l1, "s", ProducerState::Connected).await;
}

pub(crate) async fn an_updater_is_deleted_only_when_it_is_stopped_and_idle(site: &Site) {
    let (at, _) = sampler(site, "s").await;
    let l1 = connect(&site.start("l1").await).await;
    l1.call(&producer("s", &at)).await.unwrap();
    l1.call(&PrdcrStart { name: name("s"), reconnect: None }).await.unwrap();
    in_state(&l1, "s", ProducerState::Connected).await;
    updater(&l1, "u").await;
    wait_for("a sample", || async { (sampled_us(&l1, "s/m").await > 0).then_some(()) }).await;
    assert_eq!(refused(&l1, &UpdtrDel { name: name("u") }).await, errno::EBUSY);
    // The producer hangs: an update is under way for as long as it does.
    site.hang("s").await;
    wait_for("the update that waits", || async {
        let producer = status_of(&l1, "s").await;
        producer.sets.iter().any(|set| set.state == "UPDATING").then_some(())
    })
    .await;
    l1.call(&UpdtrStop { name: name("u") }).await.unwrap();
    let (errcode, text) = tell(&l1, "updtr_del name=u").await;
    assert_eq!((errcode, text.as_str()), (errno::EBUSY, "The updater is in use."));
    site.resume("s");
    wait_for("the deletion", || async { (tell(&l1, "updtr_del name=u").await.0 == 0).then_some(()) }).await;
    assert_eq!(refused(&l1, &UpdtrDel { name: name("u") }).await, errno::ENOENT);
}

/// The figures of the set `s/m` of the producer `s` under the updater `u`.
async fn times(client: &Client, reset: bool) -> SetTimes {
    let call = UpdateTimeStats { name: Some(name("u")), summary: true, reset };
    let times = client.call(&call).await.unwrap();
    let sets = times.updaters["u"].producers.get("s");
    sets.and_then(|sets| sets.get("s/m")).copied().unwrap_or_default()
}

pub(crate) async fn updates_that_are_left_out_or_find_nothing_new_are_counted(site: &Site) {
    let (at, _) = sampler(site, "s").await;
    let l1 = connect(&site.start("l1").await).await;
    // Ten times as often as the set is sampled.
    let interval = Micros(100_000);
    l1.call(&UpdtrAdd { name: name("u"), interval, ..UpdtrAdd::default() }).await.unwrap();
    let none = l1.call(&UpdateTimeStats::default()).await.unwrap();
    assert!(none.updaters["u"].producers.is_empty(), "with a comma too many in real answers");
    l1.call(&producer("s", &at)).await.unwrap();
    l1.call(&PrdcrStart { name: name("s"), reconnect: None }).await.unwrap();
    in_state(&l1, "s", ProducerState::Connected).await;
    l1.call(&UpdtrPrdcrAdd { name: name("u"), regex: name(".*") }).await.unwrap();
    l1.call(&UpdtrStart { name: name("u"), ..UpdtrStart::default() }).await.unwrap();
    let early =
        wait_for("updates", || async { Some(times(&l1, false).await).filter(|times| times.updates >= 7) })
            .await;
    assert!(early.oversampled > early.updates / 2 && early.oversampled < early.updates, "{early:?}");
    assert!(early.mean_us <= early.max_us, "{early:?}");
    // Its producer hangs: an update is under way for as long as it does, and those that fall due are left out.
    site.hang("s").await;
    let hung = wait_for("updates that are left out", || async {
        Some(times(&l1, false).await).filter(|times| times.skipped >= early.skipped + 3)
    })
    .await;
    assert!(hung.updates <= early.updates + 3, "{early:?} {hung:?}");
    site.resume("s");
    let last = wait_for("the next update", || async {
        Some(times(&l1, false).await).filter(|times| times.updates > hung.updates)
    })
    .await;
    assert!(last.max_us >= 200_000.0, "as long as it hung: {last:?}");
    times(&l1, true).await;
    let reset = times(&l1, false).await;
    assert!(reset.updates < last.updates && reset.skipped < last.skipped, "{last:?} {reset:?}");
    assert_eq!(
        refused(&l1, &UpdateTimeStats { name: Some(name("v")), ..UpdateTimeStats::default() }).await,
        errno::ENOENT
    );
}

pub(crate) async fn a_store_takes_what_is_collected(site: &Site) {
    let dir = tempfile::tempdir().unwrap();
    let l1 = connect(&site.start("l1").await).await;
    let add = StrgpAdd {
        name: name("csv"),
        plugin: name("c"),
        container: Some(name("data")),
        schema: Some(name("meminfo")),
        ..StrgpAdd::default()
    };
    assert_eq!(refused(&l1, &add).await, errno::ENOENT, "without the plugin loaded");
    l1.call(&Load { name: name("c"), plugin: Some(name("store_csv")) }).await.unwrap();
    let options = format!("path={} altheader=0", dir.path().display());
    l1.call(&Config { name: name("c"), options }).await.unwrap();
    l1.call(&add).await.unwrap();
    l1.call(&StrgpStart { name: name("csv") }).await.unwrap();
    assert_eq!(refused(&l1, &StrgpStart { name: name("csv") }).await, errno::EBUSY);
    let stores = l1.call(&StrgpStatus::default()).await.unwrap().0;
    assert_eq!((stores[0].state.as_str(), stores[0].schema.as_str()), ("RUNNING", "meminfo"));
}

pub(crate) async fn an_advertiser_is_taken_by_a_listener(site: &Site) {
    let aggregator = site.start("l1").await;
    let l1 = connect(&aggregator).await;
    l1.call(&PrdcrListenAdd { name: name("l"), disable_start: true, ..PrdcrListenAdd::default() })
        .await
        .unwrap();
    l1.call(&PrdcrListenStart { name: name("l") }).await.unwrap();
    let (at, s) = sampler(site, "s").await;
    let add = AdvertiserAdd {
        name: name("s-l1"),
        xprt: name("sock"),
        host: aggregator.host.clone(),
        port: aggregator.port,
        reconnect: Micros(200_000),
        ..AdvertiserAdd::default()
    };
    s.call(&add).await.unwrap();
    s.call(&AdvertiserStart { name: name("s-l1") }).await.unwrap();
    let offered = wait_for("the advertised producer", || async {
        let producers = l1.call(&PrdcrStatus::default()).await.unwrap().0;
        producers.into_iter().find(|producer| producer.state == ProducerState::Standby)
    })
    .await;
    // It is called by its host name and its port, whatever the daemon is called.
    let called = offered.name.clone();
    assert!(called.ends_with(&format!(":{}", at.port)), "{called}");
    assert_eq!(offered.kind, "advertised, passive");
    l1.call(&PrdcrStart { name: called.clone(), reconnect: None }).await.unwrap();
    in_state(&l1, &called, ProducerState::Connected).await;
    updater(&l1, "u").await;
    wait_for("a sample", || async { (sampled_us(&l1, "s/m").await > 0).then_some(()) }).await;
    l1.call(&PrdcrStop { name: called }).await.unwrap();
}

pub(crate) async fn many_requests_are_answered_in_order_on_one_connection(site: &Site) {
    let endpoint = site.start("d").await;
    let client = connect(&endpoint).await;
    let requests: Vec<Request> = (0..2000)
        .map(|n| Greeting { name: format!("n{n}") })
        .map(|call| {
            use campanile_ldms::api::Call as _;
            call.request()
        })
        .collect();
    let answers = client.request_all(requests).await;
    assert_eq!(answers.len(), 2000);
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().text(), format!("Hello 'n{n}'"));
    }
    // A request of several records.
    let long = "x".repeat(3_000_000);
    let answer = client.call(&Greeting { name: long.clone() }).await.unwrap();
    // ldmsd answers from a buffer of 1 KiB.
    assert_eq!(answer.len(), 1022);
    assert!(answer.starts_with("Hello 'xxx"));
    // An answer of several records.
    let answer = tell(&client, "greeting offset=3000000").await;
    assert_eq!((answer.0, answer.1.len()), (0, 3_000_000));
    // And one with an attribute without a value.
    let mut request = Request::new(RequestId::GREETING);
    request.attributes.push(Attribute::keyword(AttrId::TEST));
    assert_eq!(client.request(request).await.unwrap().text(), "Hi");
}

pub(crate) async fn a_daemon_that_hangs_or_dies_is_noticed_and_disturbs_nobody(site: &Site) {
    let (at, _) = (site.start("hung").await, ());
    let other = connect(&site.start("other").await).await;
    let mut impatient = options(&Way::None);
    impatient.request_timeout = Duration::from_millis(300);
    let hung = Client::connect(&at, &impatient).await.unwrap();
    hung.call(&DaemonStatus {}).await.unwrap();
    site.hang("hung").await;
    let (silent, lively) = tokio::join!(hung.call(&DaemonStatus {}), other.call(&DaemonStatus {}));
    let error = silent.unwrap_err().to_string();
    assert_eq!(error, format!("{at} did not answer 'daemon_status' within 0.3 s"));
    assert_eq!(lively.unwrap().0.state, "ready");
    // The system takes connections for it, but it does not greet.
    impatient.connect_timeout = Duration::from_millis(300);
    let error = Client::connect(&at, &impatient).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    assert!(!hung.is_closed());
    site.resume("hung");
    wait_for("an answer", || async { hung.call(&DaemonStatus {}).await.ok() }).await;
    site.crash("hung");
    let reason = tokio::time::timeout(super::PATIENCE, hung.closed()).await.unwrap();
    assert!(!reason.is_empty());
    let error = hung.call(&DaemonStatus {}).await.unwrap_err();
    assert!(error.to_string().contains("is gone"), "{error}");
    let error = Client::connect(&at, &impatient).await.unwrap_err();
    assert!(matches!(error, ConnectError::Connect { .. }), "{error}");
}

pub(crate) async fn a_daemon_ends_when_it_is_asked_to(site: &Site) {
    let client = connect(&site.start("d").await).await;
    client.call(&DaemonExit {}).await.unwrap();
    tokio::time::timeout(super::PATIENCE, client.closed()).await.unwrap();
    site.has_ended("d").await;
}

pub(crate) async fn naive_peers_are_who_they_say_and_have_their_rights(site: &Site) {
    let root = Way::Naive { uid: 0, gid: 0 };
    let endpoint = site.start_with("d", &root).await;
    let client = connect_with(&endpoint, &root).await.unwrap();
    assert_eq!(client.call(&CfgCntr {}).await.unwrap(), 0);
    let somebody = connect_with(&endpoint, &Way::Naive { uid: 1234, gid: 1234 }).await.unwrap();
    assert_eq!(somebody.call(&DaemonStatus {}).await.unwrap().0.state, "ready");
    assert_eq!(tell(&somebody, "cfg_cntr").await, (errno::EPERM, name("Operation not permitted.")));
    assert_eq!(refused(&somebody, &DaemonExit {}).await, errno::EPERM);
    let error = connect_with(&endpoint, &Way::None).await.unwrap_err();
    assert!(says(&error).contains("Auth mismatch"), "{}", says(&error));
}

pub(crate) async fn ovis_peers_share_a_secret(site: &Site) {
    let dir = tempfile::tempdir().unwrap();
    let secret = |file: &str, word: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = dir.path().join(file);
        std::fs::write(&path, format!("secretword={word}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Way::Ovis(path)
    };
    let (right, wrong) = (secret("right", "the-right-word"), secret("wrong", "another-word"));
    let endpoint = site.start_with("d", &right).await;
    let client = connect_with(&endpoint, &right).await.unwrap();
    assert_eq!(client.peer(), Peer::ROOT);
    assert_eq!(client.call(&DaemonStatus {}).await.unwrap().0.state, "ready");
    let error = connect_with(&endpoint, &wrong).await.unwrap_err();
    assert!(says(&error).contains("authentication"), "{}", says(&error));
    assert!(matches!(connect_with(&endpoint, &Way::None).await, Err(ConnectError::Handshake { .. })));
}

pub(crate) async fn munge_peers_show_credentials(site: &Site, munged_socket: &std::path::Path) {
    let way = Way::Munge(munged_socket.to_owned());
    let endpoint = site.start_with("d", &way).await;
    let client = connect_with(&endpoint, &way).await.unwrap();
    assert_eq!(
        client.peer(),
        Peer { uid: rustix::process::getuid().as_raw(), gid: rustix::process::getgid().as_raw() }
    );
    assert_eq!(client.call(&CfgCntr {}).await.unwrap(), 0);
    let nowhere = Way::Munge(munged_socket.with_file_name("no-munged-here"));
    let error = says(&connect_with(&endpoint, &nowhere).await.unwrap_err());
    assert!(error.contains("munge") && error.contains("no-munged-here"), "{error}");
    assert!(says(&connect_with(&endpoint, &Way::None).await.unwrap_err()).contains("Auth mismatch"));
}

pub(crate) async fn authentication_domains_serve_producers(site: &Site) {
    let dir = tempfile::tempdir().unwrap();
    let way = Way::Naive { uid: 0, gid: 0 };
    let guarded = site.start_with("s", &way).await;
    let client = connect_with(&guarded, &way).await.unwrap();
    configure_sampler(&client, "s").await;
    let l1 = connect(&site.start("l1").await).await;
    let with_domain = PrdcrAdd { auth: Some(name("guarded")), ..producer("s", &guarded) };
    assert_eq!(refused(&l1, &with_domain).await, errno::ENOENT, "before the domain is there");
    let options = Some(name("uid=0 gid=0"));
    let add = AuthAdd { name: name("guarded"), plugin: Some(name("naive")), options };
    l1.call(&add).await.unwrap();
    assert_eq!(refused(&l1, &add).await, errno::EEXIST);
    l1.call(&with_domain).await.unwrap();
    l1.call(&PrdcrStart { name: name("s"), reconnect: None }).await.unwrap();
    in_state(&l1, "s", ProducerState::Connected).await;
    drop(dir);
}

pub(crate) async fn a_further_port_is_opened_on_request(site: &Site) {
    let endpoint = site.start("d").await;
    let client = connect(&endpoint).await;
    let further = campanile_testkit::free_port();
    tell_all(&client, &["auth_add name=n plugin=naive uid=0 gid=0"]).await;
    let line = format!("listen xprt=sock port={further} host=127.0.0.1 auth=n");
    tell_all(&client, &[&line]).await;
    let there = Endpoint::sock("127.0.0.1", further);
    let guest = connect_with(&there, &Way::Naive { uid: 0, gid: 0 }).await.unwrap();
    assert_eq!(guest.call(&DaemonStatus {}).await.unwrap().0.state, "ready");
}

/// Says what is wrong with a connection, with all causes.
pub(crate) fn says(error: &ConnectError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

pub(crate) async fn commands_get_the_answers_that_were_recorded(site: &Site) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/real/answers.txt");
    let recorded = std::fs::read_to_string(&path).unwrap();
    let endpoint = site.start("d").await;
    let client = connect(&endpoint).await;
    let answers = transcript::replay(&client, &recorded, endpoint.port).await;
    if site.is_real() && std::env::var_os("CAMPANILE_RECORD").is_some() {
        std::fs::write(&path, answers).unwrap();
        return;
    }
    let differ: Vec<String> = transcript::differences(&recorded, &answers);
    assert!(differ.is_empty(), "{} answers differ:\n{}", differ.len(), differ.join("\n"));
}

pub(crate) async fn a_connection_that_ends_answers_all_that_waits(site: &Site) {
    let endpoint = site.start("d").await;
    let client = connect(&endpoint).await;
    client.call(&DaemonStatus {}).await.unwrap();
    site.hang("d").await;
    let waiting = client.request_all(vec![Request::new(RequestId::DAEMON_STATUS); 50]);
    let crash = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        site.crash("d");
    };
    let (answers, ()) = tokio::join!(waiting, crash);
    assert_eq!(answers.len(), 50);
    assert!(answers.iter().all(|answer| matches!(answer, Err(RequestError::Closed { .. }))), "{answers:?}");
}

/// Producer, updater and all: `aggregator` collects `set` from `at`.
async fn collects(aggregator: &Client, called: &str, at: &Endpoint, set: &str) {
    aggregator.call(&producer(called, at)).await.unwrap();
    aggregator.call(&PrdcrStart { name: name(called), reconnect: None }).await.unwrap();
    in_state(aggregator, called, ProducerState::Connected).await;
    updater(aggregator, &format!("u-{called}")).await;
    let first = wait_for("a sample", || async {
        Some(sampled_us(aggregator, set).await).filter(|time_us| *time_us > 0)
    })
    .await;
    wait_for("the next sample", || async { (sampled_us(aggregator, set).await > first).then_some(()) }).await;
}

pub(crate) async fn both_kinds_collect_from_each_other(real: &Site) {
    let simulated = Site::simulated();
    let (real_sampler, _) = sampler(real, "real-s").await;
    let (simulated_sampler, _) = sampler(&simulated, "sim-s").await;
    let real_l1 = connect(&real.start("real-l1").await).await;
    let simulated_l1 = connect(&simulated.start("sim-l1").await).await;
    collects(&real_l1, "sim-s", &simulated_sampler, "sim-s/m").await;
    collects(&simulated_l1, "real-s", &real_sampler, "real-s/m").await;
}

pub(crate) async fn conversations(real: &Site) {
    let (at, _) = sampler(real, "s").await;
    wait_for("a sample", || async { (sampled_us(&connect(&at).await, "s/m").await > 0).then_some(()) }).await;
    for (form, file) in [(Form::Plain, "plain.txt"), (Form::Rail, "rail.txt")] {
        let recorder = Recorder::before(&at).await;
        let options = Options { form, ..options(&Way::None) };
        ask_everything(Client::connect(&recorder.endpoint, &options).await.unwrap()).await;
        recorder.keep(file);
    }
    let way = Way::Naive { uid: 0, gid: 0 };
    let recorder = Recorder::before(&real.start_with("n", &way).await).await;
    let client = connect_with(&recorder.endpoint, &way).await.unwrap();
    client.call(&DaemonStatus {}).await.unwrap();
    client.call(&CfgCntr {}).await.unwrap();
    client.call(&Greeting { name: name("you") }).await.unwrap();
    recorder.keep("naive.txt");
    let simulated = Site::simulated();
    let l1 = connect(&simulated.start("l1").await).await;
    let recorder = Recorder::before(&at).await;
    collects(&l1, "s", &recorder.endpoint, "s/m").await;
    recorder.keep("collect.txt");
}

async fn ask_everything(client: Client) {
    client.call(&DaemonStatus {}).await.unwrap();
    client.call(&CfgCntr {}).await.unwrap();
    client.call(&Greeting { name: name("you") }).await.unwrap();
    client.directory().await.unwrap();
}
