use std::os::unix::fs::symlink;

use secrecy::ExposeSecret as _;

use super::*;

fn org(name: &str) -> Name {
    name.parse().unwrap()
}

/// The operator's folder with the folders of two organizations in it.
struct Place {
    folder: tempfile::TempDir,
    secrets: SystemSecrets,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["acme", "globex"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            let secret = folder.path().join(name).join("token");
            fs::write(secret, format!("secret of {name}")).unwrap();
        }
        let secrets = SystemSecrets::within(vec![folder.path().to_owned()], org("acme"));
        Self { folder, secrets }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    async fn read(&self, name: &str, path: &Path) -> Result<String, VaultError> {
        let reference = SecretRef::File(path.to_owned());
        let secret = self.secrets.read(&org(name), &reference).await?;
        Ok(secret.expose_secret().to_owned())
    }
}

#[tokio::test]
async fn a_rotated_file_counts_at_once() {
    let place = Place::new();
    let path = place.path("acme/token");
    fs::write(&path, "one\r\n\n").unwrap();
    assert_eq!(place.read("acme", &path).await.unwrap(), "one");
    fs::write(&path, " two ").unwrap();
    assert_eq!(place.read("acme", &path).await.unwrap(), " two ");
}

#[tokio::test]
async fn a_file_of_another_organization_is_refused_by_name_link_and_detour() {
    let place = Place::new();
    let theirs = place.path("globex/token");
    let detour = place.path("acme/../globex/token");
    fs::create_dir(place.path("acme/deep")).unwrap();
    let deep = place.path("acme/deep/../../globex/token");
    // Links that somebody who may write in the organization's own folder makes.
    let (to_file, to_folder) = (place.path("acme/link"), place.path("acme/folder"));
    symlink(&theirs, &to_file).unwrap();
    symlink(place.path("globex"), &to_folder).unwrap();
    let through = to_folder.join("token");
    let prefixed = place.path("acme-other/token");
    fs::create_dir(place.path("acme-other")).unwrap();
    fs::write(&prefixed, "secret of acme-other").unwrap();
    for path in [&theirs, &detour, &deep, &to_file, &through, &prefixed] {
        let refused = place.read("acme", path).await.unwrap_err().to_string();
        assert!(!refused.contains("secret of"), "{refused}");
    }
    // What is refused by its name is refused at registration too.
    for path in [&theirs, &detour, &deep, &prefixed] {
        let reference = SecretRef::File(path.clone());
        assert!(place.secrets.may_name(&org("acme"), &reference).is_err());
    }
    assert_eq!(
        place.read("globex", &theirs).await.unwrap(),
        "secret of globex"
    );
}

#[tokio::test]
async fn the_folder_of_an_organization_is_no_link_to_that_of_another() {
    let place = Place::new();
    symlink(place.path("globex"), place.path("initech")).unwrap();
    assert!(
        place
            .read("initech", &place.path("initech/token"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_refusal_does_not_tell_whether_a_foreign_file_is_there() {
    let place = Place::new();
    let why = async |path: &Path| match place.read("acme", path).await {
        Err(VaultError::Unreadable { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        why(&place.path("globex/token")).await,
        why(&place.path("globex/nothing")).await
    );
}

#[tokio::test]
async fn links_inside_the_own_folder_and_to_the_operators_folder_are_followed() {
    let place = Place::new();
    fs::rename(place.path("acme/token"), place.path("acme/v2")).unwrap();
    symlink("v2", place.path("acme/token")).unwrap();
    assert_eq!(
        place.read("acme", &place.path("acme/token")).await.unwrap(),
        "secret of acme"
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("secrets");
    symlink(place.folder.path(), &link).unwrap();
    let secrets = SystemSecrets::within(vec![link.clone()], org("acme"));
    let reference = SecretRef::File(link.join("acme/token"));
    assert!(secrets.read(&org("acme"), &reference).await.is_ok());
    assert!(secrets.read(&org("globex"), &reference).await.is_err());
}

#[tokio::test]
async fn files_elsewhere_are_refused_even_through_links() {
    let place = Place::new();
    let other = tempfile::tempdir().unwrap();
    let outside = other.path().join("master.key");
    fs::write(&outside, "master").unwrap();
    let link = place.path("acme/link");
    symlink(&outside, &link).unwrap();
    let around = place
        .path("acme/../../")
        .join(other.path().file_name().unwrap())
        .join("master.key");
    for path in [
        outside.as_path(),
        &link,
        &around,
        &place.path("token"),
        &place.path("acme"),
        Path::new("/etc/hostname"),
        Path::new("token"),
        Path::new("acme/token"),
    ] {
        let refused = place.read("acme", path).await.unwrap_err();
        assert!(!refused.to_string().contains("master\n"), "{refused}");
    }
    let none = SystemSecrets::within(Vec::new(), org("acme"));
    let reference = SecretRef::File(place.path("acme/token"));
    assert!(none.read(&org("acme"), &reference).await.is_err());
}

#[tokio::test]
async fn empty_large_binary_and_missing_files_are_refused() {
    let place = Place::new();
    let path = place.path("acme/other");
    assert!(place.read("acme", &path).await.is_err());
    for content in [
        b"\n".to_vec(),
        vec![b'x'; SECRET_BYTES_MAX + 1],
        vec![0xff, 0xfe],
    ] {
        fs::write(&path, content).unwrap();
        assert!(place.read("acme", &path).await.is_err());
    }
}

/// Whose each variable is. No name may be two organizations'.
#[test]
fn a_variable_is_one_organizations_by_its_name() {
    let secrets = SystemSecrets::within(Vec::new(), org("acme"));
    let is = |name: &str, variable: &str| {
        let reference = SecretRef::Env(variable.to_owned());
        secrets.may_name(&org(name), &reference).is_ok()
    };
    for (name, variable) in [
        ("acme", "REMIT_SECRET_ORDERS"),
        ("acme", "REMIT_SECRET_ACME__ORDERS"),
        ("globex", "REMIT_SECRET_GLOBEX__ORDERS"),
        ("globex-eu", "REMIT_SECRET_GLOBEX_EU__ORDERS"),
        ("globex--eu", "REMIT_SECRET_GLOBEX__EU__ORDERS"),
    ] {
        assert!(is(name, variable), "{name} {variable}");
        for other in ["acme", "globex", "globex-eu", "globex--eu", "globex-", "eu"] {
            assert!(other == name || !is(other, variable), "{other} {variable}");
        }
    }
    for variable in [
        "PATH",
        "REMIT_SECRET",
        "REMIT_SECRET_",
        "REMIT_SECRET___X",
        "REMIT_SECRET_ACME__",
        "REMIT_SECRET_\u{0}",
        "REMIT_SECRET_acme__X",
        "remit_secret_x",
    ] {
        assert!(!is("acme", variable), "{variable}");
    }
    assert!(!is("acme", &format!("REMIT_SECRET_{}", "X".repeat(128))));
}

#[tokio::test]
async fn other_variables_are_not_read() {
    let secrets = SystemSecrets::within(Vec::new(), org("acme"));
    for variable in [
        "PATH",
        "REMIT_SECRET_GLOBEX__X",
        "REMIT_SECRET_NOT_SET_HERE",
    ] {
        let reference = SecretRef::Env(variable.to_owned());
        assert!(secrets.read(&org("acme"), &reference).await.is_err());
    }
}

proptest::proptest! {
    #[test]
    fn no_variable_is_that_of_two_organizations(
        a in "[a-z][a-z0-9-]{0,8}", b in "[a-z][a-z0-9-]{0,8}", name in "[A-Z_]{0,8}",
    ) {
        let secrets = SystemSecrets::within(Vec::new(), org("zzz"));
        let owner = a.to_ascii_uppercase().replace('-', "_");
        let variable = SecretRef::Env(format!("{ENV_PREFIX}{owner}__{name}"));
        let both = [&a, &b].map(|o| secrets.may_name(&org(o), &variable).is_ok());
        proptest::prop_assert!(a == b || both != [true, true]);
    }
}
