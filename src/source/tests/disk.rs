//! Files that come, change and go, as people and programs make them do.

use std::os::unix::fs::symlink;
use std::time::Instant;

use super::*;
use crate::model::SourceCondition;

const SHORT: Duration = Duration::from_millis(600);

fn start() -> Watched {
    let (above, root) = directory();
    watch_it(above, root, Memory::default())
}

#[tokio::test]
async fn a_renamed_file_is_there_at_once() {
    let mut watched = start();
    watched.until_sets(&[]).await;
    watched.rename_in("a.yaml", &set("a", "a:1"));
    let begun = now();
    let snapshot = watched.until_sets(&[("a", "a:1")]).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(200), "{took:?}");
    let origin = &snapshot.sets.values().next().expect("one").1;
    assert_eq!(origin.file, watched.path("a.yaml").display().to_string());
    watched.rename_in("a.yaml", &set("a", "a:2"));
    watched.until_sets(&[("a", "a:2")]).await;
    fs::remove_file(watched.path("a.yaml")).expect("removed");
    watched.until_sets(&[]).await;
    watched.stop().await;
}

#[expect(clippy::disallowed_methods, reason = "the test measures")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn many_files_are_read_as_few_are() {
    let (above, root) = directory();
    let names: Vec<String> = (0..600).map(|number| format!("s{number:03}")).collect();
    for name in &names {
        write(&root.join(format!("{name}.yaml")), &set(name, "1"));
    }
    write(&root.join("broken.yaml"), "kind: [");
    let mut watched = watch_it(above, root, Memory::default());
    let want: Vec<_> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let snapshot = watched.until_sets(&want).await;
    assert_eq!(snapshot.refused.len(), 1, "{:?}", snapshot.refused);
    watched.stop().await;
}

#[tokio::test]
async fn which_files_are_read_and_which_are_named_as_unread() {
    let (above, root) = directory();
    fs::create_dir_all(root.join("sub/deep")).expect("directories");
    fs::create_dir(root.join(".git")).expect("a directory");
    write(&root.join("a.yaml"), &set("a", "1"));
    write(&root.join("b.yml"), &set("b", "1"));
    write(&root.join("sub/deep/d.yaml"), &set("d", "1"));
    let json = serde_yaml::from_str::<serde_json::Value>(&set("c", "1")).expect("yaml");
    write(&root.join("sub/c.json"), &json.to_string());
    for name in [
        "a.yaml.bak",
        "a.yaml~",
        ".a.yaml.swp",
        ".hidden.yaml",
        ".git/x.yaml",
        "README",
    ] {
        write(&root.join(name), "kind: [");
    }
    nix::unistd::mkfifo(&root.join("fifo.yaml"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    symlink(&root, root.join("sub/loop")).expect("a link");
    let mut watched = watch_it(above, root, Memory::default());
    let want = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")];
    let snapshot = watched.until_sets(&want).await;
    let unread: Vec<(&str, &str)> = snapshot
        .unread
        .iter()
        .map(|u| (u.path.rsplit('/').next().expect("a name"), u.why.as_str()))
        .collect();
    let ending = "its name does not end in .yaml, .yml or .json";
    let dot = "its name begins with a dot";
    let expected = [
        (".a.yaml.swp", dot),
        (".git", dot),
        (".hidden.yaml", dot),
        ("README", ending),
        ("a.yaml.bak", ending),
        ("a.yaml~", ending),
        ("fifo.yaml", "it is not a regular file"),
        ("loop", "a link to a directory that it lies in"),
    ];
    assert_eq!(unread, expected);
    assert_eq!(snapshot.refused, []);
    assert_eq!(snapshot.condition, SourceCondition::Ready);
    // A new subdirectory, with a file that was in it before it was watched.
    fs::create_dir(watched.path("new")).expect("a directory");
    rename_in(&watched.path("new"), "e.yaml", &set("e", "1"));
    watched.until("e", |s| s.sets.len() == 5).await;
    fs::remove_dir_all(watched.path("sub")).expect("removed");
    watched.until("sub gone", |s| s.sets.len() == 3).await;
    watched.stop().await;
}

#[tokio::test]
async fn a_file_written_in_pieces_is_read_when_it_is_closed() {
    let mut watched = start();
    watched.rename_in(
        "a.yaml",
        &format!("{}---\n{}", set("a", "a:1"), set("b", "b:1")),
    );
    watched.until_sets(&[("a", "a:1"), ("b", "b:1")]).await;
    let mut file = fs::File::create(watched.path("a.yaml")).expect("a file");
    let text = format!("{}---\n{}", set("a", "a:2"), set("b", "b:2"));
    let (first, second) = text.split_at(set("a", "a:2").len());
    file.write_all(first.as_bytes()).expect("written");
    watched.rescan.send(()).await.expect("running");
    let between = watched.after(SHORT).await;
    assert_eq!(between.refused, []);
    assert_eq!(images(&between).len(), 2, "{:?}", images(&between));
    file.write_all(second.as_bytes()).expect("written");
    drop(file);
    watched.until_sets(&[("a", "a:2"), ("b", "b:2")]).await;
    watched.stop().await;
}

#[tokio::test]
async fn a_file_that_is_never_closed_counts_when_it_is_quiet() {
    let mut watched = start();
    watched.until_sets(&[]).await;
    let mut file = fs::File::create(watched.path("a.yaml")).expect("a file");
    chmod(&watched.path("a.yaml"), 0o644);
    file.write_all(set("a", "a:1").as_bytes()).expect("written");
    watched.until_sets(&[("a", "a:1")]).await;
    drop(file);
    watched.stop().await;
}

#[tokio::test]
async fn an_editor_that_moves_the_file_away_first_ends_nothing() {
    let mut watched = start();
    watched.rename_in("a.yaml", &set("a", "a:1"));
    watched.until_sets(&[("a", "a:1")]).await;
    fs::rename(watched.path("a.yaml"), watched.path("a.yaml~")).expect("renamed");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(watched.snapshots.borrow_and_update().sets.len(), 1);
    write(&watched.path("a.yaml"), &set("a", "a:2"));
    watched.until_sets(&[("a", "a:2")]).await;
    // Truncated and closed, then written: two programs in a script.
    write(&watched.path("a.yaml"), "");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(watched.snapshots.borrow_and_update().sets.len(), 1);
    write(&watched.path("a.yaml"), &set("a", "a:3"));
    watched.until_sets(&[("a", "a:3")]).await;
    write(&watched.path("a.yaml"), "");
    watched.until_sets(&[]).await;
    watched.stop().await;
}

#[tokio::test]
async fn a_mounted_config_map_is_swapped_as_a_whole() {
    let (above, root) = directory();
    let version = |name: &str, image: &str| {
        fs::create_dir(root.join(name)).expect("a directory");
        chmod(&root.join(name), 0o755);
        write(&root.join(name).join("a.yaml"), &set("a", image));
    };
    version("..2026_1", "a:1");
    symlink("..2026_1", root.join("..data")).expect("a link");
    symlink("..data/a.yaml", root.join("a.yaml")).expect("a link");
    let mut watched = watch_it(above, root.clone(), Memory::default());
    let snapshot = watched.until_sets(&[("a", "a:1")]).await;
    assert_eq!(snapshot.unread, []);
    version("..2026_2", "a:2");
    symlink("..2026_2", root.join("..data_tmp")).expect("a link");
    fs::rename(root.join("..data_tmp"), root.join("..data")).expect("swapped");
    fs::remove_dir_all(root.join("..2026_1")).expect("removed");
    let snapshot = watched.until_sets(&[("a", "a:2")]).await;
    assert_eq!(snapshot.refused, []);
    watched.stop().await;
}

#[tokio::test]
async fn a_broken_edit_keeps_the_last_good_and_says_so() {
    let mut watched = start();
    watched.rename_in("a.yaml", &set("a", "a:1"));
    watched.until_sets(&[("a", "a:1")]).await;
    watched.rename_in("a.yaml", &set("a", "a:2").replace("selector", "selektor"));
    let snapshot = watched.until("refused", |s| !s.refused.is_empty()).await;
    let refused = only(&snapshot.refused);
    assert!(refused.last_good);
    assert_eq!(refused.object.as_deref(), Some("DaemonSet default/a"));
    let place = format!("{}:5:", watched.path("a.yaml").display());
    assert!(
        refused.errors[0].starts_with(&place),
        "{:?}",
        refused.errors
    );
    assert_eq!(images(&snapshot), [("a".to_owned(), "a:1".to_owned())]);
    fs::remove_file(watched.path("a.yaml")).expect("removed");
    watched
        .until("gone", |s| s.sets.is_empty() && s.refused.is_empty())
        .await;
    watched.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_not_there_ends_nothing() {
    let (above, root) = directory();
    fs::remove_dir(&root).expect("removed");
    let mut watched = watch_it(above, root.clone(), Memory::default());
    let unreadable = |s: &Snapshot| matches!(s.condition, SourceCondition::Unreadable(_));
    let snapshot = watched.until("unreadable", unreadable).await;
    assert!(!snapshot.synced);
    fs::create_dir(&root).expect("a directory");
    chmod(&root, 0o755);
    rename_in(&root, "a.yaml", &set("a", "a:1"));
    watched.until_sets(&[("a", "a:1")]).await;
    // Away with it, in both ways.
    fs::rename(&root, root.with_file_name("away")).expect("renamed");
    let snapshot = watched.until("unreadable", unreadable).await;
    assert_eq!((snapshot.sets.len(), snapshot.synced), (1, true));
    fs::rename(root.with_file_name("away"), &root).expect("renamed");
    watched
        .until("ready", |s| s.condition == SourceCondition::Ready)
        .await;
    rename_in(&root, "b.yaml", &set("b", "b:1"));
    watched.until_sets(&[("a", "a:1"), ("b", "b:1")]).await;
    fs::remove_dir_all(&root).expect("removed");
    let snapshot = watched.until("unreadable", unreadable).await;
    assert_eq!(snapshot.sets.len(), 2);
    assert_eq!(watched.after(SHORT).await.sets.len(), 2);
    // Emptied is another thing than gone.
    fs::create_dir(&root).expect("a directory");
    chmod(&root, 0o755);
    watched.until_sets(&[]).await;
    rename_in(&root, "c.yaml", &set("c", "c:1"));
    watched.until_sets(&[("c", "c:1")]).await;
    watched.stop().await;
}

#[tokio::test]
async fn what_others_can_write_is_refused_unless_configured() {
    let mut watched = start();
    watched.rename_in("a.yaml", &set("a", "a:1"));
    watched.rename_in("b.yaml", &set("b", "b:1"));
    watched.until("two", |s| s.sets.len() == 2).await;
    chmod(&watched.path("a.yaml"), 0o666);
    let snapshot = watched.until("refused", |s| !s.refused.is_empty()).await;
    let refused = only(&snapshot.refused);
    assert!(refused.last_good && snapshot.sets.len() == 2);
    assert!(refused.errors[0].contains("is writable by every user (mode 0666"));
    fs::create_dir(watched.path("open")).expect("a directory");
    chmod(&watched.path("open"), 0o777);
    rename_in(&watched.path("open"), "c.yaml", &set("c", "c:1"));
    let snapshot = watched
        .until("the directory", |s| s.refused.len() == 2)
        .await;
    let directory = &snapshot.refused[1].errors[0];
    assert!(
        directory.contains("the directory") && directory.contains("mode 0777"),
        "{directory}"
    );
    watched
        .settings
        .send_modify(|s| s.writers = Writers::Anyone);
    watched
        .until("three", |s| s.sets.len() == 3 && s.refused.is_empty())
        .await;
    watched.stop().await;
}

#[tokio::test]
async fn every_way_to_change_a_manifest_is_refused() {
    let (above, root) = directory();
    let shared = above.path().join("shared");
    fs::create_dir(&shared).expect("a directory");
    write(&root.join("good.yaml"), &set("good", "1"));
    // The group that is root's has other members too, perhaps.
    write(&root.join("group.yaml"), &set("group", "1"));
    chmod(&root.join("group.yaml"), 0o664);
    // A link in a sticky directory is its owner's, wherever it leads.
    chmod(&shared, 0o1777);
    write(&above.path().join("elsewhere.yaml"), &set("link", "1"));
    symlink("../elsewhere.yaml", shared.join("link.yaml")).expect("a link");
    std::os::unix::fs::lchown(shared.join("link.yaml"), Some(33), Some(33)).expect("given away");
    symlink(shared.join("link.yaml"), root.join("link.yaml")).expect("a link");
    let mut watched = watch_it(above, root, Memory::default());
    let snapshot = watched.until_sets(&[("good", "1")]).await;
    let errors: Vec<&String> = snapshot.refused.iter().map(|r| &r.errors[0]).collect();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].contains("writable by group"), "{errors:#?}");
    assert!(errors[1].contains("is a link of user 33"), "{errors:#?}");
    watched.stop().await;
}

#[tokio::test]
async fn a_directory_above_that_others_can_write_counts() {
    let (above, root) = directory();
    write(&root.join("a.yaml"), &set("a", "1"));
    chmod(above.path(), 0o777);
    let mut watched = watch_it(above, root, Memory::default());
    let snapshot = watched.until("refused", |s| s.refused.len() == 1).await;
    let error = &only(&snapshot.refused).errors[0];
    assert!(
        error.contains("is writable by every user (mode 0777"),
        "{error}"
    );
    chmod(watched.root.parent().expect("above"), 0o755);
    watched.rescan.send(()).await.expect("running");
    watched.until_sets(&[("a", "1")]).await;
    watched.stop().await;
}

#[tokio::test]
async fn a_manifest_of_no_bytes_is_told_of() {
    let mut watched = start();
    watched.rename_in("a.yaml", "");
    let snapshot = watched.until("told of", |s| !s.unread.is_empty()).await;
    assert_eq!(snapshot.unread[0].why, "it is empty");
    watched.rename_in("a.yaml", "# nothing yet\n");
    watched.until("no news", |s| s.unread.is_empty()).await;
    watched.stop().await;
}

#[tokio::test]
async fn what_a_writer_has_not_written_yet_is_not_lost() {
    let mut watched = start();
    let text = format!("{}---\n{}", set("a", "1"), set("b", "1"));
    watched.rename_in("a.yaml", &text);
    watched.until_sets(&[("a", "1"), ("b", "1")]).await;
    let mut file = fs::File::create(watched.path("a.yaml")).expect("a file");
    let (first, second) = text.split_at(set("a", "1").len());
    file.write_all(first.as_bytes()).expect("written");
    let snapshot = watched.until("told of", |s| !s.unread.is_empty()).await;
    assert!(
        snapshot.unread[0].why.contains("has it open for writing"),
        "{:?}",
        snapshot.unread
    );
    assert_eq!(snapshot.sets.len(), 2);
    file.write_all(second.as_bytes()).expect("written");
    drop(file);
    let snapshot = watched.until("over", |s| s.unread.is_empty()).await;
    assert_eq!(snapshot.sets.len(), 2);
    // Closed with less in it, it is believed.
    write(&watched.path("a.yaml"), first);
    watched.until_sets(&[("a", "1")]).await;
    watched.stop().await;
}

#[tokio::test]
async fn what_cannot_be_text_is_refused_as_a_whole() {
    let mut watched = start();
    watched.until_sets(&[]).await;
    let mut file = fs::File::create(watched.path("latin.yaml")).expect("a file");
    file.write_all(b"# one\n# \xe9\n").expect("written");
    drop(file);
    let snapshot = watched.until("refused", |s| s.refused.len() == 1).await;
    let want = format!(
        "{}:2: it is not UTF-8 text",
        watched.path("latin.yaml").display()
    );
    assert_eq!(only(&snapshot.refused).errors, [want]);
    write(&watched.path("large.yaml"), &"#".repeat((10 << 20) + 1));
    let snapshot = watched.until("both", |s| s.refused.len() == 2).await;
    let error = &snapshot.refused[0].errors[0];
    assert!(
        error.ends_with("it is larger than 10 MiB, the most that is read"),
        "{error}"
    );
    symlink("nowhere", watched.path("link.yaml")).expect("a link");
    let snapshot = watched.until("all", |s| s.refused.len() == 3).await;
    let error = &snapshot.refused[2].errors[0];
    assert!(
        error.contains("the file that the link names does not exist"),
        "{error}"
    );
    watched.stop().await;
}

#[tokio::test]
async fn a_rescan_finds_what_no_event_told() {
    let (above, root) = directory();
    let elsewhere = above.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("a directory");
    chmod(&elsewhere, 0o755);
    chmod(above.path(), 0o755);
    write(&elsewhere.join("a.yaml"), &set("a", "a:1"));
    symlink(elsewhere.join("a.yaml"), root.join("a.yaml")).expect("a link");
    let mut watched = watch_it(above, root, Memory::default());
    watched.until_sets(&[("a", "a:1")]).await;
    rename_in(&elsewhere, "a.yaml", &set("a", "a:2"));
    watched.rescan.send(()).await.expect("running");
    watched.until_sets(&[("a", "a:2")]).await;
    watched.stop().await;
}
