//! A private apt root: downloads packages of any Debian release without touching this machine's.
//!
//! Nothing is installed and no address is named: the mirrors are those this machine already uses.
//! Signatures are checked with Debian's own keyrings, old keys included; only their expiry is not,
//! because a mirror frozen at a date is as good here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-removed-keys.gpg",
];

/// Package lists of some releases, in a directory of our own.
#[derive(Debug)]
pub(super) struct Apt {
    config: PathBuf,
}

/// The archives of this machine's own Debian release.
#[derive(Debug, PartialEq, Eq)]
struct Mirrors {
    main: String,
    security: Option<String>,
}

impl Apt {
    /// Fetches the package lists of `release` (`bullseye`) and its security updates below
    /// `directory`. Lists that the mirrors no longer have are left out; a mirror that does not
    /// answer is an error.
    pub(super) fn update(directory: &Path, release: &str) -> Result<Self> {
        let apt = Self::prepare(directory, release)?;
        let output = apt.run("apt-get", &["update", "-q", "--error-on=any"], directory)?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() || is_only_gone(&errors),
            "cannot fetch the package lists of {release}: {}",
            errors.trim()
        );
        Ok(apt)
    }

    /// The versions of `package`, newest first.
    pub(super) fn versions(&self, package: &str) -> Result<Vec<String>> {
        let text = self.ask(&["madison", package])?;
        Ok(text.lines().filter_map(|line| Some(line.split('|').nth(1)?.trim().into())).collect())
    }

    /// What `package` at `version` depends on, without the versions.
    pub(super) fn depends(&self, package: &str, version: &str) -> Result<Vec<String>> {
        let text = self.ask(&["show", &format!("{package}={version}")])?;
        Ok(depends(&text))
    }

    /// Downloads `package` and unpacks it into `into`.
    pub(super) fn unpack(&self, package: &str, version: &str, into: &Path) -> Result<()> {
        let wanted = format!("{package}={version}");
        let packages = tempfile::tempdir_in(into).context("cannot make a directory")?;
        let output = self.run("apt-get", &["download", "-q", &wanted], packages.path())?;
        ensure!(
            output.status.success(),
            "cannot download {wanted}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        for file in fs::read_dir(packages.path())? {
            let archive = file?.path();
            let output = Command::new("dpkg-deb")
                .arg("-x")
                .arg(&archive)
                .arg(into)
                .output()
                .context("cannot run dpkg-deb: the kernel tests need a Debian machine")?;
            let errors = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "cannot unpack {}: {errors}", archive.display());
        }
        Ok(())
    }

    fn prepare(directory: &Path, release: &str) -> Result<Self> {
        for name in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(directory.join(name))
                .with_context(|| format!("cannot make {}", directory.join(name).display()))?;
        }
        let write = |name: &str, text: &str| -> Result<PathBuf> {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(path)
        };
        write("state/status", "")?;
        let sources = write("sources.list", &sources(&Mirrors::of_this_machine()?, release))?;
        // Given with `-c`, which is read last: proxies and credentials of this machine stay in
        // force, what it does after an update does not.
        let config = format!(
            "Dir::Etc::sourcelist \"{}\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::State \"{state}\";\n\
             Dir::State::lists \"{state}/lists\";\n\
             Dir::State::status \"{state}/status\";\n\
             Dir::Cache \"{}\";\n\
             APT::Architecture \"amd64\";\n\
             APT::Architectures \"amd64\";\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Check-Valid-Until \"false\";\n\
             Acquire::Retries \"2\";\n\
             Acquire::http::Timeout \"20\";\n\
             #clear APT::Update::Pre-Invoke;\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n",
            sources.display(),
            directory.join("cache").display(),
            state = directory.join("state").display(),
        );
        Ok(Self { config: write("apt.conf", &config)? })
    }

    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run("apt-cache", arguments, Path::new("/"))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "apt-cache {}: {errors}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn run(&self, program: &str, arguments: &[&str], directory: &Path) -> Result<Output> {
        Command::new(program)
            .arg("-c")
            .arg(&self.config)
            .args(arguments)
            .current_dir(directory)
            .env("LC_ALL", "C")
            .output()
            .with_context(|| {
                format!("cannot run {program}: the kernel tests need a Debian machine")
            })
    }
}

impl Mirrors {
    fn of_this_machine() -> Result<Self> {
        let release = fs::read_to_string("/etc/os-release").context("cannot read os-release")?;
        let codename = release
            .lines()
            .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
            .context("/etc/os-release names no VERSION_CODENAME: not a Debian release?")?;
        let output = Command::new("apt-get")
            .args(["indextargets", "--format", "$(SITE) $(RELEASE)", "Created-By: Packages"])
            .output()
            .context("cannot run apt-get: the kernel tests need a Debian machine")?;
        let targets = String::from_utf8_lossy(&output.stdout);
        Self::found_in(&targets, codename.trim_matches('"'))
            .with_context(|| format!("no apt source of this machine has the release {codename}"))
    }

    /// `targets` has a line `<base address> <release>` for every apt source.
    fn found_in(targets: &str, codename: &str) -> Option<Self> {
        let site = |wanted: &dyn Fn(&str) -> bool| {
            targets.lines().find_map(|line| {
                let (site, release) = line.split_once(' ')?;
                wanted(release).then(|| site.to_owned())
            })
        };
        let main = site(&|release| [codename, "stable", "testing", "sid"].contains(&release))?;
        let security = site(&|release| release.ends_with("-security"));
        Some(Self { main, security })
    }
}

fn sources(mirrors: &Mirrors, release: &str) -> String {
    let keyrings: Vec<_> = KEYRINGS.into_iter().filter(|path| Path::new(path).exists()).collect();
    let options = match keyrings.as_slice() {
        [] => String::new(),
        keyrings => format!("[signed-by={}] ", keyrings.join(",")),
    };
    let Mirrors { main, security } = mirrors;
    let mut text = format!("deb {options}{main} {release} main\n");
    if let Some(security) = security
        && release != "sid"
    {
        text.push_str(&format!("deb {options}{security} {release}-security main\n"));
    }
    text
}

/// Whether all that apt complains about are releases that a server, which did answer, lacks.
fn is_only_gone(errors: &str) -> bool {
    let is_error = |line: &&str| line.starts_with("E:") || line.starts_with("Error:");
    let mut errors = errors.lines().filter(is_error).peekable();
    errors.peek().is_some() && errors.all(|line| line.ends_with("does not have a Release file."))
}

fn depends(text: &str) -> Vec<String> {
    let Some(line) = text.lines().find_map(|line| line.strip_prefix("Depends: ")) else {
        return Vec::new();
    };
    line.split(',').filter_map(|one| Some(one.split_whitespace().next()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_are_recognised_by_release_not_by_name() {
        let targets = "https://packages.invalid/x nodistro\n\
                       http://mirror.invalid/d bookworm\n\
                       http://mirror.invalid/d bookworm-updates\n\
                       http://mirror.invalid/s bookworm-security\n";

        let mirrors = Mirrors::found_in(targets, "bookworm").expect("the release is there");

        assert_eq!(mirrors.main, "http://mirror.invalid/d");
        assert_eq!(mirrors.security.as_deref(), Some("http://mirror.invalid/s"));
        assert_eq!(Mirrors::found_in("https://packages.invalid/x nodistro\n", "bookworm"), None);
    }

    #[test]
    fn a_release_that_is_gone_is_told_from_a_mirror_that_is_unreachable() {
        let gone = "E: The repository 'x bullseye Release' does not have a Release file.\n";
        let unreachable = "E: Failed to fetch x/InRelease  Could not connect\n";

        assert!(is_only_gone(&format!("W: anything\n{gone}{gone}")));
        assert!(!is_only_gone(unreachable));
        assert!(!is_only_gone(&format!("{gone}{unreachable}")));
        assert!(!is_only_gone(""));
    }

    #[test]
    fn dependencies_are_read_without_their_versions() {
        let text = "Package: a\nDepends: b-cloud (= 7.2-1), c [amd64]\nSize: 3\n";

        assert_eq!(depends(text), ["b-cloud", "c"]);
        assert!(depends("Package: a\n").is_empty());
    }
}
