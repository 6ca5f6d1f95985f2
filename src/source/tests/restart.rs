//! What a file gave before the agent was started.

use super::*;

#[tokio::test]
async fn a_file_broken_while_the_agent_was_down_keeps_its_last_good() {
    let (above, root) = directory();
    write(&root.join("a.yaml"), &set("a", "a:1"));
    write(&root.join("b.yaml"), &set("b", "b:1"));
    write(&root.join("c.yaml"), &config_map("c", "1"));
    let mut watched = watch_it(above, root, Memory::default());
    watched.until_sets(&[("a", "a:1"), ("b", "b:1")]).await;
    let keeper = watched.keeper.clone();
    let kept = || keeper.0.lock().expect("not poisoned").len();
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
        if watched.keeper.0.lock().expect("not poisoned").len() == 2 {
            break;
        }
    }
    let (above, root, keeper) = watched.stop().await;
    assert_eq!(
        keeper.0.lock().expect("not poisoned").len(),
        2,
        "b is forgotten"
    );

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
        if keeper.0.lock().expect("not poisoned").len() == 2 {
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
