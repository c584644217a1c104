//! Which build of tidewater a process is: its version, and what the linker calls the very file it runs from.
//!
//! Plans travel between processes in a form that only one and the same build is sure to read as it was meant.

use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;

/// How much of the program file is looked at: the linker's note stands near its beginning.
const HEAD_BYTES: u64 = 64 << 10;

/// What precedes the build's id in an ELF file: the lengths of name and id, the sort of the note, the name.
const NOTE: [u8; 16] = *b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";

/// Length of the id.
const ID_BYTES: usize = 20;

/// Digits of the id that are told: enough to tell builds apart.
const DIGITS: usize = 16;

/// The build of this process, such as `0.1.0-5f3a90c1d2e4b677`; the version alone where the linker left no id.
pub fn build() -> &'static str {
    static BUILD: OnceLock<String> = OnceLock::new();
    BUILD.get_or_init(|| {
        let version = env!("CARGO_PKG_VERSION");
        match own_head().as_deref().and_then(id) {
            Some(id) => format!("{version}-{id}"),
            None => version.to_owned(),
        }
    })
}

fn own_head() -> Option<Vec<u8>> {
    let file = File::open("/proc/self/exe").ok()?;
    let mut head = Vec::new();
    file.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    Some(head)
}

fn id(head: &[u8]) -> Option<String> {
    let at = head.windows(NOTE.len()).position(|window| window == NOTE)? + NOTE.len();
    let id = head.get(at..at + ID_BYTES)?;
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.get(..DIGITS).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: the id is found where a linker leaves it, and nowhere else. Method: a head with the note, one that ends in it, one without.
    #[test]
    fn the_linkers_note_is_found() {
        let mut head = vec![0x7f; 100];
        head.extend(NOTE);
        head.extend(0_u8..20);
        assert_eq!(id(&head).as_deref(), Some("0001020304050607"));
        head.truncate(120);
        assert_eq!(id(&head), None);
        assert_eq!(id(&[0; 64]), None);
    }

    // Goal: one process is one build. Method: ask twice.
    #[test]
    fn it_stays_the_same() {
        assert_eq!(build(), build());
        assert!(build().starts_with(env!("CARGO_PKG_VERSION")));
    }
}
