//! What a file gave before the agent was started.

use super::*;
use crate::model::SourceCondition;

/// Of how many manifests something is kept.
fn kept_of(keeper: &Memory) -> usize {
    let kept = keeper.0.lock().expect("not poisoned");
    kept.keys().filter(|file| file.ends_with(".yaml")).count()
}

/// Has seen a manifest, which is gone; keeps `root` on disk as of another filesystem, where told so.
async fn emptied_while_down(other_filesystem: bool) -> Watched {
    let (above, root) = directory();
    write(&root.join("a.yaml"), &set("a", "a:1"));
    let mut watched = watch_it(above, root, Memory::default());
    watched.until_sets(&[("a", "a:1")]).await;
    let own = watched.root.display().to_string();
    for _ in 0..500 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if watched.keeper.0.lock().expect("not poisoned").len() == 2 {
            break;
        }
    }
    let (above, root, keeper) = watched.stop().await;
    fs::remove_file(root.join("a.yaml")).expect("removed");
    if other_filesystem {
        let mut kept = keeper.0.lock().expect("not poisoned");
        let of_root = &mut kept.get_mut(&own).expect("it is kept")[0].1;
        let device = of_root["filesystem"].as_u64().expect("a device");
        of_root["filesystem"] = (device + 1).into();
    }
    watch_it(above, root, keeper)
}

#[tokio::test]
async fn an_empty_directory_of_another_filesystem_is_not_believed_after_a_restart() {
    let mut watched = emptied_while_down(true).await;
    let unreadable = |s: &Snapshot| matches!(s.condition, SourceCondition::Unreadable(_));
    let snapshot = watched.until("not believed", unreadable).await;
    assert!(!snapshot.synced);
    let SourceCondition::Unreadable(why) = &snapshot.condition else {
        unreachable!()
    };
    assert!(why.contains("is a mount missing?"), "{why}");
    // It is over when something is there, which may be no object at all.
    watched.rename_in("none.yaml", "");
    watched.until_sets(&[]).await;
    watched.stop().await;
}

#[tokio::test]
async fn a_directory_that_was_emptied_while_the_agent_was_down_is_believed() {
    let mut watched = emptied_while_down(false).await;
    watched.until_sets(&[]).await;
    watched.stop().await;
}

#[tokio::test]
async fn a_file_broken_while_the_agent_was_down_keeps_its_last_good() {
    let (above, root) = directory();
    write(&root.join("a.yaml"), &set("a", "a:1"));
    write(&root.join("b.yaml"), &set("b", "b:1"));
    write(&root.join("c.yaml"), &config_map("c", "1"));
    let mut watched = watch_it(above, root, Memory::default());
    watched.until_sets(&[("a", "a:1"), ("b", "b:1")]).await;
    let keeper = watched.keeper.clone();
    let kept = || kept_of(&keeper);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if kept() == 3 {
            break;
        }
    }
    assert_eq!(kept(), 3);
    let (above, root, keeper) = watched.stop().await;

    write(&root.join("a.yaml"), "kind: [\n");
    fs::remove_file(root.join("b.yaml")).expect("removed");
    write(
        &root.join("c.yaml"),
        &config_map("c", "2").replace("data", "dada"),
    );
    let mut watched = watch_it(above, root, keeper);
    let snapshot = watched.until_sets(&[("a", "a:1")]).await;
    let last_good: Vec<bool> = snapshot.refused.iter().map(|r| r.last_good).collect();
    assert_eq!(last_good, [true, true]);
    assert_eq!(snapshot.config_maps.len(), 1);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if kept_of(&watched.keeper) == 2 {
            break;
        }
    }
    let (above, root, keeper) = watched.stop().await;
    assert_eq!(kept_of(&keeper), 2, "b is forgotten");

    // Still broken after another restart: still kept.
    let mut watched = watch_it(above, root, keeper);
    watched.until_sets(&[("a", "a:1")]).await;
    watched.rename_in("a.yaml", &set("a", "a:2"));
    watched.until_sets(&[("a", "a:2")]).await;
    watched.stop().await;
}

#[tokio::test]
async fn what_is_immutable_is_so_over_a_restart() {
    let immutable = |value: &str| format!("immutable: true\n{}", config_map("c", value));
    let (above, root) = directory();
    write(&root.join("a.yaml"), &set("a", "a:1"));
    write(&root.join("c.yaml"), &immutable("1"));
    let mut watched = watch_it(above, root, Memory::default());
    watched.until_sets(&[("a", "a:1")]).await;
    let keeper = watched.keeper.clone();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if kept_of(&keeper) == 2 {
            break;
        }
    }
    let (above, root, keeper) = watched.stop().await;
    write(&root.join("c.yaml"), &immutable("2"));
    let mut watched = watch_it(above, root, keeper);
    let snapshot = watched.until_sets(&[("a", "a:1")]).await;
    let map = snapshot.config_maps.values().next().expect("it is there");
    assert_eq!(map.data.as_ref().expect("data")["a"], "1");
    assert!(snapshot.refused[0].last_good, "{:?}", snapshot.refused);
    watched.stop().await;
}

#[tokio::test]
async fn what_could_not_be_kept_is_kept_when_it_can_be_without_a_scan() {
    let (above, root) = directory();
    write(&root.join("a.yaml"), &set("a", "a:1"));
    let keeper = Memory::default();
    keeper.1.now.store(true, Ordering::Relaxed);
    let mut watched = watch_it(above, root, keeper.clone());
    watched.until_sets(&[("a", "a:1")]).await;
    while keeper.1.times.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(kept_of(&keeper), 0);
    let told = watched.until("told of", |s| s.unkept.is_some()).await;
    assert!(
        told.unkept
            .as_ref()
            .is_some_and(|why| why.contains("no space")),
        "{told:?}"
    );
    keeper.1.now.store(false, Ordering::Relaxed);
    let kept = async {
        while kept_of(&keeper) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let kept = tokio::time::timeout(Duration::from_secs(60), kept).await;
    assert!(kept.is_ok(), "it is tried again");
    watched.until("no news", |s| s.unkept.is_none()).await;
    watched.stop().await;
}
