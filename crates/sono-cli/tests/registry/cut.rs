//! Interrupted connections.

use sono_testkit::{Cutter, RegistryServer, ServerOptions};

use super::{images, indexed_archives, tag, tags};

#[test]
fn an_interrupted_push_leaves_no_name_and_the_next_one_succeeds() {
    let folder = indexed_archives();
    let server = RegistryServer::start(ServerOptions::default());
    let cutter = Cutter::before(server.address());
    let push = |prefix: &str| {
        images(
            folder.path(),
            &["--push", &format!("{}/{prefix}", cutter.address())],
            None,
        )
    };
    let whole = push("whole");
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let bytes = cutter.passed();
    assert!(bytes > 1024 * 1024, "{bytes} bytes are too few for images");
    for percent in [0, 5, 40, 75, 95] {
        let prefix = format!("cut{percent}");
        cutter.cut_after(bytes * percent / 100);
        let failed = push(&prefix);
        assert_eq!(
            (failed.code, failed.stdout.as_str()),
            (1, ""),
            "{percent} %: {}",
            failed.stderr
        );
        let error = failed
            .stderr
            .lines()
            .find(|line| line.starts_with("error: "))
            .unwrap_or_default();
        let names_it = error.contains(&format!("{}/{prefix}/", cutter.address()));
        assert!(
            error.starts_with("error: cannot ") && names_it,
            "{percent} %: {}",
            failed.stderr
        );
        assert!(failed.stderr.contains(": retrying: "), "{percent} %: {}", failed.stderr);
        assert_eq!(tags(&server, &prefix), [[""; 0]; 4], "{percent} %");

        cutter.cut_after(u64::MAX);
        let retried = push(&prefix);
        assert_eq!(retried.code, 0, "{percent} %: {}", retried.stderr);
        assert_eq!(
            tags(&server, &prefix),
            [[tag()], [tag()], [tag()], [tag()]],
            "{percent} %"
        );
    }
}

#[test]
fn one_broken_connection_is_retried() {
    let folder = indexed_archives();
    let server = RegistryServer::start(ServerOptions::default());
    let cutter = std::sync::Arc::new(Cutter::before(server.address()));
    cutter.cut_after(1024 * 1024);
    let restorer = std::sync::Arc::clone(&cutter);
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let restoring = std::thread::spawn(move || {
        // Works again after the first interruption, or at the end of the test.
        while restorer.passed() < 1024 * 1024 && receiver.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected)
        {
            std::thread::yield_now();
        }
        restorer.cut_after(u64::MAX);
    });
    let finished = images(folder.path(), &["--push", &format!("{}/team", cutter.address())], None);
    drop(sender);
    restoring.join().unwrap();
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    assert!(finished.stderr.contains(": retrying: "), "{}", finished.stderr);
    assert_eq!(tags(&server, "team"), [[tag()], [tag()], [tag()], [tag()]]);
}
