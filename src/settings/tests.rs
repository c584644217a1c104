use tidewater_core::{Coded, SystemRng};

use super::*;

fn read(toml: &str) -> Result<Settings, ConfigError> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let config = dir.path().join("tidewater.toml");
    std::fs::write(&config, toml).expect("a writable directory");
    Settings::load(&Overrides {
        config: Some(config),
        data_dir: Some("/data".into()),
    })
}

// Goal: the page of settings names every one. Method: all keys of the defaults are looked for in it.
#[test]
fn settings_are_documented() {
    let page = include_str!("../../docs/configuration.md");
    let all = serde_json::to_value(Settings::default()).expect("settings are data");
    for (section, keys) in all.as_object().expect("sections") {
        assert!(
            page.contains(&format!("`{section}")) || page.contains(&format!("[[{section}.")),
            "{section}"
        );
        for key in keys.as_object().into_iter().flat_map(|keys| keys.keys()) {
            assert!(page.contains(key.as_str()), "{section}.{key}");
        }
    }
}

// Goal: the cache on the local disk is off until a directory is named, and has a bound then. Method: the section as a user writes it.
#[test]
fn the_disk_cache_is_off_until_it_has_a_directory() {
    assert_eq!(read("").expect("an empty file").storage.disk_cache.options(), None);
    let toml = "[storage.disk_cache]\ndirectory = \"/nvme/blocks\"\n";
    let options = read(toml).expect("a good file").storage.disk_cache.options();
    let options = options.expect("a directory switches it on");
    assert_eq!(
        (options.directory, options.bytes_max),
        ("/nvme/blocks".into(), 16 << 30)
    );
    let error = read("[storage.disk_cache]\nbytes_maxx = 5\n").expect_err("an unknown key");
    assert_eq!(
        error.hint().as_deref(),
        Some("did you mean storage.disk_cache.bytes_max?")
    );
}

// Goal: no page of another origin may read answers unless its origin is named, and what names none is told at the start. Method: the
// section as a user writes it, right and wrong.
#[test]
fn origins_are_named_one_by_one() {
    assert!(read("").expect("an empty file").http.cors_origins.is_empty());
    let toml = "[http]\ncors_origins = [\"https://notebooks.example\", \"http://localhost:8888\"]\n";
    assert_eq!(read(toml).expect("a good file").http.cors_origins.len(), 2);
    for wrong in ["*", "https://notebooks.example/lab"] {
        assert!(
            read(&format!("[http]\ncors_origins = [{wrong:?}]\n")).is_err(),
            "{wrong}"
        );
    }
}

// Goal: what errors of ingest advise can be set. Method: the sections as a user writes them.
#[test]
fn ingest_is_configured() {
    let toml = "[ingest]\nkeep_snapshots = 7\n[ingest.decode]\nkeep_raw = \"always\"\n[[ingest.mapping]]\n\
                    topic = 'legacy\\.(\\w+)\\.(\\w+)'\ntable = \"${1}_$2\"\n";
    let settings = read(toml).expect("a good file").ingest;
    assert_eq!((settings.keep_snapshots, settings.mapping.len()), (7, 1));
    assert_eq!(settings.decode.keep_raw, tidewater_ingest::KeepRaw::Always);
}

// Goal: a file may name any section and is checked key by key. Method: a good file, then one wrong letter.
#[test]
fn files_are_checked() {
    let good = "[catalog]\nlisten = \"127.0.0.1:9\"\n[[ingest.sources]]\ntype = \"file\"\npath = \"log\"\n";
    let settings = read(good).expect("a good file");
    assert_eq!(settings.catalog_endpoints(), vec!["http://127.0.0.1:9"]);
    assert_eq!(settings.warehouse().expect("an absolute path"), "file:///data/lake");
    let named = read("[catalog]\nview_default_catalog = \"lake\"\n").expect("a good file");
    assert_eq!(named.catalog.view_default_catalog.as_deref(), Some("lake"));
    let error = read("[catalog]\nlissten = \"127.0.0.1:9\"\n").expect_err("an unknown key");
    assert_eq!(error.hint().as_deref(), Some("did you mean catalog.listen?"));
    let files = "ca = \"a\"\ncert = \"b\"\n";
    assert!(read(&format!("[node_tls]\n{files}")).is_err(), "a key is missing");
    let all = read(&format!("[node_tls]\n{files}key = \"c\"\n")).expect("a good file");
    assert_eq!(all.node_tls.map(|files| files.key), Some("c".into()));
    assert!(read(&format!("[node_tls]\n{files}key = \"c\"\nkeys = \"c\"\n")).is_err());
}

// Goal: settings can be logged: no secret of theirs is in the text. Method: a word of its own in every secret place.
#[test]
fn secrets_are_not_shown() {
    let toml = "[catalog]\ntoken = \"hush-a\"\n[storage]\ns3_secret_access_key = \"hush-b\"\n\
                    [security]\ntoken_secret = \"hush-c\"\nnode_secret = \"hush-d\"\n\
                    [[security.users]]\nname = \"ana\"\npassword_hash = \"hush-e\"\n\
                    [[ingest.sources]]\ntype = \"kafka\"\nbootstrap = \"k:1\"\ntopics = []\n\
                    properties = { \"sasl.password\" = \"hush-f\" }\n";
    let settings = read(toml).expect("a good file");
    assert_eq!(
        settings.security.node_secret.as_ref().map(Secret::expose),
        Some("hush-d")
    );
    let shown = format!("{settings:?} {settings:#?}");
    assert!(shown.contains("ana") && !shown.contains("hush"), "{shown}");
}

// Goal: the key of the data directory signs only where no secret does, and is kept only where there are users and no secret. Method: what
// each of the settings' keys signs, told by the kept key and by the secret's.
#[test]
fn a_secret_comes_before_the_key_that_is_kept() {
    let with = |toml: &str| {
        let mut settings = read(toml).expect("a good file");
        settings.kept_key = Some(TokenKey::derive(b"kept"));
        settings
    };
    let users = "[[security.users]]\nname = \"robot\"\n";
    for (secret, dir, signer) in [
        ("", Some("/data/security"), "kept"),
        ("[security]\ntoken_secret = \"hush\"\n", None, "hush"),
        ("[security]\nnode_secret = \"hush\"\n", None, "hush"),
    ] {
        let settings = with(&format!("{secret}{users}"));
        assert_eq!(settings.token_key_dir(), dir.map(PathBuf::from), "{secret}");
        let signature = settings.user_key(&SystemRng::shared()).sign(b"x");
        assert!(TokenKey::derive(signer.as_bytes()).signed(b"x", &signature), "{secret}");
    }
    assert_eq!(with("").token_key_dir(), None, "nobody has tokens");
}

// Goal: grants are required where nobody says otherwise, and a word that means nothing is refused. Method: the setting left out, as a user
// writes it, and misspelt.
#[test]
fn grants_are_required_unless_it_is_written() {
    assert_eq!(read("").expect("an empty file").security.grants, Grants::Required);
    for (word, grants) in [
        ("required", Some(Grants::Required)),
        ("when_made", Some(Grants::WhenMade)),
        ("require", None),
    ] {
        let settings = read(&format!("[security]\ngrants = {word:?}\n"));
        assert_eq!(settings.ok().map(|settings| settings.security.grants), grants, "{word}");
    }
}

// Goal: where nothing was granted, what is said fits who could grant, and names what to type. Method: users with and without an
// administrator, an issuer with and without groups of administrators, and the setting that leaves all open.
#[test]
fn what_to_type_fits_who_can_grant() {
    let user = |role: &str| format!("[[security.users]]\nname = \"ana\"\nrole = \"{role}\"\n");
    let issuer = "[[security.oidc]]\nissuer = \"https://login.example\"\naudience = [\"lake\"]\n";
    let open = "[security]\ngrants = \"when_made\"\n";
    for (toml, admins, says) in [
        (user("writer"), false, "ALL --on warehouse"),
        (user("admin"), true, "SELECT --on"),
        (issuer.to_owned(), false, "ALL --on warehouse"),
        (format!("{issuer}admins = [\"stewards\"]\n"), true, "SELECT --on"),
        (
            format!("{open}{}", user("writer")),
            false,
            "every user reads everything",
        ),
    ] {
        let security = read(&toml).expect("a good file").security;
        assert_eq!(security.has_admins(), admins, "{toml}");
        let told = security.without_grants();
        assert!(told.contains(says) && told.contains("when_made"), "{toml}: {told}");
    }
}
