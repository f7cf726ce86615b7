use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;

fn vault() -> (tempfile::TempDir, FileVault) {
    let folder = tempfile::tempdir().unwrap();
    let vault = FileVault::open(&folder.path().join("master.key"), true).unwrap();
    (folder, vault)
}

#[test]
fn a_key_file_is_made_once_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    assert!(matches!(
        FileVault::open(&path, false),
        Err(MasterKeyError::Missing { .. })
    ));
    let sealed = FileVault::open(&path, true)
        .unwrap()
        .seal(b"k", "c")
        .unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let again = FileVault::open(&path, true).unwrap();
    assert_eq!(again.unseal(&sealed, "c").unwrap(), b"k");
    assert!(!format!("{again:?}").contains(fs::read_to_string(&path).unwrap().trim()));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let (folder, _) = vault();
    let path = folder.path().join("master.key");
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refused = FileVault::open(&path, true).unwrap_err();
        assert!(
            matches!(refused, MasterKeyError::Exposed { .. }),
            "{mode:o}"
        );
    }
}

#[test]
fn anything_but_a_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    for content in [
        "",
        "00",
        &"0".repeat(63),
        &"0".repeat(65),
        &"g".repeat(64),
        &"0".repeat(130),
    ] {
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(
            matches!(
                FileVault::open(&path, true),
                Err(MasterKeyError::Form { .. })
            ),
            "{content}"
        );
    }
    assert!(matches!(
        FileVault::open(folder.path(), true),
        Err(MasterKeyError::Form { .. })
    ));
}

#[test]
fn other_contexts_keys_and_bytes_do_not_open() {
    let (_a, vault) = vault_pair().0;
    let (_b, other) = vault_pair().1;
    let sealed = vault.seal(b"signing key", "org_1/ledger").unwrap();
    assert_eq!(
        vault.unseal(&sealed, "org_1/ledger").unwrap(),
        b"signing key"
    );
    assert_eq!(
        vault.unseal(&sealed, "org_2/ledger"),
        Err(VaultError::Sealed)
    );
    assert_eq!(
        other.unseal(&sealed, "org_1/ledger"),
        Err(VaultError::Sealed)
    );
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(
            vault.unseal(&changed, "org_1/ledger"),
            Err(VaultError::Sealed),
            "{at}"
        );
        assert_eq!(
            vault.unseal(&sealed[..at], "org_1/ledger"),
            Err(VaultError::Sealed),
            "{at}"
        );
    }
    assert_ne!(
        vault.seal(b"x", "c").unwrap(),
        vault.seal(b"x", "c").unwrap()
    );
}

type Opened = (tempfile::TempDir, FileVault);

fn vault_pair() -> (Opened, Opened) {
    (vault(), vault())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_was_sealed_opens(plain in prop::collection::vec(any::<u8>(), 0..300), context in ".{0,40}") {
        let (_folder, vault) = vault();
        let sealed = vault.seal(&plain, &context).unwrap();
        prop_assert_eq!(vault.unseal(&sealed, &context).unwrap(), plain);
    }
}
