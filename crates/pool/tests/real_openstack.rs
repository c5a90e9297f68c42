//! Our OpenStack client against the real services: what the pool asks of a cloud, with the traps of the API.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod cinder;
mod tls;

use std::time::{Duration, Instant};

use campanile_pool::clouds::openstack::{Login, OpenStack};
use campanile_pool::clouds::{Adoption, Cloud, CloudError, LeftoverKind, NewServer};
use campanile_pool::config::{Access, Secret};
use campanile_pool::model::{Mark, Server, ServerStatus};
use campanile_testkit::{OpenStackConfig, OpenStackLab};
use serde_json::json;

/// A loaded machine gets its time.
const PATIENCE: Duration = Duration::from_secs(120);

fn access(lab: &OpenStackLab, project: &str) -> Access {
    Access {
        auth_url: Some(lab.auth_url()),
        region_name: Some(lab.regions()[0].clone()),
        project_name: Some(project.to_owned()),
        username: Some("ehos".to_owned()),
        password: Some(Secret::new("oslab")),
        ..Access::default()
    }
}

fn cloud(lab: &OpenStackLab, project: &str) -> OpenStack {
    OpenStack::new(project, Login::complete(&access(lab, project), &[]).unwrap()).unwrap()
}

fn mark() -> Mark {
    Mark { prefix: "ehos".to_owned(), host: "head.example".to_owned() }
}

fn new_server(node: &str) -> NewServer {
    NewServer {
        node: node.to_owned(),
        mark: mark(),
        worker_type: "default".to_owned(),
        flavor: "m1.tiny".to_owned(),
        image: "GOLD CentOS 7".to_owned(),
        network: Some("dualStack".to_owned()),
        key: None,
        security_groups: vec!["default".to_owned()],
        user_data: "#cloud-config\nfinal_message: \"The EHOS vm is up after $UPTIME seconds\"\n".to_owned(),
        floating_ip: false,
        scratch_gib: 0,
        boot_gib: 0,
    }
}

/// Looks at our servers until `good` is satisfied.
async fn servers_until(cloud: &OpenStack, what: &str, good: impl Fn(&[Server]) -> bool) -> Vec<Server> {
    let begun = Instant::now();
    loop {
        let servers = cloud.list_marked(&mark()).await.unwrap();
        if good(&servers) {
            return servers;
        }
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}: {servers:#?}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn has(servers: &[Server], node: &str, status: ServerStatus) -> bool {
    servers.iter().any(|server| server.node.as_deref() == Some(node) && server.status == status)
}

async fn remove_all(cloud: &OpenStack) {
    for server in cloud.list_marked(&mark()).await.unwrap() {
        cloud.delete(&server.id, &mark()).await.unwrap();
    }
    servers_until(cloud, "all are gone", <[Server]>::is_empty).await;
}

#[tokio::test]
async fn a_real_control_plane_is_spoken_to_in_every_call_the_pool_makes() {
    let env = [("OSLAB_QUOTA_INSTANCES", "4")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = OpenStackConfig { env: env.into(), ..OpenStackConfig::default() };
    let Some(lab) = OpenStackLab::start(&config) else { return };
    let cloud = cloud(&lab, "ehos-a");

    credentials_that_are_refused_are_told_apart(&lab).await;
    an_application_credential_needs_no_password(&lab).await;
    an_authority_of_the_site_is_trusted_where_its_certificate_is_given(&lab).await;
    what_can_be_bought_and_what_is_left(&cloud).await;
    a_server_lives_and_dies(&lab, &cloud).await;
    what_the_cloud_does_not_know_is_named(&cloud).await;
    a_server_without_our_mark_is_never_touched(&lab, &cloud).await;
    quota_that_is_used_up_names_the_resource(&cloud).await;
    broken_and_unfinished_servers_can_be_removed(&lab, &cloud).await;
    a_floating_address_leaves_nothing_behind(&cloud).await;
    ports_that_nova_made_are_known_when_their_server_is_gone(&lab, &cloud).await;
    storms_revoked_tokens_and_silence_are_told_apart(&lab).await;
    keys_firewall_and_images_for_the_set_up(&cloud).await;
    volumes_go_with_their_servers_and_none_is_left(&lab).await;
}

async fn credentials_that_are_refused_are_told_apart(lab: &OpenStackLab) {
    let wrong = Access { password: Some(Secret::new("no")), ..access(lab, "ehos-a") };
    let cloud = OpenStack::new("a", Login::complete(&wrong, &[]).unwrap()).unwrap();
    assert!(matches!(cloud.limits().await, Err(CloudError::Auth(_))));
    let nowhere = Access { region_name: Some("Nowhere".to_owned()), ..access(lab, "ehos-a") };
    let cloud = OpenStack::new("a", Login::complete(&nowhere, &[]).unwrap()).unwrap();
    let error = cloud.limits().await.unwrap_err();
    assert!(matches!(&error, CloudError::Invalid(text) if text.contains("RegionOne")), "{error}");
    let dead = Access { auth_url: Some("http://127.0.0.1:9".to_owned()), ..access(lab, "ehos-a") };
    let cloud = OpenStack::new("a", Login::complete(&dead, &[]).unwrap()).unwrap();
    assert!(matches!(cloud.limits().await, Err(CloudError::Unreachable(_))));
    let by_name = Access { clouds_yaml: Some("ehos-b".to_owned()), ..Access::default() };
    let login = Login::complete(&by_name, &[lab.clouds_yaml()]).unwrap();
    assert_eq!(OpenStack::new("b", login).unwrap().limits().await.unwrap().servers_used, 0);
}

async fn an_application_credential_needs_no_password(lab: &OpenStackLab) {
    let made = lab.python(
        "ehos-a",
        "c = conn.identity.create_application_credential(user=conn.current_user_id, name='pool')\nprint(c.id, c.secret)",
    );
    let (id, secret) = made.split_once(' ').unwrap();
    let access = Access {
        auth_url: Some(lab.auth_url()),
        region_name: Some(lab.regions()[0].clone()),
        application_credential_id: Some(id.to_owned()),
        application_credential_secret: Some(Secret::new(secret)),
        ..Access::default()
    };
    let cloud = OpenStack::new("a", Login::complete(&access, &[]).unwrap()).unwrap();
    assert_eq!(cloud.limits().await.unwrap().servers_used, 0);
    let wrong = Access { application_credential_secret: Some(Secret::new("no")), ..access };
    let cloud = OpenStack::new("a", Login::complete(&wrong, &[]).unwrap()).unwrap();
    assert!(matches!(cloud.limits().await, Err(CloudError::Auth(_))));
}

async fn an_authority_of_the_site_is_trusted_where_its_certificate_is_given(lab: &OpenStackLab) {
    let dir = tempfile::tempdir().unwrap();
    let keystone = url::Url::parse(&lab.auth_url()).unwrap();
    let front = tls::HttpsFront::start(dir.path(), keystone.port().unwrap()).await;
    let mut https = keystone.clone();
    https.set_scheme("https").unwrap();
    https.set_port(Some(front.port)).unwrap();
    let plain = Access { auth_url: Some(https.to_string()), ..access(lab, "ehos-a") };
    let limits = async |access: &Access| {
        let cloud = OpenStack::new("a", Login::complete(access, &[]).unwrap())?;
        cloud.limits().await
    };
    let trusting = Access { cacert: Some(front.cacert.clone()), ..plain.clone() };
    assert_eq!(limits(&trusting).await.unwrap().servers_used, 0);
    let unchecked = Access { insecure: true, ..plain.clone() };
    assert_eq!(limits(&unchecked).await.unwrap().servers_used, 0);
    for wrong in [plain.clone(), Access { cacert: Some(front.other_cacert.clone()), ..plain.clone() }] {
        let error = limits(&wrong).await.unwrap_err();
        assert!(error.to_string().contains("certificate"), "the operator is told why: {error}");
    }
    let missing = Access { cacert: Some(dir.path().join("nothing.pem")), ..plain };
    let error = limits(&missing).await.unwrap_err();
    assert!(matches!(&error, CloudError::Invalid(text) if text.contains("nothing.pem")), "{error}");
}

async fn what_can_be_bought_and_what_is_left(cloud: &OpenStack) {
    let flavors = cloud.flavors().await.unwrap();
    let large = flavors.iter().find(|flavor| flavor.name == "m1.large").unwrap();
    assert_eq!((large.resources.cores, large.resources.memory_mib), (4, 8192));
    let limits = cloud.limits().await.unwrap();
    assert_eq!((limits.servers_used, limits.servers_max), (0, Some(4)));
    assert_eq!(limits.cores_max, Some(40));
}

async fn a_server_lives_and_dies(lab: &OpenStackLab, cloud: &OpenStack) {
    let id = cloud.create(&new_server("ehos-execute-1")).await.unwrap();
    let servers =
        servers_until(cloud, "it is active", |all| has(all, "ehos-execute-1", ServerStatus::Active)).await;
    assert_eq!(servers.len(), 1);
    let server = &servers[0];
    assert_eq!((server.id.as_str(), server.worker_type.as_deref()), (id.as_str(), Some("default")));
    assert_eq!((server.flavor.as_str(), server.resources.unwrap().memory_mib), ("m1.tiny", 512));
    assert!(server.created_ms > 1_700_000_000_000 && !server.addresses.is_empty());
    assert!(lab.user_data(&id).unwrap().starts_with("#cloud-config"));
    let console = cloud.console(&id, 100).await.unwrap();
    assert!(console.contains("The EHOS vm is up after"), "{console}");
    assert_eq!(cloud.limits().await.unwrap().servers_used, 1);
    cloud.delete(&id, &mark()).await.unwrap();
    servers_until(cloud, "it is gone", <[Server]>::is_empty).await;
    cloud.delete(&id, &mark()).await.unwrap();
}

async fn what_the_cloud_does_not_know_is_named(cloud: &OpenStack) {
    let wrong = [
        (NewServer { flavor: "m9.huge".to_owned(), ..new_server("x") }, "m1.large"),
        (NewServer { image: "CentOS 3".to_owned(), ..new_server("x") }, "CentOS 3"),
        (NewServer { network: Some("arpanet".to_owned()), ..new_server("x") }, "dualStack"),
        (NewServer { security_groups: vec!["open sesame".to_owned()], ..new_server("x") }, "open sesame"),
        (NewServer { user_data: "x".repeat(70_000), ..new_server("x") }, "user-data"),
    ];
    for (order, word) in wrong {
        let error = cloud.create(&order).await.unwrap_err();
        assert!(matches!(&error, CloudError::Invalid(text) if text.contains(word)), "{word}: {error}");
    }
    assert!(cloud.list_marked(&mark()).await.unwrap().is_empty());
    // with one network that is not external none need be named
    let id = cloud.create(&NewServer { network: None, ..new_server("ehos-execute-2") }).await.unwrap();
    cloud.delete(&id, &mark()).await.unwrap();
    servers_until(cloud, "it is gone", <[Server]>::is_empty).await;
}

/// A server of the same project, whose name is like ours; one that even bears our tag, but not our metadata; one of
/// another pool.
async fn a_server_without_our_mark_is_never_touched(lab: &OpenStackLab, cloud: &OpenStack) {
    let foreign = lab.python(
        "ehos-a",
        "net = conn.network.find_network('dualStack').id\n\
         args = dict(image_id=conn.image.find_image('GOLD CentOS 7').id, flavor_id=conn.compute.find_flavor('m1.tiny').id, networks=[{'uuid': net}])\n\
         conn.compute.default_microversion = '2.52'\n\
         a = conn.compute.create_server(name='ehos-execute-3', **args)\n\
         b = conn.compute.create_server(name='ehos-execute-4', tags=['ehos@head.example'], metadata={'campanile-pool': 'ehos@other'}, **args)\n\
         print(a.id, b.id)",
    );
    let (plain, tagged) = foreign.split_once(' ').unwrap();
    assert!(cloud.list_marked(&mark()).await.unwrap().is_empty());
    for id in [plain, tagged] {
        assert!(matches!(cloud.delete(id, &mark()).await, Err(CloudError::NotOurs(_))));
    }
    let named = cloud.list_named(&["ehos-execute-3".to_owned()]).await.unwrap();
    assert_eq!((named.len(), named[0].id.as_str(), named[0].mark.as_deref()), (1, plain, None));

    let adoption =
        |node: &str| Adoption { mark: mark(), node: node.to_owned(), worker_type: "default".to_owned() };
    // nova refuses tags while it builds
    let begun = Instant::now();
    while cloud.server(plain).await.unwrap().is_some_and(|server| server.status == ServerStatus::Building) {
        assert!(begun.elapsed() < PATIENCE, "the foreign server does not get active");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(matches!(cloud.adopt(tagged, &adoption("n")).await, Err(CloudError::Conflict(_))));
    cloud.adopt(plain, &adoption("ehos-execute-3")).await.unwrap();
    cloud.adopt(plain, &adoption("ehos-execute-3")).await.unwrap();
    let ours = cloud.list_marked(&mark()).await.unwrap();
    assert_eq!((ours.len(), ours[0].id.as_str()), (1, plain));
    remove_all(cloud).await;
    lab.python("ehos-a", &format!("conn.compute.delete_server({tagged:?})"));
}

async fn quota_that_is_used_up_names_the_resource(cloud: &OpenStack) {
    for node in ["q1", "q2", "q3", "q4"] {
        // the foreign server of the step before may still count
        let begun = Instant::now();
        while let Err(error) = cloud.create(&new_server(node)).await {
            assert!(matches!(error, CloudError::Quota { .. }), "{error}");
            assert!(begun.elapsed() < PATIENCE, "{error}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
    // nova counts what its conductor has entered, which is a little after what its API has accepted
    let all_run = |all: &[Server]| all.len() == 4 && all.iter().all(|s| s.status == ServerStatus::Active);
    servers_until(cloud, "all four run", all_run).await;
    let error = cloud.create(&new_server("q5")).await.unwrap_err();
    assert!(
        matches!(&error, CloudError::Quota { resource, .. } if resource.contains("instances")),
        "{error}"
    );
    remove_all(cloud).await;
}

async fn broken_and_unfinished_servers_can_be_removed(lab: &OpenStackLab, cloud: &OpenStack) {
    lab.hypervisor(&json!({"fail_next": 1}));
    cloud.create(&new_server("broken")).await.unwrap();
    let servers = servers_until(cloud, "it is in error", |all| has(all, "broken", ServerStatus::Error)).await;
    assert!(servers[0].fault.is_some(), "{servers:?}");
    // nova answers 409 for a server that is on no host
    cloud.console(&servers[0].id, 10).await.unwrap();
    lab.hypervisor(&json!({"boot_seconds": 4}));
    let slow = cloud.create(&new_server("slow")).await.unwrap();
    servers_until(cloud, "it is being built", |all| has(all, "slow", ServerStatus::Building)).await;
    cloud.delete(&slow, &mark()).await.unwrap();
    remove_all(cloud).await;
    lab.hypervisor(&json!({}));
}

async fn a_floating_address_leaves_nothing_behind(cloud: &OpenStack) {
    let id = cloud.create(&NewServer { floating_ip: true, ..new_server("floats") }).await.unwrap();
    let servers = servers_until(cloud, "it has its address", |all| {
        all.iter().any(|server| server.addresses.iter().any(|address| address.starts_with("203.0.113.")))
    })
    .await;
    assert_eq!(servers[0].id, id);
    let mut kinds: Vec<_> = cloud.leftovers(&mark()).await.unwrap().into_iter().map(|one| one.kind).collect();
    kinds.sort();
    assert_eq!(kinds, [LeftoverKind::FloatingIp, LeftoverKind::Port]);
    remove_all(cloud).await;
    let left = cloud.leftovers(&mark()).await.unwrap();
    assert!(left.iter().all(|one| one.kind == LeftoverKind::Port && one.node == "floats"), "{left:?}");
    for one in left {
        cloud.remove_leftover(&one).await.unwrap();
        cloud.remove_leftover(&one).await.unwrap();
    }
    assert!(cloud.leftovers(&mark()).await.unwrap().is_empty());
    // what the cloud refuses takes back what was made for it
    let refused = NewServer { floating_ip: true, flavor: "m9.huge".to_owned(), ..new_server("refused") };
    cloud.create(&refused).await.unwrap_err();
    assert!(cloud.leftovers(&mark()).await.unwrap().is_empty());
}

async fn ports_that_nova_made_are_known_when_their_server_is_gone(lab: &OpenStackLab, cloud: &OpenStack) {
    cloud.create(&new_server("ported")).await.unwrap();
    servers_until(cloud, "it is active", |all| has(all, "ported", ServerStatus::Active)).await;
    let left = cloud.leftovers(&mark()).await.unwrap();
    assert_eq!((left.len(), left[0].node.as_str()), (1, "ported"));
    let description =
        lab.python("ehos-a", &format!("print(conn.network.get_port({:?}).description)", left[0].id));
    assert_eq!(description, "campanile-pool=ehos@head.example campanile-node=ported");
    remove_all(cloud).await;
    assert!(cloud.leftovers(&mark()).await.unwrap().is_empty());
}

async fn storms_revoked_tokens_and_silence_are_told_apart(lab: &OpenStackLab) {
    let cloud = cloud(lab, "ehos-a").with_answer_timeout(Duration::from_secs(3));
    cloud.limits().await.unwrap();
    lab.faults(&json!([{"service": "nova", "path": "/limits", "status": 503, "times": 1, "headers": {"Retry-After": "7"}}]));
    let error = cloud.limits().await.unwrap_err();
    assert!(matches!(error, CloudError::Busy { retry_after_ms: Some(7000), .. }), "{error}");
    lab.faults(&json!([{"service": "nova", "path": "/limits", "status": 503, "times": 1}]));
    assert!(matches!(cloud.limits().await, Err(CloudError::Fails(_))));
    // a token that was revoked early: one new login, and the call is repeated
    let logins =
        || lab.access_log("keystone").iter().filter(|line| line.contains("POST /v3/auth/tokens")).count();
    let before = logins();
    lab.faults(&json!([{"service": "nova", "path": "/limits", "status": 401, "times": 1}]));
    cloud.limits().await.unwrap();
    assert!(logins() > before);
    // the request is taken and no answer comes: it may have been done, and is found again by its mark
    lab.faults(&json!([{"service": "nova", "method": "POST", "path": "/servers$", "delay": 5, "times": 1}]));
    let error = cloud.create(&new_server("unanswered")).await.unwrap_err();
    assert!(error.may_have_been_done(), "{error}");
    lab.faults(&json!([]));
    servers_until(&cloud, "it was made all the same", |all| has(all, "unanswered", ServerStatus::Active))
        .await;
    remove_all(&cloud).await;
    // a service that hangs
    lab.pause("RegionOne-nova", true);
    let error = cloud.limits().await.unwrap_err();
    lab.pause("RegionOne-nova", false);
    assert!(matches!(error, CloudError::Unreachable(_)), "{error}");
    cloud.limits().await.unwrap();
}

async fn keys_firewall_and_images_for_the_set_up(cloud: &OpenStack) {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGEhSlrcaZ1v8c0Xl1nCgZ6f1dKXlZ2sVqkHn3wZkq0T test";
    assert!(cloud.ensure_keypair("ehos_key", key).await.unwrap());
    assert!(!cloud.ensure_keypair("ehos_key", key).await.unwrap());
    assert!(cloud.ensure_firewall("ehos_firewall", false).await.unwrap());
    assert!(!cloud.ensure_firewall("ehos_firewall", false).await.unwrap());
    let order = NewServer {
        key: Some("ehos_key".to_owned()),
        security_groups: vec!["ehos_firewall".to_owned()],
        ..new_server("base")
    };
    let id = cloud.create(&order).await.unwrap();
    servers_until(cloud, "it is active", |all| has(all, "base", ServerStatus::Active)).await;
    cloud.stop(&id).await.unwrap();
    servers_until(cloud, "it is switched off", |all| has(all, "base", ServerStatus::Stopped)).await;
    let image = cloud.create_image(&id, "ehos-image", &mark()).await.unwrap();
    let begun = Instant::now();
    while cloud.image(&image).await.unwrap().is_none_or(|image| image.status != "active") {
        assert!(begun.elapsed() < PATIENCE, "the image does not get active");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(cloud.images().await.unwrap().iter().any(|one| one.name == "ehos-image"));
    // an image is found by its id, too
    let child = cloud.create(&NewServer { image: image.clone(), ..new_server("child") }).await.unwrap();
    assert!(cloud.server(&child).await.unwrap().is_some());
    remove_all(cloud).await;
    cloud.delete_image(&image).await.unwrap();
    cloud.delete_image(&image).await.unwrap();
    assert!(cloud.image(&image).await.unwrap().is_none());
}

/// The lab has no cinder: our own fake of its calls stands for it, and the real nova attaches and deletes through it.
async fn volumes_go_with_their_servers_and_none_is_left(lab: &OpenStackLab) {
    let cinder = cinder::FakeCinder::start().await;
    lab.python(
        "admin",
        &format!(
            "service = conn.identity.create_service(name='cinder', type='volumev3')\n\
             conn.identity.create_endpoint(service_id=service.id, interface='public', region_id='RegionOne', url={:?})",
            cinder.url()
        ),
    );
    let foreign = cinder.foreign_volume();
    let cloud = cloud(lab, "ehos-a").with_answer_timeout(Duration::from_secs(5));
    let scratch = |node: &str| NewServer { scratch_gib: 5, ..new_server(node) };
    let both = |node: &str| NewServer { boot_gib: 20, ..scratch(node) };
    let volumes = async || {
        let all = cloud.leftovers(&mark()).await.unwrap();
        all.into_iter().filter(|one| one.kind == LeftoverKind::Volume).collect::<Vec<_>>()
    };
    let none_is_left = async |what: &str| {
        let begun = Instant::now();
        while !volumes().await.is_empty() || cinder.volumes() != [foreign.clone()] {
            assert!(begun.elapsed() < PATIENCE, "{what}: {:?} {:?}", cinder.volumes(), cinder.calls());
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };

    // one beside the disk; one that it boots from, too
    for (order, count, booted) in [(scratch("scratched"), 1, 0), (both("booted"), 2, 1)] {
        let id = cloud.create(&order).await.unwrap();
        servers_until(&cloud, "it is active", |all| has(all, &order.node, ServerStatus::Active)).await;
        let found = volumes().await;
        assert!(found.iter().all(|one| one.node == order.node), "{found:?}");
        assert_eq!(found.iter().filter(|one| one.server_id.as_deref() == Some(id.as_str())).count(), count);
        assert_eq!(cinder.calls().iter().filter(|call| call.contains("imageRef")).count(), booted);
        remove_all(&cloud).await;
        none_is_left("delete_on_termination").await;
    }
    // what nova refuses takes its volumes back
    let refused = NewServer { flavor: "m9.huge".to_owned(), ..both("refused") };
    assert!(matches!(cloud.create(&refused).await, Err(CloudError::Invalid(_))));
    none_is_left("a refusal").await;
    // a volume that cannot be made
    cinder.next_volume(cinder::Fault::Error);
    assert!(matches!(cloud.create(&scratch("broken")).await, Err(CloudError::Fails(_))));
    none_is_left("a volume in error").await;
    cinder.next_volume(cinder::Fault::OverQuota);
    let error = cloud.create(&scratch("too-much")).await.unwrap_err();
    assert!(
        matches!(&error, CloudError::Quota { resource, .. } if resource.contains("gigabytes")),
        "{error}"
    );
    // cinder's answer is lost: there is a volume and no server, and the volume is known by its mark
    cinder.next_volume(cinder::Fault::AnswerLost);
    let error = cloud.create(&scratch("lost")).await.unwrap_err();
    assert!(error.may_have_been_done(), "{error}");
    let found = volumes().await;
    assert_eq!(
        found.iter().map(|one| (one.node.as_str(), &one.server_id)).collect::<Vec<_>>(),
        [("lost", &None)]
    );
    cloud.remove_leftover(&found[0]).await.unwrap();
    cloud.remove_leftover(&found[0]).await.unwrap();
    none_is_left("an answer of cinder that was lost").await;
    // nova's answer is lost: the server comes all the same, and takes its volumes with it
    lab.faults(&json!([{"service": "nova", "method": "POST", "path": "/servers$", "delay": 7, "times": 1}]));
    let error = cloud.create(&both("unanswered")).await.unwrap_err();
    assert!(error.may_have_been_done(), "{error}");
    lab.faults(&json!([]));
    servers_until(&cloud, "it was made all the same", |all| has(all, "unanswered", ServerStatus::Active))
        .await;
    assert_eq!(volumes().await.len(), 2);
    remove_all(&cloud).await;
    none_is_left("an answer of nova that was lost").await;
    // a server that comes to nothing
    lab.hypervisor(&json!({"fail_next": 1}));
    cloud.create(&both("failed")).await.unwrap();
    servers_until(&cloud, "it is in error", |all| has(all, "failed", ServerStatus::Error)).await;
    lab.hypervisor(&json!({}));
    remove_all(&cloud).await;
    // Nova may have let go of them before it was asked to delete: what is left bears our mark.
    for one in volumes().await {
        cloud.remove_leftover(&one).await.unwrap();
    }
    none_is_left("a server in error").await;
}
