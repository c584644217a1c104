use std::collections::BTreeSet;

use iceberg::spec::Transform;
use proptest::prelude::*;

use super::*;
use crate::sample::Lake;
use crate::{Change, Scan};

fn options(files_min: usize) -> RewriteOptions {
    RewriteOptions {
        files_min,
        group_files_max: 40,
        ..RewriteOptions::default()
    }
}

async fn files(lake: &Lake) -> Vec<ScanFile> {
    let table = lake.table().await;
    let scan = Scan::new(&lake.store, &table.metadata).with_deletes().plan();
    scan.await.expect("files")
}

// Goal: groups are of one partition, within their bounds, name no file twice and only files of the table. Method: many small
// files in buckets, planned with many bounds.
#[tokio::test]
async fn groups_keep_their_bounds() {
    let lake = Lake::new(&[(1, "id_bucket", Transform::Bucket(3))], &[]).await;
    for round in 0..30 {
        lake.append(round * 10..round * 10 + 10).await;
    }
    let all = files(&lake).await;
    for files_min in [2, 5, 25, 1_000] {
        for everything in [false, true] {
            let options = RewriteOptions {
                everything,
                ..options(files_min)
            };
            let groups = plan_rewrite(all.clone(), &options);
            let mut seen = BTreeSet::new();
            for group in &groups {
                let least = if everything { 2 } else { files_min };
                assert!((least..=40).contains(&group.files.len()));
                assert_eq!(group.bytes, group.files.iter().map(|file| file.size_bytes).sum::<u64>());
                let first = &group.files[0];
                for file in &group.files {
                    assert_eq!((file.spec_id, &file.partition), (first.spec_id, &first.partition));
                    assert!(seen.insert(file.path.clone()), "twice");
                }
            }
            let reached: usize = groups.iter().map(|group| group.files.len()).sum();
            let merged = files_min <= 25 || everything;
            assert_eq!(reached, if merged { all.len() } else { 0 });
        }
    }
    let large = RewriteOptions {
        target_file_size_bytes: 1_000,
        ..options(2)
    };
    assert!(plan_rewrite(all, &large).is_empty(), "files that are large enough stay");
}

// Goal: no more files than are asked for are in groups, and none that is not worth it. Method: ten small files of one partition, in groups
// of up to three, with bounds.
#[tokio::test]
async fn files_of_all_groups_are_bounded() {
    let lake = Lake::new(&[], &[]).await;
    for round in 0..10 {
        lake.append(round * 10..round * 10 + 10).await;
    }
    let all = files(&lake).await;
    for (files_max, whole, wanted) in [
        (None, false, vec![3, 3, 3]),
        (Some(50), false, vec![3, 3, 3]),
        (Some(5), false, vec![3, 2]),
        (Some(4), false, vec![3]),
        (Some(4), true, vec![3, 1]),
        (Some(1), false, vec![]),
        (Some(0), true, vec![]),
    ] {
        let options = RewriteOptions {
            group_files_max: 3,
            files_max,
            whole,
            ..options(2)
        };
        let groups = plan_rewrite(all.clone(), &options);
        let found: Vec<usize> = groups.iter().map(|group| group.files.len()).collect();
        assert_eq!(found, wanted, "{files_max:?} {whole}");
        for group in &groups {
            assert_eq!(group.bytes, group.files.iter().map(|file| file.size_bytes).sum::<u64>());
        }
    }
}

proptest! {
    // Goal: however many commits of whatever sizes come, a byte is written anew a few times only, and few files are left.
    // Method: a model of a table that is only sizes, merged after each commit as the tiers say.
    #[test]
    fn tiers_write_a_byte_few_times(commits in proptest::collection::vec(1_000_u64..300_000, 200..1_500)) {
        let files_min = 16;
        let mut tiers: Vec<Vec<u64>> = vec![Vec::new(); 8];
        let (mut brought, mut rewritten) = (0_u64, 0_u64);
        for size in commits {
            brought += size;
            let mut arriving = size;
            loop {
                let at = tier(arriving) as usize;
                tiers[at].push(arriving);
                if tiers[at].len() < files_min {
                    break;
                }
                arriving = tiers[at].drain(..).sum();
                rewritten += arriving;
            }
        }
        prop_assert!(rewritten <= 4 * brought, "{rewritten} of {brought}");
        prop_assert!(tiers.iter().map(Vec::len).sum::<usize>() <= 4 * files_min);
    }
}

// Goal: a merged table holds the same rows, and its groups do not come back. Method: groups are written as one file each and
// committed as a replacement, until there is nothing to do.
#[tokio::test]
async fn merging_comes_to_an_end() {
    let lake = Lake::new(&[], &[]).await;
    for round in 0..20 {
        lake.append(round * 5..round * 5 + 5).await;
    }
    let before = lake.rows().await;
    let mut merged = 0;
    loop {
        let groups = plan_rewrite(files(&lake).await, &options(4));
        let Some(group) = groups.first() else { break };
        let ids = lake.ids(&group.files).await;
        let head = lake.table().await.metadata.current_snapshot_id();
        let removed = group.files.iter().map(|file| file.path.clone());
        let change = Change::replace(removed, lake.files(&ids, 0).await).read_at(head);
        lake.commit(&change).await.expect("nobody else");
        merged += 1;
        assert!(merged < 20, "it does not end");
    }
    assert!(merged > 0);
    assert_eq!(lake.rows().await, before);
    assert!(files(&lake).await.len() < 4 * 3);
}

// Goal: what counts as small or large, how many files are enough and which group comes first is as it is told. Method: files of three
// buckets, of different sizes and numbers, planned with each option and without it.
#[tokio::test]
async fn options_are_heeded() {
    let lake = Lake::new(&[(1, "id_bucket", Transform::Bucket(3))], &[]).await;
    for round in 0..6 {
        lake.append(round * 10..round * 10 + 10).await;
    }
    lake.append([1_000]).await;
    lake.append(2_000..2_400).await;
    let all = files(&lake).await;
    let everything = RewriteOptions {
        everything: true,
        ..RewriteOptions::default()
    };
    let reached = |options: &RewriteOptions| {
        let groups = plan_rewrite(all.clone(), options).into_iter();
        let paths = groups.flat_map(|group| group.files.into_iter().map(|file| file.path));
        paths.collect::<BTreeSet<String>>()
    };
    assert_eq!(reached(&everything).len(), all.len());
    let none_small = RewriteOptions {
        small_below_bytes: Some(0),
        ..everything
    };
    assert!(reached(&none_small).is_empty());
    let mut sizes: Vec<u64> = all.iter().map(|file| file.size_bytes).collect();
    sizes.sort_unstable();
    let most = sizes[sizes.len() - 2];
    let large = RewriteOptions {
        large_above_bytes: Some(most),
        ..none_small
    };
    let larger = all.iter().filter(|file| file.size_bytes > most);
    let larger: BTreeSet<String> = larger.map(|file| file.path.clone()).collect();
    assert!(!larger.is_empty());
    assert_eq!(reached(&large), larger, "each alone is worth it");
    let many = RewriteOptions {
        everything_files_min: 1_000,
        ..everything
    };
    assert!(reached(&many).is_empty());
    let full = RewriteOptions {
        target_file_size_bytes: 1,
        small_below_bytes: Some(u64::MAX),
        ..many
    };
    assert_eq!(
        reached(&full).len(),
        all.len(),
        "they are more than a file's bytes together"
    );
    for first in [
        GroupOrder::MostFiles,
        GroupOrder::FewestFiles,
        GroupOrder::MostBytes,
        GroupOrder::FewestBytes,
    ] {
        let options = RewriteOptions {
            first,
            ..everything.clone()
        };
        let groups = plan_rewrite(all.clone(), &options);
        assert_eq!(groups.len(), 3);
        let key = |group: &RewriteGroup| match first {
            GroupOrder::MostFiles => -i64::try_from(group.files.len()).expect("few"),
            GroupOrder::FewestFiles => i64::try_from(group.files.len()).expect("few"),
            GroupOrder::MostBytes => -group.bytes.cast_signed(),
            GroupOrder::FewestBytes => group.bytes.cast_signed(),
        };
        assert!(groups.is_sorted_by_key(key), "{first:?}");
    }
}
