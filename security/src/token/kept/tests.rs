//! That the key that is kept outlives a start, and is never replaced.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use tidewater_core::{Coded, ManualClock, SeededRng};

use super::*;
use crate::authenticator::{Authenticator, Role, UserSettings};
use crate::principal::Principal;

fn folder() -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("security");
    (temp, dir)
}

/// A start of a process: other random numbers each time.
fn start(dir: &Path, seed: u64) -> Result<TokenKey, SecurityError> {
    TokenKey::kept_or_made(dir, &SeededRng::new(seed))
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

// Goal: a token of before a restart lets in after it, and one of another data directory does not. Method: two starts in one folder with other
// random numbers and one in another; a token of the first, shown at all.
#[test]
fn tokens_outlive_a_restart() {
    let ((_temp, dir), (_other_temp, other)) = (folder(), folder());
    let door = |key: TokenKey| {
        let robot = UserSettings {
            name: "robot".into(),
            password_hash: String::new(),
            scram: None,
            role: Role::Reader,
        };
        Authenticator::new(vec![robot], key, Arc::new(ManualClock::new(1_000))).unwrap()
    };
    assert!(TokenKey::kept(&dir).unwrap().is_none(), "nothing is made by looking");
    let token = door(start(&dir, 1).unwrap()).issue(&Principal::named("robot"));
    assert_eq!(door(start(&dir, 2).unwrap()).verify(&token).unwrap().name, "robot");
    let looked = TokenKey::kept(&dir).unwrap().expect("a key");
    assert_eq!(door(looked).verify(&token).unwrap().name, "robot");
    let stranger = door(start(&other, 3).unwrap());
    assert!(matches!(stranger.verify(&token), Err(SecurityError::BadToken)));
}

// Goal: the key is its owner's alone, and nothing is left beside it. Method: what lies in the folder after a start, also where one was killed
// before; opened to the group, and started again.
#[test]
fn others_are_kept_out() {
    let (_temp, dir) = folder();
    fs::create_dir(&dir).unwrap();
    set_mode(&dir, 0o755);
    fs::write(dir.join(NEW), "longer than what is written over it".repeat(9)).unwrap();
    let signed = start(&dir, 1).unwrap().sign(b"x");
    let file = dir.join(FILE);
    assert_eq!((mode(&dir), mode(&file)), (DIR_MODE, FILE_MODE));
    let names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, [FILE]);
    set_mode(&file, 0o660);
    set_mode(&dir, 0o770);
    assert!(start(&dir, 2).unwrap().signed(b"x", &signed));
    assert_eq!((mode(&dir), mode(&file)), (DIR_MODE, FILE_MODE));
}

// Goal: a key that is damaged, or that everybody could read, is refused with a code and a hint, and stays as it is. Method: torn, emptied,
// longer, of other letters, readable for others; a look and a start; then the file of before, with the end of line of an editor.
#[test]
fn a_damaged_key_is_never_replaced() {
    let (_temp, dir) = folder();
    let signed = start(&dir, 1).unwrap().sign(b"x");
    let file = dir.join(FILE);
    let good = fs::read_to_string(&file).unwrap();
    let damaged = [
        String::new(),
        good[1..].to_owned(),
        format!("{good}0"),
        "\0".repeat(DIGITS),
        good.repeat(4),
    ];
    for text in damaged.iter().map(|text| (text, FILE_MODE)).chain([(&good, 0o604)]) {
        fs::write(&file, text.0).unwrap();
        set_mode(&file, text.1);
        for error in [TokenKey::kept(&dir).map(drop), start(&dir, 2).map(drop)] {
            let error = error.expect_err("a key that cannot be used");
            assert_eq!(error.code(), "SEC-0031");
            assert!(error.hint().is_some_and(|hint| hint.contains("remove")), "{error}");
        }
        assert_eq!((&fs::read_to_string(&file).unwrap(), mode(&file)), (text.0, text.1));
    }
    fs::write(&file, format!("{good}\n")).unwrap();
    set_mode(&file, FILE_MODE);
    assert!(start(&dir, 2).unwrap().signed(b"x", &signed));
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(dir.join("elsewhere"), &file).unwrap();
    assert_eq!(start(&dir, 2).map(drop).unwrap_err().code(), "SEC-0031");
    fs::remove_file(&file).unwrap();
    assert!(
        !start(&dir, 2).unwrap().signed(b"x", &signed),
        "who removes it has a new one"
    );
}

// Goal: processes that begin together in one folder have one key. Method: eight threads with other random numbers.
#[test]
fn processes_that_begin_together_share_a_key() {
    let (_temp, dir) = folder();
    let dir = &dir;
    let signatures: Vec<[u8; 32]> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|seed| scope.spawn(move || start(dir, seed).unwrap().sign(b"x")))
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(signatures.iter().all(|signature| *signature == signatures[0]));
}
