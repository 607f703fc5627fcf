//! A browser for tests of web pages, and the program that drives it: those that `OPCANCEL_CHROMIUM` and `OPCANCEL_CHROMEDRIVER`
//! name, or that are on `PATH`, else Debian's packages, which root gets installed.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{debian_packages, user_cache};

/// The environment variables that name the browser and its driver.
pub const VARIABLES: [&str; 2] = ["OPCANCEL_CHROMIUM", "OPCANCEL_CHROMEDRIVER"];

/// Debian's packages, in whatever release the system's archives have: browsers of last year are gone from them.
const PACKAGES: [&str; 2] = ["chromium", "chromium-driver"];

/// A browser and its driver.
#[derive(Clone, Debug)]
pub struct Browser {
    /// Chromium, or another browser made of it.
    pub chromium: PathBuf,
    /// ChromeDriver of the same release.
    pub driver: PathBuf,
}

/// The browser of this machine; installs one if there is none.
///
/// # Errors
/// If there is no browser and none can be installed; the message says what to do.
pub fn get() -> Result<Browser> {
    if let Some(found) = found()? {
        return Ok(found);
    }
    let cache = user_cache::folder()?;
    fs::create_dir_all(&cache)?;
    // Test binaries that begin at once want it at once.
    let lock = File::create(cache.join("browser.lock"))?;
    lock.lock()?;
    if let Some(found) = found()? {
        return Ok(found);
    }
    install()?;
    found()?.with_context(|| format!("the packages have no browser that runs here. {}", way_out()))
}

fn found() -> Result<Option<Browser>> {
    let [chromium, driver] =
        VARIABLES.map(|name| env::var_os(name).filter(|path| !path.is_empty()));
    for (name, named) in VARIABLES.iter().zip([&chromium, &driver]) {
        if let Some(named) = named
            && !runs(&PathBuf::from(named))
        {
            bail!(
                "{name} is {}, which does not run",
                PathBuf::from(named).display()
            );
        }
    }
    let chromium = chromium
        .map(PathBuf::from)
        .or_else(|| on_path(&["chromium", "chromium-browser", "google-chrome"]));
    let driver = driver
        .map(PathBuf::from)
        .or_else(|| on_path(&["chromedriver"]));
    Ok(chromium
        .zip(driver)
        .map(|(chromium, driver)| Browser { chromium, driver }))
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|program| program.is_file() && runs(program))
}

fn runs(program: &PathBuf) -> bool {
    let asked = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    asked.is_ok_and(|output| output.status.success())
}

fn install() -> Result<()> {
    if !debian_packages::can_install() {
        bail!("no browser for the test of the web page. {}", way_out());
    }
    eprintln!(
        "browser: installing {} with apt-get (100 MB): about half a minute, once",
        PACKAGES.join(" and ")
    );
    let start = Instant::now();
    debian_packages::install(&PACKAGES, &way_out())?;
    eprintln!("browser: installed after {:.0?}", start.elapsed());
    Ok(())
}

fn way_out() -> String {
    format!(
        "Install Chromium and ChromeDriver (Debian: apt-get install {}), or name them in {}.",
        PACKAGES.join(" "),
        VARIABLES.join(" and ")
    )
}
