//! Getting images, from a registry of the test's own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use campanile_host::model::Target;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::World;
use crate::yard::{Yard, docked, seen, sleeper, until_seen};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// What is at a path: its type and its bytes.
type Files = Arc<Mutex<BTreeMap<String, (&'static str, Vec<u8>)>>>;

/// A registry for `docker pull` of one repository, `app`. On a loopback address docker asks for no TLS.
struct Registry {
    port: u16,
    files: Files,
}

impl Registry {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, files) = (listener.local_addr().unwrap().port(), Files::default());
        let served = Arc::clone(&files);
        // Ends with the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let files = Arc::clone(&served);
                std::thread::spawn(move || serve(stream, &files));
            }
        });
        Self { port, files }
    }

    fn tag(&self, tag: &str) -> String {
        format!("127.0.0.1:{}/app:{tag}", self.port)
    }

    /// Makes an image, hands it to the registry, and takes it away from the engine.
    fn publish(&self, yard: &Yard, tag: &str, mark: &str) {
        let name = self.tag(tag);
        yard.engine.image(&name, mark);
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("image.tar").display().to_string();
        yard.engine.docker(&["save", "-o", &archive, &name]);
        let unpacked = Command::new("tar").args(["-xf", &archive, "-C"]).arg(dir.path()).status().unwrap();
        assert!(unpacked.success());
        let read = |name: &Value| fs::read(dir.path().join(name.as_str().unwrap())).unwrap();
        let saved: Value = serde_json::from_slice(&read(&json!("manifest.json"))).unwrap();
        let saved = &saved[0];
        let blob = |kind: &'static str, bytes: Vec<u8>| {
            let digest = format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(&bytes)));
            let described = json!({"mediaType": kind, "size": bytes.len(), "digest": digest});
            self.put(&format!("/v2/app/blobs/{digest}"), kind, bytes);
            described
        };
        let config = blob("application/vnd.docker.container.image.v1+json", read(&saved["Config"]));
        let layers: Vec<Value> = saved["Layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(read)
            .map(|bytes| blob("application/vnd.docker.image.rootfs.diff.tar", bytes))
            .collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let bytes = manifest.to_string().into_bytes();
        self.put(&format!("/v2/app/manifests/{}", digest(&bytes)), MANIFEST, bytes.clone());
        self.put(&format!("/v2/app/manifests/{tag}"), MANIFEST, bytes);
    }

    fn put(&self, path: &str, kind: &'static str, bytes: Vec<u8>) {
        self.files.lock().unwrap().insert(path.to_owned(), (kind, bytes));
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(bytes)))
}

/// Answers one request; what is not plain HTTP (docker tries TLS first) is hung up on.
fn serve(mut stream: TcpStream, files: &Files) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) if !head.is_empty() || byte[0].is_ascii_uppercase() => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let found = files.lock().unwrap().get(path).cloned();
    let (status, kind, body) = match found {
        Some((kind, bytes)) => ("200 OK", kind, bytes),
        None if path == "/v2/" => ("200 OK", "application/json", b"{}".to_vec()),
        None => {
            ("404 Not Found", "application/json", br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#.to_vec())
        }
    };
    let (length, digest) = (body.len(), digest(&body));
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nDocker-Content-Digest: {digest}\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\nConnection: close\r\n\r\n"
    );
    let body = if method == "HEAD" { Vec::new() } else { body };
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_pull_gets_new_images_of_all_files_and_an_image_that_is_not_here_is_unknown() {
    let Some(yard) = tokio::task::block_in_place(Yard::open) else { return };
    let registry = Registry::start();
    tokio::task::block_in_place(|| {
        registry.publish(&yard, "v2", "two");
        yard.engine.docker(&["rmi", &registry.tag("v2")]);
        registry.publish(&yard, "v1", "one, newer");
        yard.engine.image(&registry.tag("v1"), "one");
    });
    let file = |tag: &str| format!("services:\n{}", sleeper("ocs-a", &registry.tag(tag)));
    yard.write("c.yaml", &file("v1"));
    let world = World::start_docker(vec![docked("a", Target::Up)], yard.options(&["c.yaml"])).await;
    until_seen(&world, "a", "Fake[d] up up").await;
    let state = |world: &World| world.child("a").unwrap()["docker"].clone();
    let first = state(&world);
    assert_eq!(first["image_tag"], registry.tag("v1"));
    assert_eq!((&first["running"], &first["container_found"]), (&json!(true), &json!(true)));
    assert_eq!(first["image_id"], first["running_image"]);

    // A newer image behind the same tag.
    let pull = |world: World| async move {
        world.call("start", "docker_pull", json!({})).await;
        let pulled = world.call("wait", "docker_pull", Value::Null).await;
        assert_eq!(pulled[2]["success"], true, "{pulled}");
        let told = pulled[2]["messages"].to_string();
        assert!(
            told.contains("Running pull for c.yaml ...") && told.contains("The images of c.yaml are here."),
            "{told}"
        );
        world
    };
    let world = pull(world).await;
    world
        .until("a restart would bring it", |world| world.child("a").unwrap()["restart_required"] == true)
        .await;
    let second = state(&world);
    assert_eq!(
        (&second["running_image"], &second["container_id"]),
        (&first["running_image"], &first["container_id"])
    );
    assert_ne!(second["image_id"], first["image_id"]);

    // A tag that is not here yet.
    yard.write("c.yaml", &file("v2"));
    let new_tags = |world: &World| world.manager.data()["new_tags"].clone();
    world.until("the new tag is told", |world| new_tags(world) == json!({"a": registry.tag("v2")})).await;
    assert_eq!(
        (&state(&world)["image_id"], seen(&world, "a").as_str()),
        (&json!("unknown"), "Fake[d] up up")
    );
    let world = pull(world).await;
    world.until("it is here", |world| new_tags(world) == json!({})).await;
    assert_ne!(state(&world)["image_id"], "unknown");
    world.ask("a", "restart").await;
    world
        .until("it runs with it", |world| {
            let state = state(world);
            state["running"] == true && state["running_image"] == state["image_id"]
        })
        .await;
    world.stop().await;
}
